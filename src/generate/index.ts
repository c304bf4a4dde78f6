// generate: completing text with a model and adapters: sampling, streaming, many requests side by side. Knows the
// engine, not training.
export { type AnswerScores, type AnswerSet, loadAnswers, scoreAnswers } from "./answers.ts";
export type * from "./api.ts";
export { DEFAULT_SLOTS, MAX_SLOTS } from "./engine-host.ts";
export { engineNames, generate } from "./generate.ts";
export { completeText } from "./greedy.ts";
export { type LoadedModel, loadModel } from "./load-model.ts";
export { openGenerationEngine } from "./open-engine.ts";
export { checkSampling } from "./sampling.ts";
