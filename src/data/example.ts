import { renderTrained, type TrainOn } from "./assistant-spans.ts";
import type { ChatTemplate, Span } from "./chat-template.ts";
import type { DataRecord } from "./record.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { toolsAsText } from "./tool-text.ts";
import { trainedTokens } from "./trained-tokens.ts";

/** The label of a token that is not trained, as PyTorch's cross-entropy has it. */
export const NO_LABEL = -100;

/** One tokenized row. `labels[i]` is the id at i or {@link NO_LABEL}; the shift by one happens in the loss. */
export interface Example {
  readonly inputIds: Int32Array;
  readonly labels: Int32Array;
  /** Its tokens, for those that are not held in memory: their ids need not be fetched to know how many there are. */
  readonly length?: number;
  /** Row number in its file, from 1: the line of JSON Lines, the record of other containers. */
  readonly row: number;
  /** Its file. */
  readonly source: string;
}

/** How many tokens an example has. */
export function exampleLength(example: Example): number {
  return example.length ?? example.inputIds.length;
}

/** Token ids and labels of a row, before any limit. */
export interface EncodedRow {
  readonly inputIds: Int32Array;
  readonly labels: Int32Array;
  /** How many ends of trained text fall inside a token. */
  readonly insideToken: number;
}

/** Turns records into ids and labels. */
export type RowEncoder = (record: DataRecord, where: string) => EncodedRow;

/** How records become tokens. */
export interface EncoderOptions {
  /** @defaultValue "assistant" */
  readonly trainOn?: TrainOn;
  /** Whether tools go to the chat template, or into the text of the turns as Hermes has them. @defaultValue "template" */
  readonly tools?: ToolStyle;
}

/** How functions, calls and observations get into a chat. */
export type ToolStyle = "template" | "hermes";

/** What the tokenizer's post-processor puts before and after a text (BOS, with some also EOS). */
function affixes(tokenizer: Tokenizer): { readonly prefix: readonly number[]; readonly suffix: readonly number[] } {
  const probe = "a";
  const plain = tokenizer.encode(probe, { addSpecialTokens: false });
  const framed = tokenizer.encode(probe);
  for (let at = 0; at + plain.length <= framed.length; at++) {
    if (plain.every((id, i) => framed[at + i] === id)) return { prefix: framed.slice(0, at), suffix: framed.slice(at + plain.length) };
  }
  return { prefix: [], suffix: [] };
}

function labelled(ids: readonly number[], isTrained: (index: number) => boolean, insideToken: number): EncodedRow {
  const inputIds = Int32Array.from(ids);
  return { inputIds, labels: inputIds.map((id, i) => (isTrained(i) ? id : NO_LABEL)), insideToken };
}

/**
 * Makes the encoder of a tokenizer and chat template.
 *
 * - a text: what the post-processor adds (usually BOS), the text, EOS if the ids do not end with it; all labelled.
 * - a completion: the same for prompt + completion encoded as one text, as TRL does; labels on each token that holds a
 *   character of the completion, and on EOS; with `trainOn: "all"` on the prompt, too.
 * - a chat: exactly what the chat template renders, nothing added; labels as {@link renderTrained} finds them.
 *
 * A tokenizer without an EOS token gets none added.
 */
export function rowEncoder(tokenizer: Tokenizer, template: () => ChatTemplate, options: EncoderOptions = {}): RowEncoder {
  const { trainOn = "assistant", tools = "template" } = options;
  const { prefix, suffix } = affixes(tokenizer);
  const specials = [...tokenizer.specialTokens.keys()];
  const encodeText = (text: string, span: Span, labelsPrefix: boolean): EncodedRow => {
    const plain = tokenizer.encode(text, { addSpecialTokens: false });
    const { mask, insideToken } = trainedTokens(tokenizer, text, plain, [span]);
    const ids = [...prefix, ...plain, ...suffix];
    if (tokenizer.eosId !== null && ids.at(-1) !== tokenizer.eosId) ids.push(tokenizer.eosId);
    return labelled(ids, (i) => (i < prefix.length ? labelsPrefix : (mask[i - prefix.length] ?? 1) === 1), insideToken);
  };
  return (record, where) => {
    switch (record.kind) {
      case "text":
        return encodeText(record.text, { start: 0, end: record.text.length }, true);
      case "completion": {
        const text = record.prompt + record.completion;
        const isAll = trainOn === "all";
        return encodeText(text, { start: isAll ? 0 : record.prompt.length, end: text.length }, isAll);
      }
      case "chat": {
        const { text, spans } = renderTrained(template(), tools === "hermes" ? toolsAsText(record) : record, trainOn, specials, where);
        const ids = tokenizer.encode(text, { addSpecialTokens: false });
        const { mask, insideToken } = trainedTokens(tokenizer, text, ids, spans);
        return labelled(ids, (i) => mask[i] === 1, insideToken);
      }
    }
  };
}

/** Labels that count in the loss: all but one at the first token, which nothing predicts. */
export function countLabels(labels: Int32Array): number {
  let count = 0;
  for (let i = 1; i < labels.length; i++) if (labels[i] !== NO_LABEL) count++;
  return count;
}
