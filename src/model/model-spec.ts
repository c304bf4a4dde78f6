import type { Architecture } from "./architectures/index.ts";
import type { ModelShape } from "./types.ts";

/** A causal language model of the LLaMA family, as its config.json describes it. */
export interface ModelSpec extends ModelShape {
  readonly architecture: Architecture;
}
