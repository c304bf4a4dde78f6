import type { BaseSizes } from "./base-sizes.ts";
import { type FileDtypes, type FileSize, fileSizes, type Hypothesis, type TrainedCounts, trainedCounts } from "./hypothesis.ts";

/** The same selection of modules, layers and copies at one rank. */
export interface Sibling extends TrainedCounts {
  readonly rank: number;
  /** Values of the LoRA tensors: the count when the copies are frozen. */
  readonly lora: number;
  readonly files: readonly FileSize[];
}

/** Ranks that people choose. */
export const USUAL_RANKS = [4, 8, 16, 32, 64, 128] as const;

/** A hypothesis at the usual ranks beside its own, all that it holds trained; none for what has no plain LoRA. */
export function siblingsOf(hypothesis: Hypothesis | undefined, base: BaseSizes, dtypes: FileDtypes | null): Sibling[] {
  if (hypothesis === undefined || hypothesis.method !== "lora") return [];
  const { rank, targets, layers, files, unfrozen } = hypothesis;
  if (rank === null || layers === null || unfrozen === null) return [];
  const inLayers = base.linears.filter(({ name }) => targets.includes(name)).reduce((sum, { perRank }) => sum + perRank, 0);
  const onEmbeddings = targets.filter((name) => name === "lm_head" || name === "embed_tokens").length * (base.vocabSize + base.hiddenSize);
  const perRank = layers.count * inLayers + onEmbeddings;
  const rest = unfrozen.trainable - perRank * rank;
  const full = files.find(({ lora, copies }) => lora === "F32" && (copies ?? "F32") === "F32");
  const stored = full === undefined ? 0 : full.bytes / 4 - perRank * rank;
  const ranks = [...new Set([...USUAL_RANKS, rank])].sort((a, b) => a - b);
  return ranks.map((other) => ({
    rank: other,
    lora: other * perRank,
    ...trainedCounts(rest + other * perRank, unfrozen.all + (other - rank) * perRank),
    files: fileSizes(other * perRank, stored, dtypes),
  }));
}
