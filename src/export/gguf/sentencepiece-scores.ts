import { isDeepStrictEqual } from "node:util";
import { isValues, refusedTokenizer, type Values } from "./refused-tokenizer.ts";

/*
 * llama.cpp's tokenizer "llama" joins any two neighbours whose text together is a token: the token of the best score first, of
 * equal ones the leftmost. A BPE of tokenizer.json joins the pairs in its list of merges: the pair of the lowest rank first. The two
 * do the same if
 *
 * - every pair of characters or tokens that makes a token is in the list, as transformers' converter lists them;
 * - all pairs that make one token stand together in it, so that one score can stand for their ranks.
 *
 * Lists that a trainer wrote have one pair a token, and mostly fail the first condition.
 */

/** What SentencePiece writes for a space. */
const SPACE = "\u2581";
const BYTE_VALUES = 256;
/** A token is cut at every place: the work grows with its square. The longest of real vocabularies have some 250 characters. */
const MAX_CHARACTERS = 1024;

/** The token of a byte that no other token holds. */
export const BYTE_TOKEN = /^<0x[0-9A-F]{2}>$/;

const REPLACE = { type: "Replace", pattern: { String: " " }, content: SPACE };
const PREPEND = { type: "Prepend", prepend: SPACE };
/** How spaces become ▁, and whether each piece between special tokens gets one in front, as llama.cpp's `add_space_prefix` does. */
const SPACES: readonly { readonly normalizer: object | null; readonly preTokenizer: object | null; readonly prefix: boolean }[] = [
  { normalizer: { type: "Sequence", normalizers: [PREPEND, REPLACE] }, preTokenizer: null, prefix: true },
  { normalizer: { type: "Sequence", normalizers: [REPLACE] }, preTokenizer: null, prefix: false },
  { normalizer: REPLACE, preTokenizer: null, prefix: false },
  {
    normalizer: null,
    preTokenizer: { type: "Metaspace", replacement: SPACE, prepend_scheme: "never", split: false },
    prefix: false,
  },
];

/** Whether a space goes before a text. @throws EXPORT_UNSUPPORTED where spaces are treated in a way that llama.cpp does not know */
function spacePrefix(tokenizer: Values, where: string): boolean {
  const own = { normalizer: tokenizer["normalizer"] ?? null, preTokenizer: tokenizer["pre_tokenizer"] ?? null };
  const known = SPACES.find(({ prefix: _, ...form }) => isDeepStrictEqual(form, own));
  if (known !== undefined) return known.prefix;
  throw refusedTokenizer(
    `SentencePiece with the normalizer ${JSON.stringify(own.normalizer)} and the pre-tokenizer ${JSON.stringify(own.preTokenizer)}`.slice(
      0,
      300,
    ),
    where,
    "llama.cpp puts a space before every piece between special tokens or before none: what does so only at the start of a text, or splits at spaces, gives other tokens there",
  );
}

function requirePlainModel(model: Values, vocab: ReadonlyMap<string, number>, where: string): void {
  const odd = (["dropout", "continuing_subword_prefix", "end_of_word_suffix"] as const).find(
    (key) => model[key] !== null && model[key] !== undefined && model[key] !== "" && model[key] !== 0,
  );
  if (odd !== undefined) throw refusedTokenizer(`a BPE with ${odd}: ${JSON.stringify(model[odd])}`, where);
  if (model["ignore_merges"] === true) throw refusedTokenizer("SentencePiece with ignore_merges", where);
  const bytes = [...vocab.keys()].filter((token) => BYTE_TOKEN.test(token)).length;
  if (bytes !== BYTE_VALUES) throw refusedTokenizer(`SentencePiece with ${bytes} of the ${BYTE_VALUES} tokens for single bytes`, where);
}

/** llama.cpp finds an added token in the text as it is written, wherever it stands. */
function requirePlainAdded(tokenizer: Values, where: string): void {
  for (const added of Array.isArray(tokenizer["added_tokens"]) ? (tokenizer["added_tokens"] as readonly unknown[]) : []) {
    const odd = isValues(added)
      ? (["normalized", "lstrip", "rstrip", "single_word"] as const).find((key) => added[key] === true)
      : undefined;
    if (odd !== undefined && isValues(added))
      throw refusedTokenizer(`the added token ${JSON.stringify(added["content"])} with ${odd}: true, which GGUF has no word for`, where);
  }
}

