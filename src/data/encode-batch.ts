import { isHeirloomError, type Problem } from "../core/index.ts";
import { countLabels, type EncodedRow, NO_LABEL, type RowEncoder } from "./example.ts";
import type { DataRecord } from "./record.ts";
import { type PackedExamples, packExample, wordsOf } from "./token-store.ts";

/** What happens to a row of more than `maxLength` tokens; every such row is counted in the report. */
export type TooLongPolicy = "error" | "truncate" | "drop" | "split";

/** What limits rows, and what becomes of those beyond it. */
export interface RowLimits {
  readonly maxLength: number;
  readonly onTooLong: TooLongPolicy;
}

/** Records of one file in order. */
export interface RecordBatch {
  readonly records: readonly DataRecord[];
  /** Row number of each record. */
  readonly rows: readonly number[];
  readonly path: string;
}

/** Counts over records; sums over batches, but for `longest`. */
export interface EncodeCounts {
  tooLong: number;
  truncated: number;
  split: number;
  droppedTooLong: number;
  unlabelled: number;
  longest: number;
  tokens: number;
  labelTokens: number;
  mixedTokenRows: number;
  /** Examples whose only label is the end of the text. */
  endOnly: number;
}

/** What became of a batch. */
export interface EncodedBatch extends PackedExamples {
  readonly counts: EncodeCounts;
  /** Tokens of each record before any limit, and labels that count among them; 0 for a record with a problem. */
  readonly tokenCounts: Uint32Array;
  readonly labelCounts: Uint32Array;
  /** Of each record, how many ends of trained text fall inside a token. */
  readonly insideCounts: Uint32Array;
  readonly problems: readonly { readonly row: number; readonly problems: readonly Problem[] }[];
}

export function noCounts(): EncodeCounts {
  return {
    tooLong: 0,
    truncated: 0,
    split: 0,
    droppedTooLong: 0,
    unlabelled: 0,
    longest: 0,
    tokens: 0,
    labelTokens: 0,
    mixedTokenRows: 0,
    endOnly: 0,
  };
}

export function addCounts(sum: EncodeCounts, more: EncodeCounts): void {
  for (const key of Object.keys(sum) as (keyof EncodeCounts)[])
    sum[key] = key === "longest" ? Math.max(sum.longest, more.longest) : sum[key] + more[key];
}

type Encoded = Pick<EncodedRow, "inputIds" | "labels">;

/** An example that is longer than the limit, as the policy has it: none, its beginning, or its parts. */
function withinLimit(encoded: Encoded, kind: DataRecord["kind"], { maxLength, onTooLong }: RowLimits, counts: EncodeCounts): Encoded[] {
  const { inputIds, labels } = encoded;
  if (inputIds.length <= maxLength) return [encoded];
  counts.tooLong++;
  const part = (start: number): Encoded => ({
    inputIds: inputIds.slice(start, start + maxLength),
    labels: labels.slice(start, start + maxLength),
  });
  if (onTooLong === "truncate") {
    counts.truncated++;
    return [part(0)];
  }
  if (onTooLong === "split" && kind === "text") {
    counts.split++;
    return Array.from({ length: Math.ceil(inputIds.length / maxLength) }, (_, i) => part(i * maxLength));
  }
  if (onTooLong === "drop") counts.droppedTooLong++;
  return [];
}

/** Whether the end of the text is all that there is to learn; the first token's label does not count. */
function isEndOnly(labels: Int32Array, eosId: number | null): boolean {
  return eosId !== null && labels.every((label, i) => i === 0 || label === NO_LABEL || label === eosId);
}

/** Gathers the examples of a batch. */
class Packer {
  readonly #examples: Encoded[] = [];
  readonly #rows: number[] = [];
  #words = 0;

  add(example: Encoded, row: number): void {
    this.#examples.push(example);
    this.#rows.push(row);
    this.#words += wordsOf(example.inputIds.length);
  }

  packed(): PackedExamples {
    const words = new Int32Array(this.#words);
    let at = 0;
    for (const { inputIds, labels } of this.#examples) {
      packExample(inputIds, labels, words, at);
      at += wordsOf(inputIds.length);
    }
    return { words, lengths: Uint32Array.from(this.#examples, ({ inputIds }) => inputIds.length), rows: Uint32Array.from(this.#rows) };
  }
}

/** Tokenizes the records of a batch. It depends on nothing but its arguments, so it gives the same on any thread. */
export function encodeBatch(
  { records, rows, path }: RecordBatch,
  encode: RowEncoder,
  limits: RowLimits,
  eosId: number | null,
): EncodedBatch {
  const counts = noCounts();
  const packer = new Packer();
  const tokenCounts = new Uint32Array(records.length);
  const labelCounts = new Uint32Array(records.length);
  const insideCounts = new Uint32Array(records.length);
  const problems: { row: number; problems: readonly Problem[] }[] = [];
  for (const [i, record] of records.entries()) {
    const row = rows[i] as number;
    let encoded: EncodedRow;
    try {
      encoded = encode(record, `${path}:${row}`);
    } catch (error) {
      if (!isHeirloomError(error)) throw error;
      problems.push({ row, problems: error.problems });
      continue;
    }
    tokenCounts[i] = encoded.inputIds.length;
    labelCounts[i] = countLabels(encoded.labels);
    insideCounts[i] = encoded.insideToken;
    counts.longest = Math.max(counts.longest, encoded.inputIds.length);
    for (const example of withinLimit(encoded, record.kind, limits, counts)) {
      const labelTokens = countLabels(example.labels);
      if (labelTokens === 0) {
        counts.unlabelled++;
        continue;
      }
      if (encoded.insideToken > 0) counts.mixedTokenRows++;
      if (isEndOnly(example.labels, eosId)) counts.endOnly++;
      counts.tokens += example.inputIds.length;
      counts.labelTokens += labelTokens;
      packer.add(example, row);
    }
  }
  return { ...packer.packed(), counts, tokenCounts, labelCounts, insideCounts, problems };
}
