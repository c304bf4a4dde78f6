// The 4-bit base of llama-tiny-qlora: read as stored, and made by quantizing the dense base on load.
import { type Nf4Tensor, quantizeNf4 } from "../../../src/codecs/index.ts";
import { type Bnb4bitTensor, readBnb4bit, type TensorFile } from "../../../src/formats/index.ts";
import type { Check, Measure } from "../check.ts";
import { largest, sameBytes, sameSet } from "../compare.ts";
import { floats, has, readTensors } from "../files.ts";
import { loadBase } from "../scene.ts";
import { TOLERANCES } from "../tolerances.ts";

/** Checks that compare the base's numbers; `dense` is the folder of the base that it was made from. */
export function fourBitChecks(folder: string, packed: string, dense: string): Check[] {
  const checks: Check[] = [];
  if (has(folder, "base_dequantized.safetensors")) checks.push({ case: "base", kind: "values", run: () => readsAsStored(folder, packed) });
  if (has(dense, "model.safetensors")) checks.push({ case: "quantize-on-load", kind: "values", run: () => quantizesOnLoad(packed, dense) });
  return checks;
}

/** A 4-bit checkpoint is read bit for bit, with and without its dequantized values kept. */
async function readsAsStored(folder: string, packed: string): Promise<Measure[]> {
  const want = await readTensors(folder, "base_dequantized.safetensors");
  const measures: Measure[] = [];
  for (const cache of ["on", "off"] as const) {
    const { weights } = await loadBase(packed, null, cache);
    measures.push(sameSet("quantized tensors", [...want.tensors.keys()], [...weights.quantized]));
    const errors: [string, number][] = [];
    for (const name of want.tensors.keys()) errors.push([name, sameBytes(name, await floats(want, name), weights.values(name)).error]);
    measures.push(largest(`dequantized, cache ${cache} (differing bytes)`, TOLERANCES.exact, errors));
  }
  return measures;
}

async function quantizesOnLoad(packedFolder: string, denseFolder: string): Promise<Measure[]> {
  const packed = await readTensors(packedFolder, "model.safetensors");
  const dense = await readTensors(denseFolder, "model.safetensors");
  const stored = await loadBase(packedFolder);
  const { weights } = await loadBase(denseFolder, { doubleQuant: stored.weights.doubleQuant, skipModules: ["lm_head"] });
  const [codes, scales, values]: [string, number][][] = [[], [], []];
  for (const name of stored.weights.quantized) {
    const want = await readBnb4bit(packed, name);
    const own = await quantizedAgain(dense, want);
    codes?.push([name, sameBytes(name, want.packed, own.packed).error]);
    const { off, error } = compareScales(want, own);
    scales?.push([name, error]);
    const got = weights.values(name);
    const expected = stored.weights.values(name);
    values?.push([
      name,
      got.reduce((count, value, i) => count + (value === expected[i] || off.has(Math.floor(i / want.blockSize)) ? 0 : 1), 0),
    ]);
  }
  return [
    sameSet("quantized tensors", [...stored.weights.quantized], [...weights.quantized]),
    largest("packed codes (differing bytes)", TOLERANCES.exact, codes ?? []),
    largest("scales, as a share of nested_absmax", TOLERANCES.restoredAbsmax, scales ?? []),
    largest("values outside those blocks", TOLERANCES.exact, values ?? []),
  ];
}

async function quantizedAgain(dense: TensorFile, { name, shape, blockSize, nested }: Bnb4bitTensor): Promise<Nf4Tensor> {
  return quantizeNf4(await floats(dense, name), { shape, blockSize, doubleQuant: nested !== undefined });
}

/**
 * Scales of two quantizations. bitsandbytes looks a scale's code up in a table of rounded positions,
 * so next to a tie it may be one off; ours is the nearest. Those blocks are `off`, and so are the ones
 * whose scale differs in the last places because the mean of all scales does.
 */
function compareScales(want: Bnb4bitTensor, own: Nf4Tensor): { off: Set<number>; error: number } {
  const off = new Set<number>();
  let error = 0;
  for (const [i, scale] of want.absmax.entries()) {
    const difference = Math.abs(scale - (own.absmax[i] ?? Number.NaN));
    if (difference === 0) continue;
    off.add(i);
    if (want.nested === undefined || own.nested === undefined) return { off, error: Number.POSITIVE_INFINITY };
    const [stored, nearest] = [want.nested.absmax[i] as number, own.nested.absmax[i] as number];
    if (Math.abs(stored - nearest) === 1) continue;
    error = Math.max(error, difference / (want.nested.nestedAbsmax[Math.floor(i / want.nested.blockSize)] as number));
  }
  return { off, error };
}
