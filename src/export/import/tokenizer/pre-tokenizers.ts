/*
 * A GGUF file holds only the name of its pre-tokenizer (`tokenizer.ggml.pre`). What a name stands for is in
 * llama.cpp's llama-vocab.cpp; what the models' own tokenizer.json says is the same, written for another
 * regex engine, and that is what is written here.
 */

/** How text is split before the merges, and what goes with it. */
export interface PreTokenizer {
  readonly normalizer: object | null;
  readonly preTokenizer: object;
  /** Whether a piece that is a token by itself is taken as it is. */
  readonly ignoreMerges: boolean;
  /** Whether BOS goes before the text if the file does not say. */
  readonly addBos: boolean;
}

const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
const GPT2 = { ...BYTE_LEVEL, use_regex: true };

const sequence = (...pretokenizers: object[]): object => ({ type: "Sequence", pretokenizers });
/** Pieces by a pattern, then bytes. */
const byPattern = (pattern: string): object =>
  sequence({ type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false }, { ...BYTE_LEVEL, use_regex: false });

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const AFTER_NUMBERS = String.raw`| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const WORDS = String.raw`|[^\r\n\p{L}\p{N}]?\p{L}+|`;

const gpt2: PreTokenizer = { normalizer: null, preTokenizer: GPT2, ignoreMerges: false, addBos: false };
/** Every digit by itself, then GPT-2's pattern. */
const smollm: PreTokenizer = { ...gpt2, preTokenizer: sequence({ type: "Digits", individual_digits: true }, GPT2) };
/** Up to three digits together. */
const llama3: PreTokenizer = {
  normalizer: null,
  preTokenizer: byPattern(`${CONTRACTIONS}${WORDS}${String.raw`\p{N}{1,3}`}${AFTER_NUMBERS}`),
  ignoreMerges: true,
  addBos: true,
};
/** Every digit by itself. Qwen's own tokenizer composes characters first (NFC); llama.cpp leaves that out. */
const qwen2: PreTokenizer = {
  normalizer: { type: "NFC" },
  preTokenizer: byPattern(`${CONTRACTIONS}${WORDS}${String.raw`\p{N}`}${AFTER_NUMBERS}`),
  ignoreMerges: false,
  addBos: false,
};
/** Words part where lower case turns to upper case. */
const tekken: PreTokenizer = {
  normalizer: null,
  preTokenizer: byPattern(
    String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  ),
  ignoreMerges: true,
  addBos: true,
};

/** Every name that is known; another one is refused, since a wrong guess would train on wrong tokens in silence. */
export const PRE_TOKENIZERS: Readonly<Record<string, PreTokenizer>> = {
  "gpt-2": gpt2,
  "phi-2": gpt2,
  mellum: gpt2,
  smollm,
  starcoder: smollm,
  refact: smollm,
  llama3,
  "llama-v3": llama3,
  "llama-bpe": llama3,
  qwen2,
  "deepseek-r1-qwen": { ...qwen2, normalizer: null },
  tekken,
};
