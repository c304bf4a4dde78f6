import { nearestName } from "../../../core/index.ts";
import { printable } from "../../../formats/index.ts";
import type { MetadataReader } from "../../../model/index.ts";
import { PRE_TOKENIZERS, type PreTokenizer } from "./pre-tokenizers.ts";
import { MAX_FAULTS } from "./vocabulary.ts";

/** What the kinds of tokenizers differ in, as tokenizer.json has it. */
export interface TokenizerParts {
  readonly normalizer: object | null;
  readonly pre_tokenizer: object | null;
  readonly decoder: object;
  readonly model: object;
  /** Whether BOS goes before the text if the file does not say. */
  readonly addBos: boolean;
}

function preTokenizerOf(reader: MetadataReader): PreTokenizer | null {
  const key = "tokenizer.ggml.pre";
  const name = reader.text(key);
  const known = name !== null && Object.hasOwn(PRE_TOKENIZERS, name) ? PRE_TOKENIZERS[name] : undefined;
  if (known !== undefined) return known;
  if (name === null) {
    reader.problems.add("GGUF_UNSUPPORTED", `expected the name of the pre-tokenizer (${key}), found none: how text is split is not known`, {
      where: reader.where,
      hint: "convert the original model again with a current llama.cpp, which writes the name",
    });
    return null;
  }
  const names = Object.keys(PRE_TOKENIZERS);
  const near = nearestName(name, names);
  reader.problems.add("GGUF_UNSUPPORTED", `the pre-tokenizer "${printable(name, 60)}" (${key}) is not known`, {
    where: reader.where,
    hint: `known are ${names.join(", ")}${near === undefined ? "" : `; "${near}" is the nearest, but not the same`}`,
    details: { pre: name },
  });
  return null;
}

/** `left right`, where both may hold anything but a space. */
function splitMerge(merge: string): [string, string] | null {
  const at = merge.indexOf(" ", 1);
  return at < 0 || at === merge.length - 1 || merge.includes(" ", at + 1) ? null : [merge.slice(0, at), merge.slice(at + 1)];
}

/** A byte-level BPE (`tokenizer.ggml.model` gpt2). Notes what is wrong with it. */
export function byteLevelParts(reader: MetadataReader, vocab: ReadonlyMap<string, number>): TokenizerParts {
  const pre = preTokenizerOf(reader);
  const key = "tokenizer.ggml.merges";
  const merges = reader.texts(key);
  if (merges === null) reader.invalid(key, "the merges of a byte-level vocabulary", "nothing");
  const pairs: [string, string][] = [];
  (merges ?? []).forEach((merge, i) => {
    const pair = splitMerge(merge);
    const isKnown = pair !== null && vocab.has(pair[0]) && vocab.has(pair[1]) && vocab.has(pair.join(""));
    if (isKnown) pairs.push(pair);
    else if (reader.problems.problems.length < MAX_FAULTS)
      reader.invalid(`${key}[${i}]`, "two tokens that make a third", `"${printable(merge, 60)}"`);
  });
  return {
    normalizer: pre?.normalizer ?? null,
    pre_tokenizer: pre?.preTokenizer ?? null,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    addBos: pre?.addBos ?? false,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: pre?.ignoreMerges ?? false,
      vocab: Object.fromEntries(vocab),
      merges: pairs,
    },
  };
}
