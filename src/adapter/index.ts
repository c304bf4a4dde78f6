// adapter: what a LoRA adapter is: its configuration, the modules of a model that it
// touches (as PEFT resolves them), the names and shapes of its tensors, and which of
// its features the engine has. Knows nothing of values, training or file bytes.
export { adapterTensors, baseLiveNames, PEFT_PREFIX } from "./adapter-tensors.ts";
export { adapterForEngine, resolveForEngine } from "./engine-support.ts";
export { adapterFromPeft, adapterSpec, PEFT_VERSION, peftFromAdapter } from "./from-peft.ts";
export { effectiveModulesToSave } from "./full-copies.ts";
export { moduleScales, scalingOf } from "./module-patterns.ts";
export { type PythonPattern, translatePythonPattern } from "./python-pattern.ts";
export { resolveTargets } from "./resolve-targets.ts";
export { storedAdapter } from "./stored-adapter.ts";
export type {
  AdapterRole,
  AdapterSpec,
  AdapterTensor,
  FullCopy,
  LoraInit,
  LoraTarget,
  ModulePattern,
  ResolvedAdapter,
  StoredBase,
  TokenIndices,
  TokenRows,
} from "./types.ts";
