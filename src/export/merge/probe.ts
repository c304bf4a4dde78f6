import { type AdapterSpec, resolveForEngine } from "../../adapter/index.ts";
import type { Runtime } from "../../compute/index.ts";
import { type MicroBatch, NO_LABEL, type Tokenizer } from "../../data/index.ts";
import { CausalModel, loadModelFolder, loraPlans, type Parameter, readAdapterParameters } from "../../engine/index.ts";
import type { ModelFolder } from "../../folders/index.ts";
import type { TensorFile } from "../../formats/index.ts";
import type { ModelSpec } from "../../model/index.ts";
import type { HeldAs } from "../tensor-rows.ts";
import type { LogitDifference, MergeDtype } from "./api.ts";

/** Prose, digits, code and letters beyond ASCII: what tokens of many kinds have in common is the path through all weights. */
const PROBE_TEXT =
  "An heirloom plant breeds true: the next generation is the same as the last. In 2026, 3/4 of 1,728 seeds (≈ 75 %) came up.\n" +
  "def merge(w, a, b, s):\n    return w + s * (b @ a)  # Ätna, naïve, 東京, 🌱\n";
/** Enough positions for a mean, few enough that a 7B model answers within a minute on two cores. */
const MAX_TEXT_TOKENS = 80;
/** Ids spread over the vocabulary, so that rows which no text reaches are looked at as well. */
const SPREAD_TOKENS = 16;

/** The tokens that a merged model is compared on. */
export function probeIds(spec: ModelSpec, tokenizer: Tokenizer | null, rows: readonly number[] = []): Int32Array {
  const inside = (id: number): boolean => id >= 0 && id < spec.vocabSize;
  const text = tokenizer === null ? [] : tokenizer.encode(PROBE_TEXT).filter(inside).slice(0, MAX_TEXT_TOKENS);
  const spread = Array.from({ length: SPREAD_TOKENS }, (_, i) => Math.floor(((i + 0.5) * spec.vocabSize) / SPREAD_TOKENS));
  const ids = [...text, ...rows.filter(inside).slice(0, SPREAD_TOKENS), ...spread];
  return Int32Array.from(ids.slice(0, Math.min(ids.length, spec.maxPositions)));
}

function probeBatch(ids: Int32Array): MicroBatch {
  return {
    batch: 1,
    sequence: ids.length,
    inputIds: ids,
    labels: new Int32Array(ids.length).fill(NO_LABEL),
    positions: Int32Array.from(ids, (_, i) => i),
    segments: new Int32Array(ids.length).fill(1),
    tokenCount: ids.length,
    labelTokenCount: 0,
    examples: [],
  };
}

/** An adapter that is put on a model for a look. */
export interface ProbedAdapter {
  readonly spec: AdapterSpec;
  readonly tensors: TensorFile;
}

/** Logits [tokens, vocabulary] of a model folder, with or without an adapter. Everything that it loads is given back before the next one. */
export async function probeLogits(
  runtime: Runtime,
  folder: ModelFolder,
  held: HeldAs,
  adapter: ProbedAdapter | null,
  ids: Int32Array,
): Promise<Float32Array> {
  const { spec } = folder;
  const quantization = held === null ? null : { type: "nf4" as const, doubleQuant: held.doubleQuant };
  const base = await loadModelFolder(folder, { quantization, cache: "auto" });
  const resolved = adapter === null ? null : resolveForEngine(spec, adapter.spec);
  let parameters: Parameter[] = [];
  if (adapter !== null && resolved !== null)
    parameters = await readAdapterParameters(adapter.tensors, { spec: adapter.spec, resolved, base, seed: 0, fullCopyDtype: "F32" });
  const lora = resolved === null ? new Map<string, never>() : loraPlans(resolved);
  const model = new CausalModel({ runtime, spec, base, parameters, lora, dropout: 0, activations: "recompute", threads: null });
  try {
    return (await model.logits(probeBatch(ids))).slice();
  } finally {
    await model.dispose();
  }
}

function logSumExp(logits: Float32Array): number {
  const largest = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return largest + Math.log(logits.reduce((sum, value) => sum + Math.exp(value - largest), 0));
}

function indexOfLargest(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[best] as number)) best = i;
  return best;
}

/** Compares logits [tokens, vocabulary] with those of a reference. A NaN anywhere makes every figure NaN. */
export function compareLogits(reference: Float32Array, other: Float32Array, vocabSize: number): LogitDifference {
  const tokens = reference.length / vocabSize;
  let [maxAbs, square, kl, same] = [0, 0, 0, 0];
  for (let t = 0; t < tokens; t++) {
    const [a, b] = [reference.subarray(t * vocabSize, (t + 1) * vocabSize), other.subarray(t * vocabSize, (t + 1) * vocabSize)];
    const [za, zb] = [logSumExp(a), logSumExp(b)];
    for (let i = 0; i < vocabSize; i++) {
      const [x, y] = [a[i] as number, b[i] as number];
      const difference = Math.abs(x - y);
      if (!(difference <= maxAbs)) maxAbs = difference;
      square += difference * difference;
      kl += Math.exp(x - za) * (x - za - (y - zb));
    }
    if (indexOfLargest(a) === indexOfLargest(b)) same++;
  }
  return { maxAbs, rms: Math.sqrt(square / reference.length), kl: Math.max(0, kl / tokens), sameTop: same / tokens };
}

/** Largest relative error of rounding a number to the dtype: half a unit in the last place. */
const UNIT: Readonly<Record<MergeDtype, number>> = { fp32: 2 ** -24, fp16: 2 ** -11, bf16: 2 ** -8 };

/** Products in a row, from embedding to logits: q/k/v, attention's output, gate/up, down in each layer, and the head. */
const productsInARow = (layers: number): number => 4 * layers + 1;

/** Deviation of the logits from their mean in each position. */
function spread(logits: Float32Array, vocabSize: number): number {
  let square = 0;
  for (let start = 0; start < logits.length; start += vocabSize) {
    const row = logits.subarray(start, start + vocabSize);
    const mean = row.reduce((sum, value) => sum + value, 0) / vocabSize;
    for (const value of row) square += (value - mean) ** 2;
  }
  return Math.sqrt(square / logits.length);
}

/**
 * Room over the estimate of {@link logitBound}. Measured ratios: 1.2 to 1.6 (bf16 and fp16, random models of 2 layers), 0.65
 * (bf16, 135M parameters, 30 layers).
 */
const MARGIN = 4;
/** Sums in fp32 are off by some units too, in the adapter and in the merged model: 6.4 to 9.2 of them measured on the same models, before the room. */
const SUMS = 8 * 2 ** -24;

/**
 * Largest root-mean-square difference of logits that rounding explains.
 *
 * Each weight is off by a relative error of at most `unit`, independent of the others, so that a product of n terms is off
 * by about `unit/√3` of its own size, whatever n is; in P products in a row such errors add as squares: `unit·√(P/3)` of the
 * logits' own deviation.
 */
export function logitBound(reference: Float32Array, spec: ModelSpec, dtype: MergeDtype): number {
  return MARGIN * (UNIT[dtype] + SUMS) * Math.sqrt(productsInARow(spec.layerCount) / 3) * spread(reference, spec.vocabSize);
}
