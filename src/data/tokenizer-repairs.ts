import { nearestName, type ProblemList } from "../core/index.ts";
import { describeValue } from "../formats/index.ts";

/**
 * What @huggingface/tokenizers 0.2 does differently from the Rust original, mended by rewriting the description of
 * the tokenizer before it is built (found by comparing both on vectors/tokenizers):
 * - `Digits` knows ASCII digits only; Rust's `is_numeric` is the Unicode class N ("¾", "²", "٣", "Ⅷ").
 * - `Whitespace`, `WhitespaceSplit`, `BertPreTokenizer` and `ByteLevel` use JavaScript's `\w` and `\s`.
 * - `Punctuation` always joins neighbours; Rust parts them unless told otherwise.
 * - `Split` ignores three of the five behaviours, reads `invert` as "drop the rest", and keeps captured groups.
 * - `Metaspace` never splits and ignores the older `add_prefix_space`; `CharDelimiterSplit` is unknown; `FixedLength`
 *   counts UTF-16 units; `$` in a `Replace` normalizer is read as a reference to the match.
 */
type JsonObject = Readonly<Record<string, unknown>>;
type Behavior = "removed" | "isolated" | "contiguous" | "mergedwithprevious" | "mergedwithnext";

/** GPT-2's pattern, which `ByteLevel` has built in. */
const GPT2_PATTERN = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;
/** `\w` of Rust's regex crate: UTS #18 annex C. */
const WORD = String.raw`\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200C\u200D`;
const SPACE = String.raw`\p{White_Space}`;
/** Rust's `is_punc`: ASCII punctuation (some of which Unicode calls symbols) and the class P. */
const PUNCTUATION = String.raw`\p{P}\u0021-\u002F\u003A-\u0040\u005B-\u0060\u007B-\u007E`;

const NORMALIZERS = [
  "BertNormalizer",
  "Lowercase",
  "NFC",
  "NFD",
  "NFKC",
  "NFKD",
  "Prepend",
  "Replace",
  "Sequence",
  "Strip",
  "StripAccents",
];
const DECODERS = ["BPEDecoder", "ByteFallback", "ByteLevel", "Fuse", "Metaspace", "Replace", "Sequence", "Strip", "WordPiece"];
const POST_PROCESSORS = ["BertProcessing", "ByteLevel", "RobertaProcessing", "Sequence", "TemplateProcessing"];
const BEHAVIORS: readonly Behavior[] = ["removed", "isolated", "contiguous", "mergedwithprevious", "mergedwithnext"];

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const anyBut = (pattern: string): string => String.raw`(?:(?!${pattern})[\s\S])+`;
const isolate = (pattern: string): JsonObject => ({ type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false });
/** The library's `invert` keeps the matches and nothing else. */
const keepOnly = (pattern: string): JsonObject => ({ type: "Split", pattern: { Regex: pattern }, behavior: "Removed", invert: true });

/** A `Split` of the Rust library in the two forms that the library at hand does rightly. */
function splitBy(pattern: string, behavior: Behavior, invert: boolean): JsonObject {
  const delimiter = `(?:${pattern})`;
  switch (behavior) {
    case "isolated":
      return isolate(delimiter);
    case "contiguous":
      return isolate(`${delimiter}+`);
    case "removed":
      return keepOnly(invert ? delimiter : anyBut(delimiter));
    default: {
      const before = behavior === "mergedwithprevious";
      // A delimiter ends the piece before it, or begins the piece after it; inverted, the roles are exchanged.
      return isolate(
        before !== invert ? `${anyBut(delimiter)}${delimiter}?|${delimiter}` : `${delimiter}(?:${anyBut(delimiter)})?|${anyBut(delimiter)}`,
      );
    }
  }
}

function behaviorOf(value: unknown, fallback: Behavior, problems: ProblemList, where: string): Behavior {
  if (value === undefined || value === null) return fallback;
  const name = typeof value === "string" ? value.toLowerCase().replaceAll("_", "") : "";
  const known = BEHAVIORS.find((behavior) => behavior === name);
  if (known === undefined)
    problems.add("TOKENIZER_INVALID", `expected a split behavior (${BEHAVIORS.join(", ")}), found ${describeValue(value)}`, { where });
  return known ?? fallback;
}

