import type { MetadataReader } from "../../../model/index.ts";

/** `enum llama_token_type`, which `tokenizer.ggml.token_type` holds. */
export const TOKEN_TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Rows of an embedding that is larger than its vocabulary; converters make these names up. */
const MADE_UP = /^\[PAD\d+\]$/;

/** Of a vocabulary, no more are told at once. */
export const MAX_FAULTS = 20;

/** The tokens of a GGUF file by id. */
export interface Vocabulary {
  readonly tokens: readonly string[];
  readonly types: readonly number[];
  readonly bos: number | null;
  readonly eos: number | null;
  readonly unknown: number | null;
  readonly pad: number | null;
  /** Whether BOS and EOS go around a text; null if the file does not say. */
  readonly addBos: boolean | null;
  readonly addEos: boolean | null;
}

/** An entry of `added_tokens` in tokenizer.json. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly single_word: false;
  readonly lstrip: false;
  readonly rstrip: false;
  readonly normalized: false;
  readonly special: boolean;
}

/** Reads the vocabulary; notes what is wrong with it. */
export function readVocabulary(reader: MetadataReader): Vocabulary {
  const tokens = reader.texts("tokenizer.ggml.tokens") ?? [];
  if (tokens.length === 0) reader.invalid("tokenizer.ggml.tokens", "the vocabulary", "nothing");
  const types = reader.numbers("tokenizer.ggml.token_type") ?? tokens.map(() => TOKEN_TYPE.normal);
  if (types.length !== tokens.length) reader.invalid("tokenizer.ggml.token_type", `${tokens.length} types`, String(types.length));
  const id = (key: string): number | null => {
    const value = reader.tokenId(key);
    if (value !== null && value >= tokens.length) reader.invalid(key, `an id below ${tokens.length}`, String(value));
    return value;
  };
  return {
    tokens,
    types,
    bos: id("tokenizer.ggml.bos_token_id"),
    eos: id("tokenizer.ggml.eos_token_id"),
    unknown: id("tokenizer.ggml.unknown_token_id"),
    pad: id("tokenizer.ggml.padding_token_id"),
    addBos: reader.flag("tokenizer.ggml.add_bos_token"),
    addEos: reader.flag("tokenizer.ggml.add_eos_token"),
  };
}

/** Text to id, without the names that stand for spare rows. A token that is there twice is noted. */
export function vocabularyMap({ tokens, types }: Vocabulary, reader: MetadataReader): Map<string, number> {
  const map = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (types[id] === TOKEN_TYPE.unused && MADE_UP.test(token)) return;
    if (map.has(token) && reader.problems.problems.length < MAX_FAULTS)
      reader.invalid(`tokenizer.ggml.tokens[${id}]`, "every token once", `that of ${map.get(token)} again`);
    map.set(token, id);
  });
  return map;
}

/** What is matched in a text before it is split: control tokens are special, user-defined ones are text. */
export function addedTokens({ tokens, types, bos, eos, unknown, pad }: Vocabulary): AddedToken[] {
  const named = new Set([bos, eos, unknown, pad]);
  const added: AddedToken[] = [];
  tokens.forEach((content, id) => {
    const type = types[id];
    const special = type === TOKEN_TYPE.control || type === TOKEN_TYPE.unknown || named.has(id);
    if (special || type === TOKEN_TYPE.userDefined)
      added.push({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special });
  });
  return added;
}
