// plan: what a run will train, write and need, before it starts. Knows configurations and
// shapes; reads no weights and no data, and is told how fast the machine is.
export type { PlannedFile } from "./files.ts";
export type { PlannedFlops } from "./flops.ts";
export type { MemoryPart, MemoryPartName } from "./memory.ts";
export { planModel, planRun } from "./plan.ts";
export type { Bf16Rounding } from "./rounding.ts";
export type { MachineSpeed, PlannedTime } from "./time.ts";
export type { PlannedGroup, PlanOptions, PlanResult, PlanWarning, Remedy } from "./types.ts";