function patternOf(value: unknown, problems: ProblemList, where: string): string {
  if (isObject(value)) {
    if (typeof value["Regex"] === "string") return value["Regex"];
    if (typeof value["String"] === "string") return value["String"].replace(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`);
  }
  problems.add("TOKENIZER_INVALID", `expected a pattern (Regex or String), found ${describeValue(value)}`, { where });
  return "(?!)";
}

function refuseKind(problems: ProblemList, what: string, type: unknown, known: readonly string[], where: string): void {
  const near = typeof type === "string" ? nearestName(type, known) : undefined;
  problems.add("TOKENIZER_INVALID", `the ${what} ${describeValue(type)} is not supported (supported: ${known.join(", ")})`, {
    where,
    ...(near === undefined ? { hint: "use a base model whose tokenizer does without it" } : { hint: `did the file mean ${near}?` }),
  });
}

function byteLevel(config: JsonObject): JsonObject {
  if (config["use_regex"] === false) return config;
  // Matches a character: V8 finds an empty match with a look-behind between the halves of a surrogate pair too.
  const space = { type: "Replace", pattern: { Regex: String.raw`\A([^ ])` }, content: " $1" };
  const prefixSpace = config["add_prefix_space"] === true ? [space] : [];
  return {
    type: "Sequence",
    pretokenizers: [...prefixSpace, isolate(GPT2_PATTERN), { ...config, add_prefix_space: false, use_regex: false }],
  };
}

function metaspace(config: JsonObject): JsonObject {
  const scheme = config["prepend_scheme"] ?? (config["add_prefix_space"] === false ? "never" : "always");
  const marked = { ...config, prepend_scheme: scheme };
  if (config["split"] === false) return marked;
  const marker = typeof config["replacement"] === "string" ? config["replacement"] : "\u2581";
  return {
    type: "Sequence",
    pretokenizers: [marked, splitBy(marker.replace(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`), "mergedwithnext", false)],
  };
}

const PRE_TOKENIZERS: Readonly<Record<string, (config: JsonObject, problems: ProblemList, where: string) => JsonObject>> = {
  BertPreTokenizer: () => keepOnly(`[^${SPACE}${PUNCTUATION}]+|[${PUNCTUATION}]`),
  ByteLevel: byteLevel,
  CharDelimiterSplit: (config, problems, where) => splitBy(patternOf({ String: config["delimiter"] }, problems, where), "removed", false),
  Digits: (config) => splitBy(String.raw`\p{N}`, config["individual_digits"] === true ? "isolated" : "contiguous", false),
  FixedLength: (config) => keepOnly(String.raw`[\s\S]{1,${Number(config["length"] ?? 5)}}`),
  Metaspace: metaspace,
  Punctuation: (config, problems, where) => splitBy(`[${PUNCTUATION}]`, behaviorOf(config["behavior"], "isolated", problems, where), false),
  Sequence: (config, problems, where) => {
    const parts = Array.isArray(config["pretokenizers"]) ? config["pretokenizers"] : [];
    return {
      type: "Sequence",
      pretokenizers: parts.map((part: unknown, i) => preTokenizer(part, problems, `${where}.pretokenizers[${i}]`)),
    };
  },
  Split: (config, problems, where) =>
    splitBy(
      patternOf(config["pattern"], problems, where),
      behaviorOf(config["behavior"], "isolated", problems, where),
      config["invert"] === true,
    ),
  Whitespace: () => keepOnly(`[${WORD}]+|[^${WORD}${SPACE}]+`),
  WhitespaceSplit: () => keepOnly(`[^${SPACE}]+`),
};

function preTokenizer(config: unknown, problems: ProblemList, where: string): unknown {
  if (config === null) return null;
  const type = isObject(config) ? config["type"] : config;
  const rewrite = typeof type === "string" && Object.hasOwn(PRE_TOKENIZERS, type) ? PRE_TOKENIZERS[type] : undefined;
  if (rewrite !== undefined && isObject(config)) return rewrite(config, problems, where);
  refuseKind(problems, "pre-tokenizer", type, Object.keys(PRE_TOKENIZERS), where);
  return null;
}

function normalizer(config: unknown, problems: ProblemList, where: string): unknown {
  if (config === null) return null;
  if (!isObject(config) || !NORMALIZERS.includes(String(config["type"]))) {
    refuseKind(problems, "normalizer", isObject(config) ? config["type"] : config, NORMALIZERS, where);
    return null;
  }
  if (config["type"] === "Sequence") {
    const parts = Array.isArray(config["normalizers"]) ? config["normalizers"] : [];
    return { ...config, normalizers: parts.map((part: unknown, i) => normalizer(part, problems, `${where}.normalizers[${i}]`)) };
  }
  if (config["type"] === "Replace" && typeof config["content"] === "string")
    return { ...config, content: config["content"].replaceAll("$", "$$$$") };
  return config;
}

