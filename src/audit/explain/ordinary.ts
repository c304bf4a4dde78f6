import type { BaseSizes } from "./base-sizes.ts";
import type { CopyState } from "./copy-states.ts";
import type { Solution } from "./search.ts";

// How unusual a configuration is: a sum of points, 0 for a LoRA adapter of a usual rank on
// every linear module of every layer. The points are an ordering, not probabilities: what the
// documentation of PEFT, Unsloth and mlx-lm starts from comes first, then what one changes
// first, then what nobody writes by hand. docs/gallery/explain-original-case.md states them.

const RANK_POINTS: ReadonlyMap<number, number> = new Map([
  ...[8, 16, 32, 64].map((rank) => [rank, 0] as const),
  ...[4, 128].map((rank) => [rank, 0.5] as const),
  ...[2, 256].map((rank) => [rank, 1.5] as const),
  ...[1, 512, 1024].map((rank) => [rank, 3] as const),
]);

/** Ranks as tutorials have them; then round ones; a rank beyond 1,024 is a product that happens to fit. */
function rankPoints(rank: number | null): number {
  if (rank === null) return 2;
  const usual = RANK_POINTS.get(rank);
  if (usual !== undefined) return usual;
  if (rank > 1024) return 12;
  if (rank > 256) return 8;
  if (rank % 8 === 0) return 2;
  return rank % 4 === 0 ? 4 : 6;
}

const ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"];
const MLP = ["gate_proj", "up_proj", "down_proj"];
/** Sets that documentation and default values name: PEFT's default for LLaMA, the attention, the feed-forward part. */
const NAMED_SETS: readonly (readonly [readonly string[], number])[] = [
  [["q_proj", "v_proj"], 1],
  [ATTENTION, 1],
  [["q_proj", "k_proj", "v_proj"], 3],
  [["q_proj", "k_proj"], 3],
  [MLP, 3],
  [[...ATTENTION, "gate_proj", "up_proj"], 4],
  [["q_proj", "v_proj", ...MLP], 4],
];

function targetPoints(targets: readonly string[], { linears }: BaseSizes): number {
  const inLayers = targets.filter((name) => linears.some((linear) => linear.name === name));
  const embeddings = targets.length - inLayers.length;
  // LoRA on the head is one more name in a list; on the embedding it is rarer.
  const onEmbeddings = embeddings === 0 ? 0 : targets.includes("embed_tokens") ? 4 : 2;
  if (inLayers.length === linears.length) return onEmbeddings;
  const named = NAMED_SETS.find(([names]) => names.length === inLayers.length && names.every((name) => inLayers.includes(name)));
  return onEmbeddings + (named?.[1] ?? 8);
}

function layerPoints(count: number, { layerCount }: BaseSizes): number {
  if (count === layerCount || count === 0) return 0;
  // mlx-lm trains 16 layers unless told otherwise; halves and quarters are what people try.
  return count === 16 || count * 2 === layerCount || count * 4 === layerCount ? 3 : 4;
}

const STATE_POINTS: Readonly<Record<`${CopyState}/${CopyState}`, number>> = {
  "absent/absent": 0,
  "trained/trained": 1,
  "absent/trained": 1.5,
  "trained/absent": 2,
  "frozen/frozen": 2,
  "absent/frozen": 2.5,
  "frozen/absent": 3,
  "trained/frozen": 4,
  "frozen/trained": 4,
};

/** Points of a configuration; the fewer, the more ordinary. */
export function unusualness(solution: Solution, base: BaseSizes): number {
  const { method, rank, targets, layerCount, loraState, copies, bias, counting } = solution;
  if (method === "full" || method === "none") return counting === "packed" ? 1 : 0;
  return (
    rankPoints(rank) +
    (targets.length === 0 ? 0 : targetPoints(targets, base)) +
    layerPoints(layerCount, base) +
    STATE_POINTS[`${copies.embedding}/${copies.head}`] +
    (copies.shared ? 0.5 : 0) +
    (loraState === "frozen" ? 1 : 0) +
    (method === "dora" ? 3 : 0) +
    (bias === "none" ? 0 : 3) +
    (counting === "packed" ? 1 : 0)
  );
}
