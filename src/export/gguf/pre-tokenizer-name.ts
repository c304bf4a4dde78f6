import { isDeepStrictEqual } from "node:util";
import { PRE_TOKENIZERS } from "../import/index.ts";
import { isValues, refusedTokenizer, type Values } from "./refused-tokenizer.ts";

/** The names that llama.cpp's converter writes, of those that mean the same. */
const WRITTEN_NAMES = ["gpt-2", "smollm", "llama-bpe", "qwen2", "tekken"] as const;

/** Without what does not change the pieces: offsets are not kept. */
function withoutOffsets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutOffsets);
  if (!isValues(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => (key === "trim_offsets" ? [] : [[key, withoutOffsets(inner)]])),
  );
}

/** The name under which llama.cpp knows how a tokenizer splits text; a wrong guess would give wrong tokens in silence. */
export function preTokenizerName(tokenizer: Values, model: Values, where: string): string {
  const own = withoutOffsets(tokenizer["pre_tokenizer"]);
  const ignoresMerges = model["ignore_merges"] === true;
  const name = WRITTEN_NAMES.find((candidate) => {
    const known = PRE_TOKENIZERS[candidate];
    if (known === undefined || known.ignoreMerges !== ignoresMerges) return false;
    // llama.cpp leaves Qwen's normalization out; a tokenizer without any splits alike.
    const normalizers = [null, known.normalizer];
    return (
      isDeepStrictEqual(withoutOffsets(known.preTokenizer), own) &&
      normalizers.some((known_) => isDeepStrictEqual(known_, tokenizer["normalizer"] ?? null))
    );
  });
  if (name !== undefined) return name;
  const text = JSON.stringify(tokenizer["pre_tokenizer"] ?? null);
  throw refusedTokenizer(
    `the pre-tokenizer ${text.slice(0, 160)} is none that llama.cpp has a name for here`,
    where,
    `known are ${WRITTEN_NAMES.join(", ")}`,
  );
}
