import { PEFT_PREFIX } from "../adapter/index.ts";
import type { Role } from "./types.ts";

/** What a tensor's name alone says about it. */
export interface NameFacts {
  readonly module: string;
  /** Role as an adapter's tensor; `base` if the name is that of a base parameter. */
  readonly role: Role;
}

/** Parts that PEFT puts between a module's path and its parameter, and what they mean. */
const MARKERS: readonly (readonly [RegExp, Role])[] = [
  [/\.lora_A(\.|$)/, "lora_A"],
  [/\.lora_B\.(.*\.)?bias$/, "lora_bias"],
  [/\.lora_B(\.|$)/, "lora_B"],
  [/\.lora_embedding_A(\.|$)/, "lora_A"],
  [/\.lora_embedding_B(\.|$)/, "lora_B"],
  [/\.lora_magnitude_vector(\.|$)/, "lora_magnitude"],
  [/\.token_adapter\.trainable_tokens_delta(\.|$)/, "token_rows"],
  [/\.modules_to_save\./, "full_copy"],
  [/\.(base_layer|original_module|token_adapter)\./, "base"],
];

/** Reads a name of a live model, with or without PEFT's wrappers. */
export function liveNameFacts(name: string): NameFacts {
  const path = name.startsWith(PEFT_PREFIX) ? name.slice(PEFT_PREFIX.length) : name;
  for (const [marker, role] of MARKERS) {
    const found = marker.exec(path);
    if (found !== null) return { module: path.slice(0, found.index), role };
  }
  return { module: path.slice(0, Math.max(0, path.lastIndexOf("."))), role: "base" };
}

/** The key under which PEFT stores a live adapter tensor: without wrapper and adapter name. */
export function diskKey(liveName: string): string {
  return liveName
    .replace(/\.modules_to_save\.default\./, ".")
    .replace(/(\.(?:lora_[A-Za-z_]+|trainable_tokens_delta))\.default(?=\.|$)/, "$1")
    .replace(/(\.lora_magnitude_vector)\.weight$/, "$1");
}
