import { readSync } from "node:fs";
import { InternalError } from "../core/index.ts";
import { type Example, NO_LABEL } from "./example.ts";

/**
 * Examples in 4⅛ bytes a token: each its ids as 32-bit words, then one bit a token (1: labelled), in words of 32. The labels
 * are the ids or −100, so the bits say all of them.
 */
export interface PackedExamples {
  readonly words: Int32Array;
  /** Tokens of each example. */
  readonly lengths: Uint32Array;
  /** Row number of each example in its file. */
  readonly rows: Uint32Array;
}

/** Words of an example of so many tokens. */
export function wordsOf(length: number): number {
  return length + Math.ceil(length / 32);
}

/** Writes an example into words from `at` on. */
export function packExample(inputIds: Int32Array, labels: Int32Array, words: Int32Array, at: number): void {
  const { length } = inputIds;
  words.set(inputIds, at);
  for (let i = 0; i < length; i++) {
    if (labels[i] === NO_LABEL) continue;
    const word = at + length + (i >>> 5);
    words[word] = (words[word] as number) | (1 << (i & 31));
  }
}

/** Words of a store: in memory, or of a file that stays open. */
export type WordSource = Int32Array | { readonly descriptor: number; readonly firstByte: number };

function readWords(source: WordSource, at: number, count: number): Int32Array {
  if (source instanceof Int32Array) return source.subarray(at, at + count);
  const words = new Int32Array(count);
  const bytes = new Uint8Array(words.buffer);
  let done = 0;
  while (done < bytes.length) {
    const read = readSync(source.descriptor, bytes, done, bytes.length - done, source.firstByte + 4 * at + done);
    if (read === 0) throw new InternalError(`the token cache ended at word ${at} of an example; it was complete when it was opened`);
    done += read;
  }
  return words;
}

/** An example whose tokens are fetched when they are asked for. */
class StoredExample implements Example {
  readonly #store: TokenStore;
  readonly #index: number;

  constructor(store: TokenStore, index: number) {
    this.#store = store;
    this.#index = index;
  }

  get length(): number {
    return this.#store.lengths[this.#index] as number;
  }

  get row(): number {
    return this.#store.rows[this.#index] as number;
  }

  get source(): string {
    return this.#store.path;
  }

  get inputIds(): Int32Array {
    return this.#store.ids(this.#index);
  }

  get labels(): Int32Array {
    return this.#store.labels(this.#index);
  }
}

/** The examples of one file, compactly. */
export class TokenStore {
  readonly lengths: Uint32Array;
  readonly rows: Uint32Array;
  readonly path: string;
  readonly #source: WordSource;
  readonly #starts: Float64Array;

  constructor(path: string, source: WordSource, lengths: Uint32Array, rows: Uint32Array) {
    this.path = path;
    this.#source = source;
    this.lengths = lengths;
    this.rows = rows;
    this.#starts = new Float64Array(lengths.length);
    let at = 0;
    for (let i = 0; i < lengths.length; i++) {
      this.#starts[i] = at;
      at += wordsOf(lengths[i] as number);
    }
  }

  /** @returns a copy, or a view that must not be written to */
  ids(index: number): Int32Array {
    return readWords(this.#source, this.#starts[index] as number, this.lengths[index] as number);
  }

  labels(index: number): Int32Array {
    const length = this.lengths[index] as number;
    const words = readWords(this.#source, this.#starts[index] as number, wordsOf(length));
    const labels = words.slice(0, length);
    for (let i = 0; i < length; i++) if ((((words[length + (i >>> 5)] as number) >>> (i & 31)) & 1) === 0) labels[i] = NO_LABEL;
    return labels;
  }

  examples(): Example[] {
    return Array.from(this.lengths, (_, i) => new StoredExample(this, i));
  }
}

/** Packed examples one by one. */
export function* unpack({ words, lengths, rows }: PackedExamples): Generator<Example, void, undefined> {
  yield* new TokenStore("", words, lengths, rows).examples();
}

/** Gathers packed examples into one piece. */
export function joinPacked(parts: readonly PackedExamples[]): PackedExamples {
  const total = (pick: (part: PackedExamples) => { readonly length: number }): number =>
    parts.reduce((sum, part) => sum + pick(part).length, 0);
  const words = new Int32Array(total((part) => part.words));
  const lengths = new Uint32Array(total((part) => part.lengths));
  const rows = new Uint32Array(lengths.length);
  let [word, example] = [0, 0];
  for (const part of parts) {
    words.set(part.words, word);
    lengths.set(part.lengths, example);
    rows.set(part.rows, example);
    word += part.words.length;
    example += part.lengths.length;
  }
  return { words, lengths, rows };
}
