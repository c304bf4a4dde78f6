import { type ModelSpec, modelModules } from "../../model/index.ts";
import type { Trained } from "./trained.ts";

/** Additions and multiplications (2mnk) of matrix products, by what they are for. */
export interface PlannedFlops {
  /** Base weights: 2 per weight and token forward, 2 for the gradient of their input. */
  readonly base: number;
  /** LoRA matrices: 6 per value and token (forward, own gradient, input's gradient). */
  readonly lora: number;
  /** Gradients of base weights that are trained themselves: 2 per weight and token. */
  readonly weightGradients: number;
  /** Scores and sums of values: 2 products forward, 5 backward (probabilities are computed again). */
  readonly attention: number;
  /** Blocks computed a second time, with `activations: recompute`: 2 per weight and token more. */
  readonly recomputed: number;
  /** Head on labelled rows: forward, gradient of its input, and of itself where it is trained. */
  readonly head: number;
  readonly total: number;
}

/** Tokens and labelled rows of one micro-batch. */
export interface BatchShape {
  readonly batch: number;
  readonly sequence: number;
  /** Rows that the head is computed on, padding of its chunks included. */
  readonly headRows: number;
}

/** Queries that are computed together, against all keys up to their last: the engine's chunk, the best of 64, 128 and 256 on two cores. */
const CHUNK_QUERIES = 128;

/** Pairs of query and key that one product of attention computes in a sequence. */
function scoredPairs(sequence: number, window: number | null): number {
  let pairs = 0;
  for (let start = 0; start < sequence; start += CHUNK_QUERIES) {
    const end = Math.min(sequence, start + CHUNK_QUERIES);
    pairs += (end - start) * (end - (window === null ? 0 : Math.max(0, start - window + 1)));
  }
  return pairs;
}

interface LayerSizes {
  /** Weights of the linear layers. */
  weights: number;
  lora: number;
  attentionInputWeights: number;
  attentionInputLoraA: number;
  /** Last product of the block, which nothing needs again. */
  downWeights: number;
  downLoraB: number;
}

function layerSizes(spec: ModelSpec, trained: Trained): LayerSizes[] {
  const layers = Array.from({ length: spec.layerCount }, () => ({
    weights: 0,
    lora: 0,
    attentionInputWeights: 0,
    attentionInputLoraA: 0,
    downWeights: 0,
    downLoraB: 0,
  }));
  for (const { path, kind, shape, layer } of modelModules(spec)) {
    const sizes = layer === null ? undefined : layers[layer];
    if (kind !== "Linear" || sizes === undefined) continue;
    const [outputs, inputs] = shape as readonly [number, number];
    const rank = trained.ranks.get(path) ?? 0;
    sizes.weights += outputs * inputs;
    sizes.lora += rank * (inputs + outputs);
    if (/self_attn\.[qkv]_proj$/.test(path)) {
      sizes.attentionInputWeights += outputs * inputs;
      sizes.attentionInputLoraA += rank * inputs;
    }
    if (path.endsWith(".down_proj")) {
      sizes.downWeights = outputs * inputs;
      sizes.downLoraB = rank * outputs;
    }
  }
  return layers;
}

/**
 * Floating-point operations of one micro-batch, forward and backward. Exact
 * for blocks whose input's gradient is wanted; the lowest trained block may do
 * less than is said here if it has no LoRA on q, k or v.
 */
export function microBatchFlops(
  spec: ModelSpec,
  trained: Trained,
  { batch, sequence, headRows }: BatchShape,
  activations: "keep" | "recompute",
): PlannedFlops {
  const tokens = batch * sequence;
  const width = spec.headCount * spec.headDim;
  let [base, lora, weightGradients, attention, recomputed] = [0, 0, 0, 0, 0];
  for (const [layer, sizes] of layerSizes(spec, trained).entries()) {
    const product = 2 * batch * width * scoredPairs(sequence, spec.slidingWindows[layer] ?? null);
    base += 2 * tokens * sizes.weights;
    lora += 2 * tokens * sizes.lora;
    attention += 2 * product;
    if (layer < trained.lowestLayer) continue;
    const givesInput = layer > trained.lowestLayer || trained.embedding;
    base += 2 * tokens * (sizes.weights - (givesInput ? 0 : sizes.attentionInputWeights));
    lora += 2 * tokens * (2 * sizes.lora - (givesInput ? 0 : sizes.attentionInputLoraA));
    attention += 5 * product;
    if (trained.blocks) weightGradients += 2 * tokens * sizes.weights;
    if (activations === "recompute")
      recomputed += 2 * tokens * (sizes.weights + sizes.lora - sizes.downWeights - sizes.downLoraB) + 2 * product;
  }
  const headWeights = spec.vocabSize * spec.hiddenSize;
  const headLora = (trained.ranks.get("lm_head") ?? 0) * (spec.vocabSize + spec.hiddenSize);
  const head = headRows * ((trained.head ? 6 : 4) * headWeights + 6 * headLora);
  return {
    base,
    lora,
    weightGradients,
    attention,
    recomputed,
    head,
    total: base + lora + weightGradients + attention + recomputed + head,
  };
}
