// audit: what files tell about adapters, checkpoints and models: inspect now; verify,
// explain, diff, plan and recipe build on it. Reads files, runs no model, changes nothing.
export {
  type InspectedAdapter,
  type InspectedProvenance,
  type InspectedTensor,
  type InspectOptions,
  type InspectResult,
  inspectPath,
} from "./inspect.ts";
export type { InspectedCheckpoint } from "./trainer-checkpoint-ledger.ts";
