import * as tokenizersPackage from "@huggingface/tokenizers";
import { HeirloomError, isHeirloomError, ProblemList } from "../core/index.ts";
import { describeValue } from "../formats/index.ts";
import { isObject, repairTokenizerJson } from "./tokenizer-repairs.ts";

/** What is used of @huggingface/tokenizers; its own type declarations do not resolve under Node's module rules. */
interface LibraryTokenizer {
  readonly decoder: object | null;
  model: LibraryModel;
  encode(text: string, options: { add_special_tokens: boolean }): { readonly ids: number[] };
  decode(ids: readonly number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
}
type LibraryModel = (pieces: readonly string[]) => string[];
interface LibraryModule {
  readonly ByteLevelPreTokenizer: new (config: object) => { pre_tokenize(pieces: string[]): string[] };
  readonly Tokenizer: new (tokenizer: object, config: object) => LibraryTokenizer;
  readonly ByteFallbackDecoder: new () => { text_decoder: { decode(bytes: Uint8Array): string } };
  readonly SequenceDecoder: new () => { readonly decoders: readonly (object | null)[] };
}
const library = tokenizersPackage as unknown as LibraryModule;

/** Text to token ids and back, as Hugging Face's Rust library does it for the same tokenizer.json. */
export interface Tokenizer {
  /** Where it was loaded from, for messages. */
  readonly name: string;
  /** Ids of `text`. Special tokens written out in the text become their ids, as in the original. */
  encode(text: string, options?: EncodeOptions): number[];
  /** Text of `ids`, exactly (no clean-up of spaces); ids without a token are left out. */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;
  /** How many tokens there are, added ones included. */
  readonly vocabSize: number;
  /** Largest id; an embedding needs at least `maxId + 1` rows. */
  readonly maxId: number;
  readonly bosId: number | null;
  readonly eosId: number | null;
  readonly padId: number | null;
  /** Special tokens by content (`<|im_end|>` → id); they are no text. */
  readonly specialTokens: ReadonlyMap<string, number>;
  /** What a chat template knows by name: `bos_token`, `eos_token` … */
  readonly namedTokens: Readonly<Record<string, string>>;
  /** Jinja source, or null if the folder has none. */
  readonly chatTemplate: string | null;
  /** What it was made from: a worker thread makes its own from them. */
  readonly files: TokenizerFiles;
  idOf(token: string): number | null;
  /** How many bytes of UTF-8 the token stands for; null if the tokenizer is not byte-level. */
  byteLength(id: number): number | null;
}

/** How a text is encoded. */
export interface EncodeOptions {
  /** Whether the post-processor of tokenizer.json may add BOS or EOS. @defaultValue true */
  readonly addSpecialTokens?: boolean;
}

/** How ids are decoded. */
export interface DecodeOptions {
  /** @defaultValue false */
  readonly skipSpecialTokens?: boolean;
}

/** The parsed files of a tokenizer folder. */
export interface TokenizerFiles {
  readonly tokenizer: unknown;
  readonly config?: unknown;
  readonly specialTokensMap?: unknown;
  /** Content of chat_template.jinja; it wins over the one in tokenizer_config.json, as in transformers. */
  readonly chatTemplate?: string;
}

type JsonObject = Readonly<Record<string, unknown>>;
interface AddedToken {
  readonly content: string;
  readonly id: number;
  readonly special: boolean;
}

const TOKEN_NAMES = ["bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token"] as const;

/** A token in a configuration: `"</s>"` or `{ content: "</s>", … }`. */
function tokenContent(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return isObject(value) && typeof value["content"] === "string" ? value["content"] : undefined;
}

function readNamedTokens(config: JsonObject, map: JsonObject): Record<string, string> {
  const named: Record<string, string> = {};
  for (const name of TOKEN_NAMES) {
    const content = tokenContent(config[name]) ?? tokenContent(map[name]);
    if (content !== undefined && content !== "") named[name] = content;
  }
  return named;
}

/** The template itself, or the one named "default" of several. */
function readChatTemplate(value: unknown): string | null {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return null;
  const entry: unknown = value.find((item: unknown) => isObject(item) && item["name"] === "default");
  return isObject(entry) && typeof entry["template"] === "string" ? entry["template"] : null;
}

/**
 * All added tokens as transformers has them after loading: those of tokenizer.json, those that only
 * tokenizer_config.json lists, and the named tokens that so far are plain entries of the vocabulary.
 */
function collectAddedTokens(
  listed: readonly JsonObject[],
  vocab: JsonObject,
  config: JsonObject,
  named: Readonly<Record<string, string>>,
): JsonObject[] {
  const tokens = new Map(listed.map((token) => [String(token["content"]), token]));
  const decoder = isObject(config["added_tokens_decoder"]) ? config["added_tokens_decoder"] : {};
  for (const [id, token] of Object.entries(decoder)) {
    const content = tokenContent(token);
    if (content !== undefined && content !== "" && !tokens.has(content) && isObject(token) && /^\d{1,9}$/.test(id))
      tokens.set(content, { ...token, id: Number(id) });
  }
  for (const content of Object.values(named)) {
    const id = Object.hasOwn(vocab, content) ? vocab[content] : undefined;
    if (id !== undefined && !tokens.has(content)) tokens.set(content, { content, id, special: true, normalized: false });
  }
  return [...tokens.values()];
}

/** The Rust library turns a run of byte tokens that is no UTF-8 into one U+FFFD a byte, and keeps a byte order mark. */
function decodeRun(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return "\ufffd".repeat(bytes.length);
  }
}

