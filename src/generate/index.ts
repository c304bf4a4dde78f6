// generate: completing text with a model and an adapter. Knows the engine, not
// training.
import { runJob } from "../core/node/index.ts";
import type { GenerationOptions, GenerationRequest, GenerationResult } from "./api.ts";
import { generateJob } from "./generate-worker.ts";

export { type AnswerScores, type AnswerSet, loadAnswers, scoreAnswers } from "./answers.ts";
export type * from "./api.ts";
export { completeText } from "./greedy.ts";
export { type LoadedModel, loadModel } from "./load-model.ts";

/**
 * Completes prompts greedily, in a worker thread.
 *
 * @throws what opening the model throws; CHAT_TEMPLATE_INVALID
 */
export function generate(request: GenerationRequest, options: GenerationOptions = {}): Promise<GenerationResult> {
  return runJob(generateJob, request, options.signal === undefined ? {} : { signal: options.signal });
}
