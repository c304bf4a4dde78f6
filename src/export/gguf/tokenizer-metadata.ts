import { isDeepStrictEqual } from "node:util";
import { HeirloomError } from "../../core/index.ts";
import type { Tokenizer } from "../../data/index.ts";
import { describeValue, type GgufValue } from "../../formats/index.ts";
import { PRE_TOKENIZERS } from "../import/tokenizer/pre-tokenizers.ts";
import { TOKEN_TYPE } from "../import/tokenizer/vocabulary.ts";

/** The names that llama.cpp's converter writes, of those that mean the same. */
const WRITTEN_NAMES = ["gpt-2", "smollm", "llama-bpe", "qwen2", "tekken"] as const;

type Values = Readonly<Record<string, unknown>>;

const isValues = (value: unknown): value is Values => typeof value === "object" && value !== null && !Array.isArray(value);

/** Without what does not change the pieces: offsets are not kept. */
function withoutOffsets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutOffsets);
  if (!isValues(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => (key === "trim_offsets" ? [] : [[key, withoutOffsets(inner)]])),
  );
}

function refuse(what: string, where: string, hint: string): HeirloomError {
  return new HeirloomError("EXPORT_UNSUPPORTED", what, { where, hint, details: { feature: "tokenizer" } });
}

/** The name under which llama.cpp knows how a tokenizer splits text; a wrong guess would give wrong tokens in silence. */
function preTokenizerName(tokenizer: Values, model: Values, where: string): string {
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
  throw refuse(
    `the pre-tokenizer ${text.slice(0, 160)} is none that llama.cpp has a name for here`,
    where,
    `known are ${WRITTEN_NAMES.join(", ")}; convert the model with llama.cpp's own script`,
  );
}

const texts = (values: readonly string[]): GgufValue => ({ type: "ARRAY", elementType: "STRING", values });
const u32 = (value: number): GgufValue => ({ type: "UINT32", value });
const flag = (value: boolean): GgufValue => ({ type: "BOOL", value });

/** Tokens by id with their types; ids that no token has are filled as llama.cpp's converter fills them. */
function vocabularyOf(tokenizer: Values, model: Values, rows: number, where: string): { tokens: string[]; types: number[] } {
  const tokens = new Array<string | undefined>(rows).fill(undefined);
  const types = new Array<number>(rows).fill(TOKEN_TYPE.unused);
  const put = (content: string, id: unknown, type: number): void => {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= rows) {
      throw new HeirloomError("TOKENIZER_TOO_LARGE", `token id ${describeValue(id)} has no row in an embedding of ${rows} rows`, { where });
    }
    tokens[id] = content;
    types[id] = type;
  };
  for (const [content, id] of Object.entries(isValues(model["vocab"]) ? model["vocab"] : {})) put(content, id, TOKEN_TYPE.normal);
  for (const added of Array.isArray(tokenizer["added_tokens"]) ? (tokenizer["added_tokens"] as readonly unknown[]) : []) {
    if (isValues(added) && typeof added["content"] === "string")
      put(added["content"], added["id"], added["special"] === true ? TOKEN_TYPE.control : TOKEN_TYPE.userDefined);
  }
  return { tokens: tokens.map((token, id) => token ?? `[PAD${id}]`), types };
}

/**
 * A tokenizer as GGUF metadata. Byte-level BPE only, with a pre-tokenizer that llama.cpp has a name for.
 *
 * @param rows of the embedding
 * @throws EXPORT_UNSUPPORTED naming what is not known; TOKENIZER_TOO_LARGE
 */
export function tokenizerMetadata(live: Tokenizer, rows: number, where: string): { metadata: [string, GgufValue][]; pre: string } {
  const { files } = live;
  const tokenizer = files.tokenizer as Values;
  const model = isValues(tokenizer["model"]) ? tokenizer["model"] : {};
  if (model["type"] !== "BPE" || model["byte_fallback"] === true) {
    const kind = model["byte_fallback"] === true ? "SentencePiece BPE with byte fallback" : describeValue(model["type"]);
    throw refuse(
      `a tokenizer of the kind ${kind}; only byte-level BPE is exported`,
      where,
      "convert the model with llama.cpp's own script",
    );
  }
  const pre = preTokenizerName(tokenizer, model, where);
  const { tokens, types } = vocabularyOf(tokenizer, model, rows, where);
  const merges = (Array.isArray(model["merges"]) ? (model["merges"] as readonly unknown[]) : []).map((merge) =>
    Array.isArray(merge) ? merge.join(" ") : String(merge),
  );
  const unknown = live.namedTokens["unk_token"];
  const unknownId = unknown === undefined ? -1 : tokens.indexOf(unknown);
  const ids: readonly (readonly [string, number | null])[] = [
    ["bos", live.bosId],
    ["eos", live.eosId],
    ["padding", live.padId],
    ["unknown", unknownId < 0 ? null : unknownId],
  ];
  const template = live.chatTemplate;
  return {
    pre,
    metadata: [
      ["tokenizer.ggml.model", { type: "STRING", value: "gpt2" }],
      ["tokenizer.ggml.pre", { type: "STRING", value: pre }],
      ["tokenizer.ggml.tokens", texts(tokens)],
      ["tokenizer.ggml.token_type", { type: "ARRAY", elementType: "INT32", values: types }],
      ["tokenizer.ggml.merges", texts(merges)],
      ...ids.flatMap(([key, id]): [string, GgufValue][] => (id === null ? [] : [[`tokenizer.ggml.${key}_token_id`, u32(id)]])),
      ["tokenizer.ggml.add_bos_token", flag(live.bosId !== null && live.encode("a")[0] === live.bosId)],
      ...(template === null ? [] : [["tokenizer.chat_template", { type: "STRING", value: template }] as [string, GgufValue]]),
    ],
  };
}
