import { dtypeBits, type StoredTensor } from "../../formats/index.ts";

/**
 * Read at a time from each side. Two chunks of two sides are held: 4 MiB in all, little enough to stay in
 * the cache until they are compared. With four times as much, wholly different files take 1.6 times as long;
 * half as much gains nothing. Measured: docs/LOG.md.
 */
const CHUNK_BYTES = 1_048_576;

/** A tensor that both sides have, in the same shape. */
export interface TensorPair {
  readonly a: StoredTensor;
  readonly b: StoredTensor;
}

/** The same elements of both sides. The bytes are overwritten two chunks later. */
export interface PairedChunk {
  readonly pair: TensorPair;
  readonly a: Uint8Array;
  readonly b: Uint8Array;
  /** Where the chunk begins in tensor A, in bytes. */
  readonly startA: number;
  readonly isLast: boolean;
}

interface Range {
  readonly pair: TensorPair;
  readonly startA: number;
  readonly endA: number;
  readonly startB: number;
  readonly endB: number;
  readonly isLast: boolean;
}

/** Which bytes are read, in order. Chunks hold whole elements of both dtypes. */
function* rangesOf(pairs: Iterable<TensorPair>): Generator<Range, void, undefined> {
  for (const pair of pairs) {
    const bitsA = dtypeBits(pair.a.dtype);
    const bitsB = dtypeBits(pair.b.dtype);
    // A multiple of eight elements, so that dtypes of 4 and 6 bits end on whole bytes.
    const elements = Math.floor((8 * CHUNK_BYTES) / Math.max(bitsA, bitsB) / 8) * 8;
    const stepA = (elements * bitsA) / 8;
    const stepB = (elements * bitsB) / 8;
    const sizeA = pair.a.end - pair.a.start;
    const sizeB = pair.b.end - pair.b.start;
    for (let i = 0; ; i++) {
      const endA = Math.min(sizeA, (i + 1) * stepA);
      const isLast = endA === sizeA;
      yield { pair, startA: i * stepA, endA, startB: i * stepB, endB: Math.min(sizeB, (i + 1) * stepB), isLast };
      if (isLast) break;
    }
  }
}

/** Bytes `start` to `end` of a tensor, in `buffer` where its source can fill it. */
export async function readTensorRange(tensor: StoredTensor, start: number, end: number, buffer: Uint8Array): Promise<Uint8Array> {
  const { source } = tensor;
  if (source.readInto === undefined) return source.read(tensor.start + start, tensor.start + end);
  const target = buffer.subarray(0, end - start);
  await source.readInto(target, tensor.start + start);
  return target;
}

/** Reads pairs of tensors side by side; the next chunk is on its way while one is looked at. */
export async function* pairedChunks(pairs: Iterable<TensorPair>): AsyncGenerator<PairedChunk, void, undefined> {
  const ranges = rangesOf(pairs);
  const slots = [0, 1].map(() => ({ a: new Uint8Array(CHUNK_BYTES), b: new Uint8Array(CHUNK_BYTES) })) as [Slot, Slot];
  let turn = 0;
  const readNext = async (): Promise<PairedChunk | null> => {
    const next = ranges.next();
    if (next.done === true) return null;
    const { pair, startA, endA, startB, endB, isLast } = next.value;
    const slot = slots[turn++ % 2] as Slot;
    const [a, b] = await Promise.all([readTensorRange(pair.a, startA, endA, slot.a), readTensorRange(pair.b, startB, endB, slot.b)]);
    return { pair, a, b, startA, isLast };
  };
  let ahead = readNext();
  for (let chunk = await ahead; chunk !== null; chunk = await ahead) {
    ahead = readNext();
    // A failure while the caller works must not count as unhandled; it is thrown by the next await.
    ahead.catch(() => undefined);
    yield chunk;
  }
}

interface Slot {
  readonly a: Uint8Array;
  readonly b: Uint8Array;
}
