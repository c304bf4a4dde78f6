// Reading vectors: JSON, tensors, batches. Names and shapes come from the files only.
import { existsSync, readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { decodeToF32 } from "../../src/codecs/index.ts";
import { memorySource } from "../../src/core/index.ts";
import type { MicroBatch } from "../../src/data/index.ts";
import { labelRows } from "../../src/engine/index.ts";
import { openSafetensors, parseJson, requireTensor, type TensorFile } from "../../src/formats/index.ts";

/** Reads a JSON file of the vectors as what the layout says it is. */
export async function readJsonFile<T>(...path: string[]): Promise<T> {
  const file = join(...path);
  return parseJson(await readFile(file, "utf8"), file) as T;
}

/** A safetensors file, read whole: vectors are small. */
export async function readTensors(...path: string[]): Promise<TensorFile> {
  const file = join(...path);
  return openSafetensors(memorySource(new Uint8Array(await readFile(file)), file));
}

/** Whether a file or folder is there. */
export function has(...path: string[]): boolean {
  return existsSync(join(...path));
}

/** Names of the folders in a folder, sorted. */
export function foldersIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

/** The parts that a pattern finds in the names of a folder's entries: its first group, or "" where that is absent. */
export function namesLike(folder: string, pattern: RegExp): string[] {
  return readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const match = pattern.exec(name);
      return match === null ? [] : [match[1] ?? ""];
    });
}

/** A tensor of floats, widened to fp32. */
export async function floats(file: TensorFile, name: string): Promise<Float32Array> {
  const { dtype } = requireTensor(file, name);
  return decodeToF32(dtype, await file.read(name), name);
}

/** A tensor of whole numbers (I64 or I32). */
async function integers(file: TensorFile, name: string): Promise<Int32Array> {
  const { dtype } = requireTensor(file, name);
  const bytes = await file.read(name);
  const { buffer } = bytes.slice();
  return dtype === "I64" ? Int32Array.from(new BigInt64Array(buffer), Number) : new Int32Array(buffer);
}

/** The part of a stack of batches `[N, B, S]` with the given number; a single batch `[B, S]` as it is. */
function part(values: Int32Array, size: number, index: number): Int32Array {
  return values.slice(index * size, (index + 1) * size);
}

/**
 * A batch: `input_ids`, and if they are there `labels`, `attention_mask` and `position_ids`, under a
 * prefix. The mask becomes segments: 1 is a token, 0 padding. Positions count over padding too, as
 * transformers does without `position_ids`.
 */
export async function readBatch(file: TensorFile, prefix = "", index = 0): Promise<MicroBatch> {
  const [sequence, batch] = [...requireTensor(file, `${prefix}input_ids`).shape].reverse() as [number, number];
  const size = batch * sequence;
  const read = async (name: string, fallback: (i: number) => number): Promise<Int32Array> =>
    file.tensors.has(prefix + name)
      ? part(await integers(file, prefix + name), size, index)
      : Int32Array.from({ length: size }, (_, i) => fallback(i));
  const laidOut = {
    batch,
    sequence,
    inputIds: await read("input_ids", () => 0),
    labels: await read("labels", () => -100),
    segments: await read("attention_mask", () => 1),
    positions: await read("position_ids", (i) => i % sequence),
    examples: [],
  };
  const tokenCount = laidOut.segments.reduce((sum, segment) => sum + (segment === 0 ? 0 : 1), 0);
  const labelTokenCount = labelRows({ ...laidOut, tokenCount, labelTokenCount: 0 }).rows.length;
  return { ...laidOut, tokenCount, labelTokenCount };
}

/** All batches of a stack `[N, B, S]`. */
export async function readBatches(file: TensorFile): Promise<MicroBatch[]> {
  const [count] = requireTensor(file, "input_ids").shape as [number];
  const batches: MicroBatch[] = [];
  for (let index = 0; index < count; index++) batches.push(await readBatch(file, "", index));
  return batches;
}

/** Calls `make` once, on the first use. */
export function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

/** Whether a safetensors file lies anywhere below a folder. */
export function holdsTensors(folder: string): boolean {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).some((name) => name.endsWith(".safetensors"));
}