/** Checks the parts that are used as they are, down through sequences. */
function checkKinds(config: unknown, what: string, list: string, known: readonly string[], problems: ProblemList, where: string): void {
  if (config === null) return;
  if (!isObject(config) || !known.includes(String(config["type"]))) {
    refuseKind(problems, what, isObject(config) ? config["type"] : config, known, where);
  } else if (config["type"] === "Sequence") {
    const parts: unknown = config[list];
    if (!Array.isArray(parts)) return;
    for (const [i, part] of parts.entries()) checkKinds(part, what, list, known, problems, `${where}.${list}[${i}]`);
  }
}

function checkModel(model: unknown, problems: ProblemList): void {
  const where = "model";
  // Files of the first years name no type: BPE is told by its merges.
  const type = isObject(model) ? (model["type"] ?? (Array.isArray(model["merges"]) ? "BPE" : undefined)) : undefined;
  if (!isObject(model) || type !== "BPE") {
    problems.add("TOKENIZER_INVALID", `expected a tokenizer of type BPE, found ${describeValue(type)}`, {
      where,
      hint: "the LLaMA family uses BPE; other kinds are not verified against the original",
    });
    return;
  }
  if (!isObject(model["vocab"]))
    problems.add("TOKENIZER_INVALID", `expected a vocabulary, found ${describeValue(model["vocab"])}`, { where: "model.vocab" });
  else {
    const wrong = Object.entries(model["vocab"]).find(([, id]) => !Number.isSafeInteger(id) || (id as number) < 0);
    if (wrong !== undefined)
      problems.add("TOKENIZER_INVALID", `expected a whole number as id of ${describeValue(wrong[0])}, found ${describeValue(wrong[1])}`, {
        where: "model.vocab",
      });
  }
  const { merges } = model;
  const isMerge = (merge: unknown): boolean =>
    typeof merge === "string" ? merge.includes(" ") : Array.isArray(merge) && merge.length === 2;
  if (!Array.isArray(merges) || !merges.every(isMerge))
    problems.add("TOKENIZER_INVALID", "expected a list of merges, each a pair", { where: "model.merges" });
  for (const key of ["dropout", "continuing_subword_prefix", "end_of_word_suffix"]) {
    const value = model[key];
    if (value !== undefined && value !== null && value !== "" && value !== 0) {
      problems.add("TOKENIZER_INVALID", `${key} ${describeValue(value)} is not supported`, { where: `model.${key}` });
    }
  }
}

function addedTokens(value: unknown, problems: ProblemList): JsonObject[] {
  if (value === undefined || value === null) return [];
  const list: unknown[] = Array.isArray(value) ? value : [value];
  return list.filter((token, i): token is JsonObject => {
    const where = `added_tokens[${i}]`;
    if (
      !isObject(token) ||
      typeof token["content"] !== "string" ||
      token["content"] === "" ||
      !Number.isSafeInteger(token["id"]) ||
      (token["id"] as number) < 0
    ) {
      problems.add("TOKENIZER_INVALID", "expected an added token with a content and a whole number as id", { where });
      return false;
    }
    if (token["single_word"] === true)
      problems.add("TOKENIZER_INVALID", `single_word of ${describeValue(token["content"])} is not supported`, { where });
    return true;
  });
}

/**
 * Checks a parsed tokenizer.json and returns it so rewritten that @huggingface/tokenizers splits text as the Rust
 * library does. What cannot be carried over is added to `problems` by name.
 */
export function repairTokenizerJson(
  json: JsonObject,
  problems: ProblemList,
): JsonObject & { readonly added_tokens: readonly JsonObject[] } {
  checkModel(json["model"], problems);
  checkKinds(json["decoder"] ?? null, "decoder", "decoders", DECODERS, problems, "decoder");
  checkKinds(json["post_processor"] ?? null, "post-processor", "processors", POST_PROCESSORS, problems, "post_processor");
  return {
    ...json,
    model: { type: "BPE", ...(isObject(json["model"]) ? json["model"] : {}) },
    added_tokens: addedTokens(json["added_tokens"], problems),
    normalizer: normalizer(json["normalizer"] ?? null, problems, "normalizer"),
    pre_tokenizer: preTokenizer(json["pre_tokenizer"] ?? null, problems, "pre_tokenizer"),
    decoder: json["decoder"] ?? null,
    post_processor: json["post_processor"] ?? null,
  };
}
