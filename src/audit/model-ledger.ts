import { bnb4bitNames, bnb4bitParts, type StoredTensor, type TensorFile } from "../formats/index.ts";
import type { Ledger, LedgerEntry } from "../ledger/index.ts";
import { type ModelSpec, modelParameters } from "../model/index.ts";

function countOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function moduleOf(name: string): string {
  const end = name.lastIndexOf(".");
  return end < 0 ? name : name.slice(0, end);
}

/**
 * The ledger of a model's files by their headers. A 4-bit weight and its scales are one entry;
 * its shape is the model's where that is known, else the number of its codes.
 */
export function modelLedger(file: TensorFile, spec: ModelSpec | null): Ledger {
  const shapes = new Map(spec === null ? [] : modelParameters(spec).map(({ name, shape }) => [name, shape]));
  const packed = new Map(bnb4bitNames(file).map((name) => [name, bnb4bitParts(file, name)]));
  const parts = new Set([...packed.values()].flat());
  const bytesOf = (name: string): number => {
    const tensor = file.tensors.get(name);
    return tensor === undefined ? 0 : tensor.end - tensor.start;
  };
  const entryOf = ({ name, dtype, shape }: StoredTensor): LedgerEntry => {
    const scales = packed.get(name);
    const fullShape = scales === undefined ? shape : (shapes.get(name) ?? [2 * countOf(shape)]);
    const bytes = [name, ...(scales ?? [])].reduce((sum, part) => sum + bytesOf(part), 0);
    return {
      name,
      module: moduleOf(name),
      role: scales === undefined ? "base" : "quantized_base",
      shape: fullShape,
      dtype: scales === undefined ? dtype : "NF4",
      bytes,
      parameters: countOf(fullShape),
      trainable: false,
      group: null,
      state: "present",
    };
  };
  return { basis: "recorded", entries: [...file.tensors.values()].filter(({ name }) => !parts.has(name)).map(entryOf) };
}
