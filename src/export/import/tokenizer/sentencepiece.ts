import type { MetadataReader } from "../../../model/index.ts";
import type { TokenizerParts } from "./bpe.ts";
import { MAX_FAULTS, TOKEN_TYPE, type Vocabulary } from "./vocabulary.ts";

/** What SentencePiece writes for a space. */
const SPACE = "\u2581";
/** A token is cut at every place: the work grows with its square. The longest of real vocabularies have some 250 characters. */
const MAX_CHARACTERS = 1024;

interface Merge {
  readonly left: string;
  readonly right: string;
  readonly score: number;
}

/** Compares by the numbers in turn. */
function compareAll(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

/**
 * The merges that a vocabulary with scores stands for: every token can be made of any two others, the one with
 * the best score first. The order among equals is that of transformers' converter (`generate_merges`, 4.57 and 5):
 * the halves' ids within a token, then the longer left half, then the longer right half, of all tokens.
 */
function mergesOf({ tokens, types }: Vocabulary, scores: readonly number[], vocab: ReadonlyMap<string, number>): [string, string][] {
  const merges: Merge[] = [];
  tokens.forEach((token, id) => {
    const type = types[id];
    if (type !== TOKEN_TYPE.normal && type !== TOKEN_TYPE.userDefined) return;
    const own: (Merge & { readonly ids: readonly number[] })[] = [];
    // Halves are cut between characters, not between the halves of a surrogate pair.
    const characters = Array.from(token);
    if (characters.length > MAX_CHARACTERS) return;
    for (let cut = 1; cut < characters.length; cut++) {
      const left = characters.slice(0, cut).join("");
      const right = characters.slice(cut).join("");
      const [leftId, rightId] = [vocab.get(left), vocab.get(right)];
      if (leftId !== undefined && rightId !== undefined) own.push({ left, right, score: scores[id] as number, ids: [leftId, rightId] });
    }
    own.sort((a, b) => compareAll(a.ids, b.ids));
    merges.push(...own);
  });
  const length = (text: string): number => Array.from(text).length;
  const ranked = merges.map((merge) => ({ merge, key: [-merge.score, -length(merge.left), -length(merge.right)] }));
  return ranked.sort((a, b) => compareAll(a.key, b.key)).map(({ merge }): [string, string] => [merge.left, merge.right]);
}

/** A SentencePiece BPE (`tokenizer.ggml.model` llama) as transformers' converter writes it. Notes what is wrong with it. */
export function sentencePieceParts(reader: MetadataReader, vocabulary: Vocabulary, vocab: ReadonlyMap<string, number>): TokenizerParts {
  const key = "tokenizer.ggml.scores";
  const scores = reader.numbers(key);
  if (scores?.length !== vocabulary.tokens.length)
    reader.invalid(key, `${vocabulary.tokens.length} scores`, scores === null ? "nothing" : String(scores.length));
  if (reader.flag("tokenizer.ggml.remove_extra_whitespaces") === true)
    reader.unsupported("a vocabulary that removes spaces (remove_extra_whitespaces)");
  vocabulary.tokens.forEach((token, id) => {
    if (token.length > MAX_CHARACTERS && reader.problems.problems.length < MAX_FAULTS)
      reader.invalid(`tokenizer.ggml.tokens[${id}]`, `a token of at most ${MAX_CHARACTERS} characters`, `one of ${token.length}`);
  });
  const map = reader.metadata.get("tokenizer.ggml.precompiled_charsmap");
  if (map?.type === "ARRAY" && map.values.length > 0) reader.unsupported("a vocabulary with its own normalization (precompiled_charsmap)");
  const prefix = reader.flag("tokenizer.ggml.add_space_prefix") ?? true;
  const unknown = vocabulary.tokens[vocabulary.unknown ?? vocabulary.types.indexOf(TOKEN_TYPE.unknown)];
  if (unknown === undefined) reader.invalid("tokenizer.ggml.unknown_token_id", "the token for what is unknown", "nothing");
  const replace = { type: "Replace", pattern: { String: " " }, content: SPACE };
  return {
    normalizer: { type: "Sequence", normalizers: [...(prefix ? [{ type: "Prepend", prepend: SPACE }] : []), replace] },
    pre_tokenizer: null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: SPACE }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(prefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
      ],
    },
    addBos: true,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: unknown ?? null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(vocab),
      merges: mergesOf(vocabulary, scores ?? [], vocab),
    },
  };
}
