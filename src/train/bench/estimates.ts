import { type MachineSpeed, planModel } from "../../audit/plan/index.ts";
import { type RunConfig, resolveConfig } from "../../config/index.ts";
import { InternalError } from "../../core/index.ts";
import { type ModelSpec, parameterCount } from "../../model/index.ts";
import type { BenchResult, GemmRate, ModelEstimate } from "./api.ts";
import { KNOWN_MODELS, specOf } from "./known-models.ts";

/** LoRA's rank in all estimates, and in the step that is measured. */
export const RANK = 16;
const FULL_COPIES = ["embed_tokens", "lm_head"];

/** A run of one update on a base that nobody reads. A tied base's embedding and head are trained as the one tensor that they are. */
export function benchConfig(
  method: ModelEstimate["method"],
  { tieWordEmbeddings }: Pick<ModelSpec, "tieWordEmbeddings">,
  { batchSize, sequence }: Pick<BenchResult["assumed"], "batchSize" | "sequence">,
  threads: number | null,
): RunConfig {
  const adapter = { rank: RANK, alpha: 2 * RANK, targetModules: "all-linear" };
  const full = { ...adapter, modulesToSave: FULL_COPIES, fullCopyDtype: "bf16", ...(tieWordEmbeddings ? { ensureWeightTying: true } : {}) };
  const values = {
    base: "shape",
    data: { train: "rows.jsonl", maxLength: sequence },
    quantization: "nf4",
    adapter: method === "full" ? full : adapter,
    training: { steps: 1, batchSize, learningRate: 1e-4 },
    ...(threads === null ? {} : { engine: { threads } }),
  };
  return resolveConfig({ inherited: { name: "bench", values } }).config;
}

/** The rate of the measured product whose size is nearest to a model's largest. */
export function nearestRate(gemm: readonly GemmRate[], { hiddenSize, intermediateSize }: ModelSpec): number {
  const threads = Math.max(...gemm.map((rate) => rate.threads));
  const size = Math.log(hiddenSize * intermediateSize);
  const distance = ({ inFeatures, outFeatures }: GemmRate): number => Math.abs(Math.log(inFeatures * outFeatures) - size);
  const [nearest] = gemm.filter((rate) => rate.threads === threads).sort((a, b) => distance(a) - distance(b));
  if (nearest === undefined) throw new InternalError("no product was measured");
  return nearest.flopsPerSecond;
}

/** What well-known models would need and do on a machine of these rates. */
export async function estimateModels(
  gemm: readonly GemmRate[],
  speed: MachineSpeed,
  assumed: BenchResult["assumed"],
  memoryBytes: number,
): Promise<ModelEstimate[]> {
  const estimates: ModelEstimate[] = [];
  for (const known of KNOWN_MODELS) {
    const spec = specOf(known);
    const rate = { ...speed, productFlopsPerSecond: nearestRate(gemm, spec) };
    for (const method of ["qlora", "full"] as const) {
      const plan = await planModel(benchConfig(method, spec, assumed, null), spec, { memoryBytes, speed: () => Promise.resolve(rate) });
      if (plan.time === null) throw new InternalError("a plan with rates has no time");
      const { totalBytes, fits, remedies } = plan.memory;
      estimates.push({
        model: known.name,
        parameters: parameterCount(spec),
        method,
        trainable: plan.counts.trainable,
        tokensPerSecond: plan.time.tokensPerSecond,
        secondsPerUpdate: plan.time.perUpdate,
        bytes: totalBytes,
        fits,
        remedies: remedies.map(({ settings, bytes, fits: isEnough }) => ({ settings, bytes, fits: isEnough })),
      });
    }
  }
  return estimates;
}
