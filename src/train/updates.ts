import type { BatchPosition, BatchSource, MicroBatch } from "../data/index.ts";

/** The micro-batches of the next update: as many as are accumulated, but never across the end of an epoch. */
export function takeUpdate(source: BatchSource, accumulation: number): MicroBatch[] {
  const { epoch } = source.position;
  const batches: MicroBatch[] = [];
  while (batches.length < accumulation && source.position.epoch === epoch) batches.push(source.next());
  return batches;
}

/** Updates in one epoch; its last one may hold fewer micro-batches. */
function updatesInEpoch(source: BatchSource, epoch: number, accumulation: number): number {
  return Math.ceil(source.batchCount(epoch) / accumulation);
}

/** Updates of a whole run: given, or counted over its epochs (a part of an epoch is rounded up). */
export function countUpdates(
  source: BatchSource,
  { steps, epochs, accumulation }: { readonly steps: number | null; readonly epochs: number | null; readonly accumulation: number },
): number {
  if (steps !== null) return steps;
  const whole = Math.floor(epochs ?? 1);
  let total = 0;
  for (let epoch = 0; epoch < whole; epoch++) total += updatesInEpoch(source, epoch, accumulation);
  const part = (epochs ?? 1) - whole;
  // The subtraction leaves 1.1 a part of 0.10000000000000009, which must not round up to one update more.
  return part === 0 ? total : total + Math.ceil(part * updatesInEpoch(source, whole, accumulation) * (1 - 1e-9));
}

/** Where the data stand after a number of updates from the start. */
export function positionAfter(source: BatchSource, updates: number, accumulation: number): BatchPosition {
  let left = updates;
  for (let epoch = 0; ; epoch++) {
    const inEpoch = updatesInEpoch(source, epoch, accumulation);
    if (left < inEpoch) return { epoch, index: left * accumulation };
    left -= inEpoch;
  }
}
