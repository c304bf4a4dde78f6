// The 4-bit base of llama-tiny-qlora: read as stored, and made by quantizing the dense base on load.
import { type Nf4Tensor, quantizeNf4 } from "../../../src/codecs/index.ts";
import { type Bnb4bitTensor, readBnb4bit, type TensorFile } from "../../../src/formats/index.ts";
import type { Check, Measure } from "../check.ts";
import { largest, sameBytes, sameSet } from "../compare.ts";
import { floats, has, readBatch, readTensors } from "../files.ts";
import { logitsMeasure } from "../logits.ts";
import { type LoadedBase, loadBase, withModel } from "../scene.ts";
import { TOLERANCES } from "../tolerances.ts";

/** Checks that compare the base's numbers; `dense` is the folder of the base that it was made from. */
export function fourBitChecks(folder: string, packed: string, dense: string): Check[] {
  const checks: Check[] = [];
  if (has(folder, "base_dequantized.safetensors")) checks.push({ case: "base", kind: "values", run: () => readsAsStored(folder, packed) });
  if (has(dense, "model.safetensors"))
    checks.push({ case: "quantize-on-load", kind: "values", run: () => quantizesOnLoad(folder, packed, dense) });
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

async function quantizesOnLoad(folder: string, packedFolder: string, denseFolder: string): Promise<Measure[]> {
  const packed = await readTensors(packedFolder, "model.safetensors");
  const dense = await readTensors(denseFolder, "model.safetensors");
  const stored = await loadBase(packedFolder);
  const quantized = await loadBase(denseFolder, { doubleQuant: stored.weights.doubleQuant, skipModules: ["lm_head"] });
  const { weights } = quantized;
  const codes: [string, number][] = [];
  const scales: [string, number][] = [];
  const values: [string, number][] = [];
  let sameScaleCodes = true;
  for (const name of stored.weights.quantized) {
    const want = await readBnb4bit(packed, name);
    const own = await quantizedAgain(dense, want);
    codes.push([name, sameBytes(name, want.packed, own.packed).error]);
    const { off, error, sameCodes } = compareScales(want, own);
    sameScaleCodes &&= sameCodes;
    scales.push([name, error]);
    const got = weights.values(name);
    const expected = stored.weights.values(name);
    values.push([
      name,
      got.reduce((count, value, i) => count + (value === expected[i] || off.has(Math.floor(i / want.blockSize)) ? 0 : 1), 0),
    ]);
  }
  return [
    sameSet("quantized tensors", [...stored.weights.quantized], [...weights.quantized]),
    largest("packed codes (differing bytes)", TOLERANCES.exact, codes),
    largest("scales, as a share of nested_absmax", TOLERANCES.restoredAbsmax, scales),
    largest("values in all other blocks (differing)", TOLERANCES.exact, values),
    // A code one off moves its block by a percent or so: two right models, but not the same logits.
    ...(sameScaleCodes && has(folder, "forward.safetensors") ? [await logitsOf(folder, quantized)] : []),
  ];
}

async function logitsOf(folder: string, base: LoadedBase): Promise<Measure> {
  const file = await readTensors(folder, "forward.safetensors");
  const batch = await readBatch(file, "full.");
  const want = await floats(file, "full.logits");
  return withModel(base, null, ({ model }) => logitsMeasure("logits", model, batch, want));
}

async function quantizedAgain(dense: TensorFile, { name, shape, blockSize, nested }: Bnb4bitTensor): Promise<Nf4Tensor> {
  return quantizeNf4(await floats(dense, name), { shape, blockSize, doubleQuant: nested !== undefined });
}

interface ScaleComparison {
  /** Blocks whose scales differ at all. */
  readonly off: ReadonlySet<number>;
  /** Largest difference as a share of nested_absmax, without what the mean of the scales contributes. */
  readonly error: number;
  readonly sameCodes: boolean;
}

/**
 * Scales of two quantizations. bitsandbytes looks a scale's code up in a table of rounded positions,
 * so next to a tie it may be one off, in a way that its versions and devices differ in. The mean of the scales may differ in its
 * last place, and with it every scale (once by itself, once through nested_absmax).
 */
function compareScales(want: Bnb4bitTensor, own: Nf4Tensor): ScaleComparison {
  const off = new Set<number>();
  let error = 0;
  let sameCodes = true;
  const shift = 2 * Math.abs((want.nested?.offset ?? 0) - (own.nested?.offset ?? 0));
  for (const [i, scale] of want.absmax.entries()) {
    const difference = Math.abs(scale - (own.absmax[i] ?? Number.NaN));
    if (difference === 0) continue;
    off.add(i);
    if (want.nested === undefined || own.nested === undefined) return { off, error: Number.POSITIVE_INFINITY, sameCodes };
    const step = Math.abs((want.nested.absmax[i] as number) - (own.nested.absmax[i] as number));
    if (step !== 0) sameCodes = false;
    // The vectors do not say which codes lie next to a tie here, as those of nf4 do.
    if (step === 1 || difference <= shift) continue;
    error = Math.max(error, (difference - shift) / (want.nested.nestedAbsmax[Math.floor(i / want.nested.blockSize)] as number));
  }
  return { off, error, sameCodes };
}
