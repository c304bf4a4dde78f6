import { HeirloomError } from "../../core/index.ts";
import type { Tokenizer } from "../../data/index.ts";
import { describeValue, type GgufValue } from "../../formats/index.ts";
import { TOKEN_TYPE } from "../import/index.ts";
import { otherEnds } from "./end-tokens.ts";
import { preTokenizerName } from "./pre-tokenizer-name.ts";
import { isValues, refusedTokenizer, type Values } from "./refused-tokenizer.ts";
import { BYTE_TOKEN, sentencePieceScores } from "./sentencepiece-scores.ts";

const texts = (values: readonly string[]): GgufValue => ({ type: "ARRAY", elementType: "STRING", values });
const u32 = (value: number): GgufValue => ({ type: "UINT32", value });
const flag = (value: boolean): GgufValue => ({ type: "BOOL", value });

const text = (value: string): GgufValue => ({ type: "STRING", value });

/** All added tokens, and whether they are special: those of tokenizer.json, and what only tokenizer_config.json has. */
function addedTokens({ files, specialTokens, idOf }: Tokenizer): Map<string, { readonly id: unknown; readonly special: boolean }> {
  const added = new Map<string, { readonly id: unknown; readonly special: boolean }>();
  const { added_tokens: listed } = files.tokenizer as Values;
  const entries: unknown[] = Array.isArray(listed) ? [...(listed as readonly unknown[])] : [];
  const decoder = isValues(files.config) ? files.config["added_tokens_decoder"] : undefined;
  if (isValues(decoder)) for (const [id, token] of Object.entries(decoder)) if (isValues(token)) entries.push({ ...token, id: Number(id) });
  for (const entry of entries) {
    if (!isValues(entry) || typeof entry["content"] !== "string" || entry["content"] === "" || added.has(entry["content"])) continue;
    added.set(entry["content"], { id: entry["id"], special: entry["special"] === true });
  }
  for (const content of specialTokens.keys()) if (!added.has(content)) added.set(content, { id: idOf(content), special: true });
  return added;
}

/** Tokens by id with their types; ids that no token has are filled as llama.cpp's converter fills them. */
function vocabularyOf(live: Tokenizer, model: Values, rows: number, where: string): { tokens: string[]; types: number[] } {
  const tokens = new Array<string | undefined>(rows).fill(undefined);
  const types = new Array<number>(rows).fill(TOKEN_TYPE.unused);
  const isSentencePiece = model["byte_fallback"] === true;
  const put = (content: string, id: unknown, type: number): void => {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= rows) {
      throw new HeirloomError("TOKENIZER_TOO_LARGE", `token id ${describeValue(id)} has no row in an embedding of ${rows} rows`, { where });
    }
    tokens[id] = content;
    types[id] = type;
  };
  for (const [content, id] of Object.entries(isValues(model["vocab"]) ? model["vocab"] : {}))
    put(content, id, isSentencePiece && BYTE_TOKEN.test(content) ? TOKEN_TYPE.byte : TOKEN_TYPE.normal);
  for (const [content, { id, special }] of addedTokens(live)) put(content, id, special ? TOKEN_TYPE.control : TOKEN_TYPE.userDefined);
  const unknown = isSentencePiece && typeof model["unk_token"] === "string" ? tokens.indexOf(model["unk_token"]) : -1;
  if (unknown >= 0) types[unknown] = TOKEN_TYPE.unknown;
  return { tokens: tokens.map((token, id) => token ?? `[PAD${id}]`), types };
}

/** What goes around every text. llama.cpp can be told of BOS and EOS and of nothing else. @throws EXPORT_UNSUPPORTED */
function aroundText({ encode, bosId, eosId }: Tokenizer, where: string): { readonly bos: boolean; readonly eos: boolean } {
  const [plain, whole] = [encode("a", { addSpecialTokens: false }), encode("a")];
  const extra = whole.length - plain.length;
  const at = Array.from({ length: extra + 1 }, (_, i) => i).find((i) => plain.every((id, k) => whole[i + k] === id)) ?? 0;
  const [before, after] = [whole.slice(0, at), whole.slice(at + plain.length)];
  const is = (found: readonly number[], id: number | null): boolean => found.length === 0 || (found.length === 1 && found[0] === id);
  if (is(before, bosId) && is(after, eosId)) return { bos: before.length > 0, eos: after.length > 0 };
  throw refusedTokenizer(
    `the post-processor puts the ids [${before.join(", ")}] before and [${after.join(", ")}] after a text; GGUF knows BOS (${bosId}) before and EOS (${eosId}) after it`,
    where,
  );
}

