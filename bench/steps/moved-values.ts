// Whether training moved what it trains: a checksum of every tensor, of embeddings of every row, before and after.
import type { MicroBatch } from "../../src/data/index.ts";
import { EMBEDDING_KEY, type Parameter, readValues } from "../../src/engine/index.ts";

/** A 64-bit checksum would be truer; two of 32 bits in one double miss a change once in 2^52. */
const HIGH = 2 ** 20;

/** The values' bits of elements `start` to `end − 1`, as 32-bit words. */
function words(parameter: Parameter, start: number, end: number): Uint32Array {
  const part = readValues(parameter, start, end);
  return new Uint32Array(part.buffer, part.byteOffset, part.length);
}

function checksum(values: Uint32Array): number {
  let [low, high] = [0x811c9dc5, 0x9dc5];
  for (const word of values) {
    low = Math.imul(low ^ word, 0x01000193);
    high = Math.imul(high ^ (word >>> 7) ^ low, 0x85ebca6b);
  }
  return (low >>> 0) * HIGH + ((high >>> 0) % HIGH);
}

/** Rows that are looked at one by one: those of matrices with a row for each token. */
function rowsOf(parameter: Parameter, vocabSize: number): number {
  return parameter.shape[0] === vocabSize ? vocabSize : 1;
}

function checksums(parameter: Parameter, vocabSize: number): Float64Array {
  const rows = rowsOf(parameter, vocabSize);
  const width = parameter.values.length / rows;
  return Float64Array.from({ length: rows }, (_, row) => checksum(words(parameter, row * width, (row + 1) * width)));
}

/** Tokens on which a label depends: all but the last of each segment, after which there is none. */
function usedTokens({ inputIds, segments, sequence }: MicroBatch): number[] {
  return [...inputIds].filter((_, i) => (i + 1) % sequence !== 0 && segments[i] !== 0 && segments[i] === segments[i + 1]);
}

/** What moved between two looks. */
export interface MovedReport {
  readonly tensors: number;
  readonly tensorsMoved: number;
  /** Tokens whose embedding some label depends on, and those of them whose trained row moved; null if the embedding is not trained. */
  readonly seenRows: number | null;
  readonly seenRowsMoved: number | null;
}

/** Looks at all trained tensors; the function that is returned looks again and says what moved. */
export function watchValues(parameters: readonly Parameter[], vocabSize: number): (batches: readonly MicroBatch[]) => MovedReport {
  const before = parameters.map((parameter) => checksums(parameter, vocabSize));
  return (batches) => {
    const moved = parameters.map((parameter, i) => checksums(parameter, vocabSize).map((sum, row) => (sum === before[i]?.[row] ? 0 : 1)));
    const embedding = moved[parameters.findIndex(({ keys }) => keys.includes(EMBEDDING_KEY))];
    const seen = [...new Set(batches.flatMap(usedTokens))];
    return {
      tensors: parameters.length,
      tensorsMoved: moved.filter((rows) => rows.includes(1)).length,
      seenRows: embedding === undefined ? null : seen.length,
      seenRowsMoved: embedding === undefined ? null : seen.filter((id) => embedding[id] === 1).length,
    };
  };
}
