import { HeirloomError } from "../../core/index.ts";

/** An object of a tokenizer's files. */
export type Values = Readonly<Record<string, unknown>>;

export const isValues = (value: unknown): value is Values => typeof value === "object" && value !== null && !Array.isArray(value);

/** A tokenizer that llama.cpp would not do alike. */
export function refusedTokenizer(what: string, where: string, hint?: string): HeirloomError {
  const instead = "convert the model with llama.cpp's own script";
  return new HeirloomError("EXPORT_UNSUPPORTED", what, {
    where,
    hint: hint === undefined ? instead : `${hint}; ${instead}`,
    details: { feature: "tokenizer" },
  });
}