/** Where tokenizer_config.json promises what tokenizer.json does not do, which is also what was trained with. */
function flagNotes({ files }: Tokenizer, around: { readonly bos: boolean; readonly eos: boolean }): string[] {
  const config = isValues(files.config) ? files.config : {};
  return (["bos", "eos"] as const).flatMap((name) => {
    const said = config[`add_${name}_token`];
    if (typeof said !== "boolean" || said === around[name]) return [];
    const does = around[name] ? "adds it" : "does not";
    return [
      `tokenizer_config.json says add_${name}_token: ${said}, but the post-processor of tokenizer.json ${does}: the file says what tokenizer.json does`,
    ];
  });
}

/** The part that depends on the kind of tokenizer. @throws EXPORT_UNSUPPORTED */
function kindOf(
  live: Tokenizer,
  model: Values,
  tokens: readonly string[],
  where: string,
): { kind: "gpt2" | "llama"; pre: string; own: [string, GgufValue][] } {
  const tokenizer = live.files.tokenizer as Values;
  if (model["type"] !== "BPE")
    throw refusedTokenizer(`a tokenizer of the kind ${describeValue(model["type"])}; only BPE is exported`, where);
  if (model["byte_fallback"] === true) {
    const { scoreOf, prefix } = sentencePieceScores(tokenizer, model, new Set(addedTokens(live).keys()), where);
    const scores: GgufValue = { type: "ARRAY", elementType: "FLOAT32", values: tokens.map(scoreOf) };
    // The name that llama.cpp's converter writes; its tokenizer "llama" has no pre-tokenizer.
    return {
      kind: "llama",
      pre: "default",
      own: [
        ["tokenizer.ggml.scores", scores],
        ["tokenizer.ggml.add_space_prefix", flag(prefix)],
      ],
    };
  }
  const merges = (Array.isArray(model["merges"]) ? (model["merges"] as readonly unknown[]) : []).map((merge) =>
    Array.isArray(merge) ? merge.join(" ") : String(merge),
  );
  return { kind: "gpt2", pre: preTokenizerName(tokenizer, model, where), own: [["tokenizer.ggml.merges", texts(merges)]] };
}

/** A tokenizer in GGUF's words. */
export interface GgufTokenizer {
  readonly metadata: readonly [string, GgufValue][];
  /** `tokenizer.ggml.model` */
  readonly kind: "gpt2" | "llama";
  /** `tokenizer.ggml.pre` */
  readonly pre: string;
  readonly notes: readonly string[];
}

/**
 * A tokenizer as GGUF metadata: byte-level BPE with a pre-tokenizer that llama.cpp has a name for, or a SentencePiece BPE whose
 * merges scores can stand for.
 *
 * @param rows of the embedding
 * @param ends all tokens that end an answer
 * @throws EXPORT_UNSUPPORTED naming what is not known; TOKENIZER_TOO_LARGE
 */
export function tokenizerMetadata(live: Tokenizer, rows: number, ends: readonly number[], where: string): GgufTokenizer {
  const tokenizer = live.files.tokenizer as Values;
  const model = isValues(tokenizer["model"]) ? tokenizer["model"] : {};
  const { tokens, types } = vocabularyOf(live, model, rows, where);
  const { kind, pre, own } = kindOf(live, model, tokens, where);
  const unknown = live.namedTokens["unk_token"];
  const unknownId = unknown === undefined ? -1 : tokens.indexOf(unknown);
  const eos = live.eosId ?? ends[0] ?? null;
  const others = otherEnds(
    ends.filter((id) => id !== eos),
    tokens,
  );
  const around = aroundText(live, where);
  const ids: readonly (readonly [string, number | null])[] = [
    ["bos", live.bosId],
    ["eos", eos],
    ["eot", others.eot],
    ["eom", others.eom],
    ["padding", live.padId],
    ["unknown", unknownId < 0 ? null : unknownId],
  ];
  const untold = others.untold.map((id) => `${JSON.stringify(tokens[id])} (${id})`);
  const notes = [
    ...flagNotes(live, around),
    ...(untold.length > 0 ? [`answers also end at ${untold.join(", ")}, which GGUF has no further key for: name them as stop words`] : []),
  ];
  const template = live.chatTemplate;
  return {
    kind,
    pre,
    notes,
    metadata: [
      ["tokenizer.ggml.model", text(kind)],
      ["tokenizer.ggml.pre", text(pre)],
      ["tokenizer.ggml.tokens", texts(tokens)],
      ["tokenizer.ggml.token_type", { type: "ARRAY", elementType: "INT32", values: types }],
      ...own,
      ...ids.flatMap(([key, id]): [string, GgufValue][] => (id === null ? [] : [[`tokenizer.ggml.${key}_token_id`, u32(id)]])),
      ["tokenizer.ggml.add_bos_token", flag(around.bos)],
      ["tokenizer.ggml.add_eos_token", flag(around.eos)],
      ...(template === null ? [] : [["tokenizer.chat_template", text(template)] as [string, GgufValue]]),
    ],
  };
}