function mendDecoder(decoder: object | null): void {
  if (decoder instanceof library.ByteFallbackDecoder) decoder.text_decoder = { decode: decodeRun };
  if (decoder instanceof library.SequenceDecoder) for (const part of decoder.decoders) mendDecoder(part);
}

/** Pieces kept; English prose has some 50,000 different ones, and an entry takes about 150 bytes. */
const MAX_CACHED_PIECES = 65_536;
/** Longer pieces hardly ever come again. */
const MAX_CACHED_LENGTH = 64;

/**
 * Remembers the tokens of pieces before they are written as bytes: the library's own cache comes after that step, which
 * takes half of its time. Calling the model piece by piece also keeps unknown tokens of neighbours apart, as in the original.
 */
function cachePieces(built: LibraryTokenizer, byteLevel: boolean): void {
  const inner = built.model;
  const bytes = new library.ByteLevelPreTokenizer({ add_prefix_space: false, use_regex: false });
  const cache = new Map<string, string[]>();
  const tokensOf = (piece: string): string[] => {
    const known = cache.get(piece);
    if (known !== undefined) return known;
    const tokens = inner(byteLevel ? bytes.pre_tokenize([piece]) : [piece]);
    if (piece.length <= MAX_CACHED_LENGTH) {
      if (cache.size >= MAX_CACHED_PIECES) cache.clear();
      cache.set(piece, tokens);
    }
    return tokens;
  };
  const cached = (pieces: readonly string[]): string[] => pieces.flatMap(tokensOf);
  // The library reads the vocabulary off the model.
  built.model = Object.setPrototypeOf(cached, inner) as LibraryModel;
}

/** The steps of a pre-tokenizer, sequences within sequences laid flat. */
function flatten(preTokenizer: unknown): JsonObject[] {
  if (!isObject(preTokenizer)) return [];
  const parts = preTokenizer["pretokenizers"];
  return preTokenizer["type"] === "Sequence" && Array.isArray(parts) ? parts.flatMap(flatten) : [preTokenizer];
}

function buildLibrary(json: JsonObject, name: string): LibraryTokenizer {
  const steps = flatten(json["pre_tokenizer"]);
  const last = steps.at(-1);
  const endsInBytes = last?.["type"] === "ByteLevel" && last["use_regex"] === false && last["add_prefix_space"] !== true;
  const pretokenizers = endsInBytes ? steps.slice(0, -1) : steps;
  const split = { ...json, pre_tokenizer: pretokenizers.length === 0 ? null : { type: "Sequence", pretokenizers } };
  try {
    // An empty configuration: what the library would take from it (removing spaces, lower case) the Rust original does not do.
    const built = new library.Tokenizer(split, {});
    mendDecoder(built.decoder);
    cachePieces(built, endsInBytes);
    return built;
  } catch (cause) {
    throw new HeirloomError("TOKENIZER_INVALID", `could not be used: ${cause instanceof Error ? cause.message : String(cause)}`, {
      where: name,
      cause,
    });
  }
}

