import { HeirloomError } from "../../core/index.ts";
import { OpenPaths } from "../../folders/index.ts";
import { elementCount, type StoredTensor, type TensorFile } from "../../formats/index.ts";
import { pairedChunks, readTensorRange, type TensorPair } from "./paired-chunks.ts";
import { ChangeMeter, type TensorChange } from "./tensor-change.ts";
import type { ChangedTensor, DiffGroup, DiffResult, ShapeMismatch } from "./types.ts";
import { diffNotes, diffVerdict, groupOf } from "./verdict.ts";

/** What may be given beside the paths. */
export interface DiffOptions {
  /** Ends the comparison with INTERRUPTED. */
  readonly signal?: AbortSignal;
}

const sameShape = (a: StoredTensor, b: StoredTensor): boolean => a.shape.join() === b.shape.join();

interface Pairing {
  readonly pairs: readonly TensorPair[];
  readonly onlyInA: readonly string[];
  readonly onlyInB: readonly string[];
  readonly shapeMismatch: readonly ShapeMismatch[];
}

/** Pairs tensors by name; in the order of A's files, so that they are read from front to back. */
function pairUp(a: TensorFile, b: TensorFile): Pairing {
  const pairs: TensorPair[] = [];
  const onlyInA: string[] = [];
  const shapeMismatch: ShapeMismatch[] = [];
  for (const tensor of a.tensors.values()) {
    const other = b.tensors.get(tensor.name);
    if (other === undefined) onlyInA.push(tensor.name);
    else if (sameShape(tensor, other)) pairs.push({ a: tensor, b: other });
    else shapeMismatch.push({ name: tensor.name, a: tensor.shape, b: other.shape });
  }
  return { pairs, onlyInA, onlyInB: [...b.tensors.keys()].filter((name) => !a.tensors.has(name)), shapeMismatch };
}

/** The largest value of what was skipped as equal, once it is known that the tensor changed elsewhere. */
async function addSkipped(tensor: StoredTensor, ranges: readonly (readonly [number, number])[], meter: ChangeMeter): Promise<void> {
  for (const [start, end] of ranges) meter.addSame(await readTensorRange(tensor, start, end, new Uint8Array(end - start)));
}

/** Compares pair after pair; equal bytes are passed over at the speed of memory. */
async function* compareAll(pairs: readonly TensorPair[], { signal }: DiffOptions): AsyncGenerator<readonly [TensorPair, TensorChange]> {
  let meter: ChangeMeter | null = null;
  let skipped: [number, number][] = [];
  for await (const { pair, a, b, startA, isLast } of pairedChunks(pairs)) {
    if (signal?.aborted === true) throw new HeirloomError("INTERRUPTED", "the comparison was interrupted");
    meter ??= new ChangeMeter(pair.a.dtype, pair.b.dtype, elementCount(pair.a.shape) ?? 0);
    if (pair.a.dtype === pair.b.dtype && Buffer.compare(a, b) === 0) skipped.push([startA, startA + a.byteLength]);
    else meter.add(a, b);
    if (!isLast) continue;
    if (meter.hasChanged) await addSkipped(pair.a, skipped, meter);
    yield [pair, meter.result()];
    meter = null;
    skipped = [];
  }
}

function changedTensor({ a, b }: TensorPair, change: TensorChange): ChangedTensor {
  const { maxAbs, maxRel, changed, elements, notFinite } = change;
  return { name: a.name, maxAbs, maxRel, changedShare: changed / elements, elements, dtypeA: a.dtype, dtypeB: b.dtype, notFinite };
}

const largest = (values: readonly (number | null)[]): number | null =>
  values.reduce((most, value) => (value === null ? most : Math.max(most ?? value, value)), null);

function groupsOf(changed: readonly ChangedTensor[], same: readonly string[]): DiffGroup[] {
  const names = new Map<string, { changed: ChangedTensor[]; same: number }>();
  const group = (name: string): { changed: ChangedTensor[]; same: number } => {
    const found = names.get(groupOf(name)) ?? { changed: [], same: 0 };
    names.set(groupOf(name), found);
    return found;
  };
  for (const tensor of changed) group(tensor.name).changed.push(tensor);
  for (const name of same) group(name).same++;
  return [...names].map(([name, { changed: own, same: still }]) => {
    const elements = own.reduce((sum, tensor) => sum + tensor.elements, 0);
    const moved = own.reduce((sum, tensor) => sum + tensor.changedShare * tensor.elements, 0);
    return {
      name,
      same: still,
      changed: own.length,
      maxAbs: largest(own.map(({ maxAbs }) => maxAbs)),
      maxRel: largest(own.map(({ maxRel }) => maxRel)),
      changedShare: elements === 0 ? null : moved / elements,
    };
  });
}

async function compareSides(a: TensorFile, b: TensorFile, options: DiffOptions): Promise<Omit<DiffResult, "a" | "b">> {
  const { pairs, onlyInA, onlyInB, shapeMismatch } = pairUp(a, b);
  const changed: ChangedTensor[] = [];
  const same: string[] = [];
  for await (const [pair, change] of compareAll(pairs, options)) {
    if (change.changed === 0) same.push(pair.a.name);
    else changed.push(changedTensor(pair, change));
  }
  const dtypes = pairs
    .filter((pair) => pair.a.dtype !== pair.b.dtype)
    .map((pair) => ({ name: pair.a.name, a: pair.a.dtype, b: pair.b.dtype }));
  const groups = groupsOf(changed, same);
  const differing = changed.length + onlyInA.length + onlyInB.length + shapeMismatch.length + dtypes.length;
  return {
    identical: differing === 0,
    changed,
    same,
    onlyInA,
    onlyInB,
    shapeMismatch,
    dtypes,
    groups,
    verdict: diffVerdict({ groups, common: pairs.length, onlyInA: onlyInA.length, onlyInB: onlyInB.length, shapeMismatch, dtypes }),
    notes: diffNotes(changed),
  };
}

/**
 * Compares two adapters, checkpoints, models or files tensor by tensor, streaming:
 * 4 MiB of buffers whatever their size. Tensors of different dtypes are compared
 * by value, those of one dtype by their bits.
 *
 * @throws FILE_MISSING, FILE_UNREADABLE, SAFETENSORS_INVALID, SAFETENSORS_TRUNCATED, SHARD_INDEX_INVALID, LFS_POINTER,
 * TORCH_FILE_INVALID, TORCH_FILE_UNSUPPORTED, PICKLE_INVALID, PICKLE_UNSAFE
 * @example
 * const { verdict } = await diffPaths("runs/a/checkpoint-10", "runs/a/checkpoint-20");
 * // all LoRA tensors moved; embed_tokens and lm_head are bit-identical: frozen between A and B
 */
export async function diffPaths(a: string, b: string, options: DiffOptions = {}): Promise<DiffResult> {
  const paths = new OpenPaths();
  try {
    const [sideA, sideB] = [await paths.open(a), await paths.open(b)];
    return { a, b, ...(await compareSides(await sideA.requireWeights(), await sideB.requireWeights(), options)) };
  } finally {
    await paths.close();
  }
}
