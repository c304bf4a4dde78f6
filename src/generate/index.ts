// generate: completing text with a model and an adapter. Knows the engine, not
// training.
import { InternalError } from "../core/index.ts";
import type { GenerationOptions, GenerationRequest, GenerationResult } from "./api.ts";

export type * from "./api.ts";

/** Completes prompts, greedily. */
export function generate(_request: GenerationRequest, _options: GenerationOptions = {}): Promise<GenerationResult> {
  return Promise.reject(new InternalError("generating is not part of this build"));
}