/** The merges as pairs; older files have them as "left right". */
function pairsOf(model: Values): readonly (readonly [string, string])[] {
  const merges = Array.isArray(model["merges"]) ? (model["merges"] as readonly unknown[]) : [];
  return merges.map((merge) => {
    if (Array.isArray(merge)) return [String(merge[0]), String(merge[1])];
    const text = String(merge);
    const at = text.indexOf(" ", 1);
    return [text.slice(0, at), text.slice(at + 1)];
  });
}

/** A pair as one key: the length says where it parts. */
const keyOf = (left: string, right: string): string => `${left.length} ${left}${right}`;

/** Scores by token from the order of the merges. @throws EXPORT_UNSUPPORTED where no score stands for the ranks */
function scoresByToken(pairs: readonly (readonly [string, string])[], where: string): Map<string, number> {
  const scores = new Map<string, number>();
  let last: string | null = null;
  for (const [left, right] of pairs) {
    const token = left + right;
    if (token === last) continue;
    if (scores.has(token)) {
      throw refusedTokenizer(
        `the merges that make ${JSON.stringify(token)} stand apart: one score, as SentencePiece has it, cannot stand for their ranks`,
        where,
      );
    }
    scores.set(token, -scores.size);
    last = token;
  }
  return scores;
}

/** Every pair of symbols that makes a token must be a merge. @throws EXPORT_UNSUPPORTED naming the first that is not */
function requireAllMerges(
  vocab: ReadonlyMap<string, number>,
  pairs: readonly (readonly [string, string])[],
  skipped: ReadonlySet<string>,
  where: string,
): void {
  const merges = new Set(pairs.map(([left, right]) => keyOf(left, right)));
  for (const token of vocab.keys()) {
    // Added tokens are matched before anything is merged.
    if (skipped.has(token)) continue;
    const characters = Array.from(token);
    if (characters.length > MAX_CHARACTERS) throw refusedTokenizer(`a token of ${characters.length} characters`, where);
    for (let cut = 1; cut < characters.length; cut++) {
      const [left, right] = [characters.slice(0, cut).join(""), characters.slice(cut).join("")];
      // A single character is a symbol even if it is no token.
      const isMade = (cut === 1 || vocab.has(left)) && (cut === characters.length - 1 || vocab.has(right));
      if (isMade && !merges.has(keyOf(left, right))) {
        throw refusedTokenizer(
          `the merges do not have ${JSON.stringify(left)} + ${JSON.stringify(right)}, which llama.cpp would join to ${JSON.stringify(token)}: the same text would give other tokens`,
          where,
          "SentencePiece models that transformers converted have all of them",
        );
      }
    }
  }
}

/**
 * The scores of a SentencePiece BPE for llama.cpp's tokenizer "llama", by token, and whether a space goes before a text.
 *
 * @param added contents of the added tokens
 * @throws EXPORT_UNSUPPORTED where llama.cpp would give other tokens, with what makes the difference
 */
export function sentencePieceScores(
  tokenizer: Values,
  model: Values,
  added: ReadonlySet<string>,
  where: string,
): { readonly scoreOf: (token: string) => number; readonly prefix: boolean } {
  const vocab = new Map(Object.entries(isValues(model["vocab"]) ? model["vocab"] : {}) as [string, number][]);
  const prefix = spacePrefix(tokenizer, where);
  requirePlainModel(model, vocab, where);
  requirePlainAdded(tokenizer, where);
  const pairs = pairsOf(model);
  const scores = scoresByToken(pairs, where);
  requireAllMerges(vocab, pairs, added, where);
  // Characters are never merged into: SentencePiece scores them after all merges, and 0 what it does not score.
  const scoreOf = (token: string): number => scores.get(token) ?? (added.has(token) || BYTE_TOKEN.test(token) ? 0 : -scores.size);
  return { scoreOf, prefix };
}
