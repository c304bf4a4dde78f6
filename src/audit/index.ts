// audit: what files tell about adapters, checkpoints and models: inspect, explain, verify,
// diff, plan and recipe build on it. Reads files, runs no model, changes nothing.

export * from "./diff/index.ts";
export * from "./explain/index.ts";
export { type ExplainRequest, explainFiles } from "./explain-files.ts";
export {
  type InspectedProvenance,
  type InspectedTensor,
  type InspectOptions,
  type InspectResult,
  inspectPath,
} from "./inspect.ts";
export type { InspectedAdapter } from "./inspected-adapter.ts";
export * from "./plan/index.ts";
export * from "./recipe/index.ts";
export type { InspectedCheckpoint } from "./trainer-checkpoint-ledger.ts";
export * from "./verify/index.ts";
