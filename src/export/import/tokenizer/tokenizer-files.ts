import { InternalError } from "../../../core/index.ts";
import { createTokenizer } from "../../../data/index.ts";
import { type GgufMetadata, printable } from "../../../formats/index.ts";
import { MetadataReader } from "../../../model/index.ts";
import { byteLevelParts, type TokenizerParts } from "./bpe.ts";
import { sentencePieceParts } from "./sentencepiece.ts";
import { type AddedToken, addedTokens, readVocabulary, type Vocabulary, vocabularyMap } from "./vocabulary.ts";

/** Files of a tokenizer and of generation, as objects and text. */
export interface TokenizerFolder {
  readonly tokenizer: object;
  readonly config: object;
  readonly generation: object;
  /** Null if the file has no template. */
  readonly chatTemplate: string | null;
  readonly tokenCount: number;
}

/** What `tokenizer.ggml.model` names, as far as it can be taken over. */
const KINDS = { gpt2: "byte-level BPE", llama: "SentencePiece BPE with byte fallback" };
/** Further ends of an answer that a file may name besides EOS. */
const OTHER_ENDS = ["tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];

function partsOf(reader: MetadataReader, vocabulary: Vocabulary, vocab: ReadonlyMap<string, number>): TokenizerParts | null {
  const kind = reader.text("tokenizer.ggml.model");
  if (kind === "gpt2") return byteLevelParts(reader, vocab);
  if (kind === "llama") return sentencePieceParts(reader, vocabulary, vocab);
  const found = kind === null ? "no tokenizer" : `a tokenizer of the kind "${printable(kind, 40)}"`;
  reader.problems.add("GGUF_UNSUPPORTED", `found ${found} (tokenizer.ggml.model)`, {
    where: reader.where,
    hint: `kinds that can be imported: ${Object.entries(KINDS)
      .map(([name, what]) => `${name} (${what})`)
      .join(", ")}`,
  });
  return null;
}

/** What goes around every text: BOS before it, EOS after it. */
function postProcessor(bos: AddedToken | null, eos: AddedToken | null): object | null {
  if (bos === null && eos === null) return null;
  const special = (token: AddedToken | null, id: number): object[] =>
    token === null ? [] : [{ SpecialToken: { id: token.content, type_id: id } }];
  const around = (name: string, id: number): object[] => [
    ...special(bos, id),
    { Sequence: { id: name, type_id: id } },
    ...special(eos, id),
  ];
  const used = [bos, eos].filter((token) => token !== null);
  return {
    type: "TemplateProcessing",
    single: around("A", 0),
    pair: [...around("A", 0), ...around("B", 1)],
    special_tokens: Object.fromEntries(used.map(({ content, id }) => [content, { id: content, ids: [id], tokens: [content] }])),
  };
}

/** One template, or several by name. */
function chatTemplates(reader: MetadataReader): { readonly main: string | null; readonly entry: unknown } {
  const main = reader.text("tokenizer.chat_template");
  const named = (reader.texts("tokenizer.chat_templates") ?? []).flatMap((name) => {
    const template = reader.text(`tokenizer.chat_template.${name}`);
    return template === null || name === "default" ? [] : [{ name, template }];
  });
  if (named.length === 0) return { main, entry: main };
  return { main, entry: [...(main === null ? [] : [{ name: "default", template: main }]), ...named] };
}

/** Keys whose value is known. */
const known = (object: Readonly<Record<string, unknown>>): object =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null && value !== undefined));

/**
 * The tokenizer of a GGUF file as the files of a model folder, tried by encoding a text.
 *
 * @param contextLength for `model_max_length`
 * @throws GGUF_UNSUPPORTED for kinds and pre-tokenizers that are not known, by name; GGUF_INVALID; TOKENIZER_INVALID
 */
export function tokenizerFolder(metadata: GgufMetadata, contextLength: number, where: string): TokenizerFolder {
  const reader = new MetadataReader(metadata, where);
  const vocabulary = readVocabulary(reader);
  const vocab = vocabularyMap(vocabulary, reader);
  const parts = partsOf(reader, vocabulary, vocab);
  const ends = OTHER_ENDS.map((key) => reader.tokenId(key)).filter((id) => id !== null && id < vocabulary.tokens.length);
  const templates = chatTemplates(reader);
  reader.throwIfAny();
  if (parts === null) throw new InternalError("a tokenizer that is not known, and no problem noted");
  const added = addedTokens(vocabulary);
  const byId = new Map(added.map((token) => [token.id, token]));
  const named = (id: number | null): AddedToken | null => (id === null ? null : (byId.get(id) ?? null));
  const [bos, eos] = [named(vocabulary.bos), named(vocabulary.eos)];
  const addBos = bos !== null && (vocabulary.addBos ?? parts.addBos);
  const addEos = eos !== null && (vocabulary.addEos ?? false);
  const { addBos: _used, ...own } = parts;
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: own.normalizer,
    pre_tokenizer: own.pre_tokenizer,
    post_processor: postProcessor(addBos ? bos : null, addEos ? eos : null),
    decoder: own.decoder,
    model: own.model,
  };
  const config = {
    add_bos_token: addBos,
    add_eos_token: addEos,
    added_tokens_decoder: Object.fromEntries(added.map(({ id, ...token }) => [id, token])),
    ...known({
      bos_token: bos?.content,
      eos_token: eos?.content,
      pad_token: named(vocabulary.pad)?.content,
      unk_token: named(vocabulary.unknown)?.content,
      chat_template: templates.entry,
    }),
    clean_up_tokenization_spaces: false,
    model_max_length: contextLength,
    tokenizer_class: "PreTrainedTokenizerFast",
  };
  createTokenizer({ tokenizer, config }, where).encode("1½ tries\n");
  const eosIds = [...new Set([vocabulary.eos, ...ends].filter((id) => id !== null))];
  return {
    tokenizer,
    config,
    generation: known({
      bos_token_id: vocabulary.bos,
      eos_token_id: eosIds.length > 1 ? eosIds : eosIds[0],
      pad_token_id: vocabulary.pad,
    }),
    chatTemplate: templates.main,
    tokenCount: vocab.size,
  };
}
