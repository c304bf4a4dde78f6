import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";

/** Every architecture that can be run; a new one is one file and one line here. */
export const ARCHITECTURES = { llama, mistral, qwen2, qwen3 };

/** The name of a supported architecture, as `model_type` spells it. */
export type Architecture = keyof typeof ARCHITECTURES;

/** True if `name` is a supported `model_type`. */
export function isArchitecture(name: string): name is Architecture {
  return Object.hasOwn(ARCHITECTURES, name);
}
