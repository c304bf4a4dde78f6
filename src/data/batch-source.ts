import { HeirloomError, shuffledIndices } from "../core/index.ts";
import { type Example, exampleLength } from "./example.ts";
import { layOut, type MicroBatch, sequenceBuckets } from "./micro-batch.ts";
import { packFirstFit } from "./pack.ts";

/** How examples become batches. */
export interface BatchOptions {
  /** Rows in a batch. */
  readonly batchSize: number;
  /** Length of a packed row, and the longest example. */
  readonly maxLength: number;
  /** Several examples in a row, without seeing each other. */
  readonly packing: boolean;
  /** What padding holds; it is masked everywhere. @defaultValue 0 */
  readonly padId?: number;
  /** Sequence lengths to pad to, ascending, the last at least `maxLength`. @defaultValue {@link sequenceBuckets} */
  readonly buckets?: readonly number[];
}

/** {@link BatchOptions} with the seed of each epoch's order. */
export interface TrainingBatchOptions extends BatchOptions {
  /** Whole number, 0 to 2^32 − 1. */
  readonly seed: number;
  /** How often the examples come in an epoch, run by run. @defaultValue each once */
  readonly parts?: readonly ExamplePart[];
}

/** A run of examples, and how often they come in one epoch: 2 is twice each, 0.5 half of them, the others in the next. */
export interface ExamplePart {
  /** Index of the first. */
  readonly start: number;
  readonly count: number;
  readonly weight: number;
}

/** Runs of examples one after another, neighbours of one weight as one. */
export function partsOf(runs: readonly { readonly count: number; readonly weight: number }[]): ExamplePart[] {
  const parts: ExamplePart[] = [];
  let start = 0;
  for (const { count, weight } of runs) {
    parts.push({ start, count, weight });
    start += count;
  }
  return parts;
}

/** Where a {@link BatchSource} stands: the next batch is number `index` of epoch `epoch`, both from 0. */
export interface BatchPosition {
  readonly epoch: number;
  readonly index: number;
}

/** The batches of one epoch, each a list of rows of example indices. */
export type EpochPlan = readonly (readonly (readonly number[])[])[];

function lengthsOf(examples: readonly Example[]): Int32Array {
  return Int32Array.from(examples, exampleLength);
}

function intoBatches(rows: readonly (readonly number[])[], batchSize: number): EpochPlan {
  return Array.from({ length: Math.ceil(rows.length / batchSize) }, (_, i) => rows.slice(i * batchSize, (i + 1) * batchSize));
}

/**
 * The examples of an epoch, in the order of the files. Those of a part are drawn from an endless line of shuffled passes over
 * it: epoch e takes what lies between e and e + 1 times its weight, so over epochs every row comes equally often, to one.
 */
function drawn(
  examples: readonly Example[],
  { seed, parts = [{ start: 0, count: examples.length, weight: 1 }] }: TrainingBatchOptions,
  epoch: number,
): Uint32Array {
  const indices: number[] = [];
  for (const [p, { start, count, weight }] of parts.entries()) {
    const first = Math.floor(count * weight * epoch);
    const end = Math.floor(count * weight * (epoch + 1));
    for (let pass = Math.floor(first / count); pass * count < end; pass++) {
      const from = Math.max(first - pass * count, 0);
      const to = Math.min(end - pass * count, count);
      const isWhole = from === 0 && to === count;
      const order = isWhole ? null : shuffledIndices(count, seed, `data/part/${p}/${pass}`);
      for (let i = from; i < to; i++) indices.push(start + (order?.[i] ?? i));
    }
  }
  return Uint32Array.from(indices).sort();
}

/**
 * The order of an epoch; it depends on seed, epoch, lengths and options only. The examples drawn are shuffled; with packing they
 * are then packed first-fit and the rows shuffled again, because first-fit leaves long examples for the last rows. The
 * last batch may have fewer rows.
 */
