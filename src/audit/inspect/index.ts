// audit/inspect: what a path holds, from configuration and headers: the ledger, the banners,
// groups and provenance. Judges nothing.
export type { InspectedCheckpoint } from "../trainer-checkpoint-ledger.ts";
export { inspectPath } from "./inspect.ts";
export type { InspectedAdapter } from "./inspected-adapter.ts";
export type { InspectedProvenance, InspectedTensor, InspectOptions, InspectResult } from "./types.ts";
