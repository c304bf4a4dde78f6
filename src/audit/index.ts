// audit: what files tell about adapters, checkpoints and models: inspect, explain, verify,
// diff, plan and recipe build on it. Reads files, runs no model, changes nothing.

export * from "./diff/index.ts";
export * from "./explain/index.ts";
export { type ExplainRequest, explainFiles } from "./explain-files.ts";
export * from "./inspect/index.ts";
export * from "./plan/index.ts";
export * from "./recipe/index.ts";
export * from "./verify/index.ts";