export function planEpoch(examples: readonly Example[], options: TrainingBatchOptions, epoch: number): EpochPlan {
  const chosen = drawn(examples, options, epoch);
  const order = shuffledIndices(chosen.length, options.seed, `data/examples/${epoch}`).map((index) => chosen[index] as number);
  if (!options.packing)
    return intoBatches(
      Array.from(order, (index) => [index]),
      options.batchSize,
    );
  const packed = packFirstFit(order, lengthsOf(examples), options.maxLength);
  const rows = Array.from(shuffledIndices(packed.length, options.seed, `data/rows/${epoch}`), (r) => packed[r] as number[]);
  return intoBatches(rows, options.batchSize);
}

/** Endless batches, epoch after epoch, from an exact and settable position. */
export class BatchSource {
  readonly #examples: readonly Example[];
  readonly #options: TrainingBatchOptions;
  readonly #buckets: readonly number[];
  #position: BatchPosition = { epoch: 0, index: 0 };
  #planned: { readonly epoch: number; readonly plan: EpochPlan } | undefined;

  /** @throws DATA_EMPTY without examples, or if the weights of their parts leave an epoch without any. */
  constructor(examples: readonly Example[], options: TrainingBatchOptions) {
    if (examples.length === 0) throw new HeirloomError("DATA_EMPTY", "expected examples to train on, found none");
    const { parts } = options;
    // A part that gives at least one row to the first epoch gives one to every epoch.
    if (parts?.every(({ count, weight }) => count * weight < 1) === true)
      throw new HeirloomError("DATA_EMPTY", "the weights of the sources leave epochs without a row", {
        hint: "raise a weight in data.train",
      });
    this.#examples = examples;
    this.#options = options;
    this.#buckets = options.buckets ?? sequenceBuckets(options.maxLength);
  }

  get position(): BatchPosition {
    return this.#position;
  }

  /** The position as a number of epochs: 1.5 is the middle of the second. */
  get epochs(): number {
    return this.#position.epoch + this.#position.index / this.batchCount(this.#position.epoch);
  }

  /** Goes to a batch; the end of an epoch is the start of the next. @throws CHECKPOINT_INVALID for a position that the data do not have. */
  set position(position: BatchPosition) {
    const { epoch, index } = position;
    const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
    if (!isCount(epoch) || !isCount(index) || index > this.batchCount(epoch)) {
      throw new HeirloomError("CHECKPOINT_INVALID", `expected a position within the data, found batch ${index} of epoch ${epoch}`, {
        hint: "resume with the data and the batch size that the run had",
      });
    }
    this.#position = index === this.batchCount(epoch) ? { epoch: epoch + 1, index: 0 } : { epoch, index };
  }

  /** Batches in an epoch; with packing it may differ by a few from epoch to epoch. */
  batchCount(epoch: number): number {
    return this.#plan(epoch).length;
  }

  /** The next batch; the position moves past it. */
  next(): MicroBatch {
    const { epoch, index } = this.#position;
    const rows = this.#plan(epoch)[index] ?? [];
    this.position = { epoch, index: index + 1 };
    return layOut(rows, this.#examples, this.#buckets, this.#options.padId ?? 0);
  }

  #plan(epoch: number): EpochPlan {
    if (this.#planned?.epoch !== epoch) this.#planned = { epoch, plan: planEpoch(this.#examples, this.#options, epoch) };
    return this.#planned.plan;
  }
}

/** All examples in the order of the file, for evaluation: the same batches every time. */
export function evalBatches(examples: readonly Example[], options: BatchOptions): MicroBatch[] {
  const order = Array.from(examples, (_, i) => i);
  const rows = options.packing ? packFirstFit(order, lengthsOf(examples), options.maxLength) : order.map((index) => [index]);
  const buckets = options.buckets ?? sequenceBuckets(options.maxLength);
  return intoBatches(rows, options.batchSize).map((batch) => layOut(batch, examples, buckets, options.padId ?? 0));
}
