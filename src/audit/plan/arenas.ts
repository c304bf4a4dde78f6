import { type ModelSpec, modelModules } from "../../model/index.ts";
import type { Trained } from "./trained.ts";

/** Bytes of an fp32 value. */
const FLOAT = 4;
/** Queries that attention takes at once in the engine. */
const CHUNK_QUERIES = 128;

/** What decides how much the runtime keeps for itself. */
export interface ArenaCase {
  readonly spec: ModelSpec;
  readonly trained: Trained;
  readonly activations: "keep" | "recompute";
  readonly batch: number;
  readonly sequence: number;
}

/** Floats per token that a trained block keeps from its forward pass for its backward pass. */
export function keptPerToken(spec: ModelSpec, ranks: number): number {
  const q = spec.headCount * spec.headDim;
  const kv = spec.kvHeadCount * spec.headDim;
  // With q and k norms their inputs and scales are kept as well as their results.
  const norms = spec.qkNorm ? q + kv + spec.headCount + spec.kvHeadCount : 0;
  // Both norms' results and scales, the sum after attention; q, k, v and what attention gives; gate, up and their product; x·Aᵀ.
  return 3 * spec.hiddenSize + 2 + 2 * q + 2 * kv + norms + 3 * spec.intermediateSize + ranks;
}

/** The sum of LoRA ranks in each layer. */
export function ranksOfLayers(spec: ModelSpec, ranks: ReadonlyMap<string, number>): number[] {
  const sums = new Array<number>(spec.layerCount).fill(0);
  for (const { path, layer } of modelModules(spec)) if (layer !== null) sums[layer] = (sums[layer] ?? 0) + (ranks.get(path) ?? 0);
  return sums;
}

/** Layers whose graphs differ, one of each kind; equal ones share a session and its memory. */
function distinctLayers(spec: ModelSpec, trained: Trained): { readonly ranks: number; readonly isTrained: boolean }[] {
  const plans = Array.from({ length: spec.layerCount }, (_, layer) => [
    String(spec.slidingWindows[layer] ?? null),
    layer < trained.lowestLayer ? "forward" : String(layer > trained.lowestLayer || trained.embedding),
  ]);
  for (const { path, layer } of modelModules(spec)) {
    if (layer !== null) plans[layer]?.push(`${path.slice(path.lastIndexOf(".") + 1)} ${trained.ranks.get(path) ?? 0}`);
  }
  const ranks = ranksOfLayers(spec, trained.ranks);
  const layers = new Map(plans.map((plan, layer) => [plan.join(" "), layer]));
  return [...layers.values()].map((layer) => ({ ranks: ranks[layer] ?? 0, isTrained: layer >= trained.lowestLayer }));
}

/**
 * Bytes that onnxruntime keeps between runs: each compiled graph has an arena of
 * its own, which grows to the graph's peak and is not given back. What a graph
 * holds at its peak was measured as the growth of the resident set in its first
 * run, on two shapes (D = 256 and 576) and 512 to 4096 tokens; the factors below
 * are within a fifth of those figures. Not countable from outside.
 */
export function arenaBytes({ spec, trained, activations, batch, sequence }: ArenaCase): number {
  const tokens = batch * sequence;
  const { hiddenSize: d, intermediateSize: i } = spec;
  const width = spec.headCount * spec.headDim;
  const scores = 3 * spec.headCount * Math.min(CHUNK_QUERIES, sequence);
  const chunks = Math.ceil(sequence / CHUNK_QUERIES);
  const again = activations === "recompute";
  let floats = 0;
  for (const { ranks, isTrained } of distinctLayers(spec, trained)) {
    floats += tokens * ((again ? 3 : 2) * i + (again ? 2 : 1) * d + scores);
    if (!isTrained) continue;
    // Each chunk of queries leaves its own part of the gradients of keys and values until all are added up.
    floats += tokens * (2 * i + scores + 5.7 * d + 2.75 * chunks * width + (again ? keptPerToken(spec, ranks) : 0));
  }
  return FLOAT * floats;
}