function wrapLibrary(
  built: LibraryTokenizer,
  added: readonly AddedToken[],
  byteLevel: boolean,
): Pick<Tokenizer, "encode" | "decode" | "idOf" | "byteLength"> {
  const special = new Set(added.filter((token) => token.special).map((token) => token.id));
  const utf8 = new TextEncoder();
  const addedBytes = new Map(added.map((token) => [token.id, utf8.encode(token.content).length]));
  return {
    encode: (text, options = {}) => built.encode(text, { add_special_tokens: options.addSpecialTokens ?? true }).ids,
    decode(ids, options = {}) {
      const known = Array.from(ids).filter(
        (id) => built.id_to_token(id) !== undefined && !(options.skipSpecialTokens === true && special.has(id)),
      );
      return known.length === 0 ? "" : built.decode(known, { skip_special_tokens: false, clean_up_tokenization_spaces: false });
    },
    idOf: (token) => built.token_to_id(token) ?? null,
    // Each character of a byte-level token stands for one byte.
    byteLength: (id) => (byteLevel ? (addedBytes.get(id) ?? built.id_to_token(id)?.length ?? null) : null),
  };
}

/**
 * A tokenizer from its parsed files.
 * @throws TOKENIZER_INVALID with every part that is malformed, or that cannot be done as the original does it.
 */
export function createTokenizer(files: TokenizerFiles, name: string): Tokenizer {
  const problems = new ProblemList();
  if (!isObject(files.tokenizer))
    throw new HeirloomError("TOKENIZER_INVALID", `expected an object, found ${describeValue(files.tokenizer)}`, { where: name });
  const config = isObject(files.config) ? files.config : {};
  const named = readNamedTokens(config, isObject(files.specialTokensMap) ? files.specialTokensMap : {});
  const repaired = repairTokenizerJson(files.tokenizer, problems);
  const model = repaired["model"];
  const vocab = isObject(model) && isObject(model["vocab"]) ? model["vocab"] : {};
  const addedJson = collectAddedTokens(repaired.added_tokens, vocab, config, named);
  const added = addedJson.map((token) => ({
    content: String(token["content"]),
    id: Number(token["id"]),
    special: token["special"] === true,
  }));
  const ids = new Map<string, number>(Object.entries(vocab).map(([token, id]) => [token, Number(id)]));
  for (const token of added) ids.set(token.content, token.id);
  for (const role of ["bos_token", "eos_token"] as const) {
    const content = named[role];
    if (content !== undefined && !ids.has(content))
      problems.add("TOKENIZER_INVALID", `the ${role} ${describeValue(content)} is not in the vocabulary`, { where: role });
  }
  throwAt(problems, name);
  const idOfNamed = (role: string): number | null => ids.get(named[role] ?? "") ?? null;
  const maxId = [...ids.values()].reduce((a, b) => Math.max(a, b), -1);
  const built = buildLibrary({ ...repaired, added_tokens: addedJson }, name);
  return {
    name,
    files,
    ...wrapLibrary(
      built,
      added,
      flatten(repaired["pre_tokenizer"]).some((step) => step["type"] === "ByteLevel"),
    ),
    vocabSize: ids.size,
    maxId,
    bosId: idOfNamed("bos_token"),
    eosId: idOfNamed("eos_token"),
    padId: idOfNamed("pad_token"),
    specialTokens: new Map(added.filter((token) => token.special).map((token) => [token.content, token.id])),
    namedTokens: named,
    chatTemplate: files.chatTemplate ?? readChatTemplate(config["chat_template"]),
  };
}

/** Throws what was collected, each problem with the file's name before the place inside it. */
function throwAt(problems: ProblemList, name: string): void {
  const named = new ProblemList();
  for (const { code, message, where, ...facts } of problems.problems)
    named.add(code, message, { ...facts, where: where === undefined ? name : `${name}: ${where}` });
  named.throwIfAny();
}

/**
 * Checks that each id of the tokenizer has a row in the embedding.
 * @param rows the base's vocabulary size
 * @throws TOKENIZER_TOO_LARGE if the largest id has none.
 */
export function requireEmbeddingRows(tokenizer: Tokenizer, rows: number): void {
  if (tokenizer.maxId < rows) return;
  throw new HeirloomError(
    "TOKENIZER_TOO_LARGE",
    `expected ids below ${rows}, the rows of the embedding, found ids up to ${tokenizer.maxId}`,
    {
      where: tokenizer.name,
      hint: "use the tokenizer that belongs to the base; tokens that were added to it need an embedding that was resized with it",
      details: { maxId: tokenizer.maxId, rows },
    },
  );
}

/** Whether `error` says that a file is not there. */
export function isMissing(error: unknown): boolean {
  return isHeirloomError(error) && error.code === "FILE_MISSING";
}
