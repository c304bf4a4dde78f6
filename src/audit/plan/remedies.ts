import type { RunConfig } from "../../config/index.ts";
import type { ModelSpec } from "../../model/index.ts";
import type { Remedy } from "./types.ts";

interface Step {
  readonly settings: readonly string[];
  readonly price: string;
  readonly config: RunConfig;
}

/** What can be changed, cheapest first: what costs only time before what costs precision or what is learned. */
const STEPS: readonly ((config: RunConfig, spec: ModelSpec) => Step | null)[] = [
  (config, spec) => {
    const isQuantized = config.quantization !== null || spec.quantization !== null;
    if (!isQuantized || config.engine.dequantizedCache === "off") return null;
    return {
      settings: ["engine.dequantizedCache=off"],
      price: "weights are dequantized again in every pass",
      config: { ...config, engine: { ...config.engine, dequantizedCache: "off" } },
    };
  },
  (config) => {
    if (config.engine.activations === "recompute") return null;
    return {
      settings: ["engine.activations=recompute"],
      price: "about half as much time again",
      config: { ...config, engine: { ...config.engine, activations: "recompute" } },
    };
  },
  (config) => {
    const { batchSize, accumulation } = config.training;
    if (batchSize === 1) return null;
    return {
      settings: ["training.batchSize=1", `training.accumulation=${accumulation * batchSize}`],
      price: "the same updates in smaller pieces: somewhat slower",
      config: { ...config, training: { ...config.training, batchSize: 1, accumulation: accumulation * batchSize } },
    };
  },
  (config, spec) => {
    if (config.quantization !== null || spec.quantization !== null || config.fullParameter) return null;
    return {
      settings: ["quantization=nf4", "engine.dequantizedCache=off"],
      price: "the frozen base loses precision to 4 bits",
      config: {
        ...config,
        quantization: { type: "nf4", doubleQuant: true },
        engine: { ...config.engine, dequantizedCache: "off" },
      },
    };
  },
  (config) => {
    const copies = config.adapter?.modulesToSave ?? [];
    if (config.adapter === null || copies.length === 0) return null;
    // A group of the copies alone would be left without a tensor, which is an error.
    const groups = config.training.groups.filter(({ match }) => !match.some((pattern) => copies.some((copy) => pattern.includes(copy))));
    const isShorter = groups.length < config.training.groups.length;
    return {
      settings: ["adapter.modulesToSave=[]", ...(isShorter ? [`training.groups=${JSON.stringify(groups)}`] : [])],
      price: `${copies.join(" and ")} stay as they are: another adapter than was planned`,
      config: { ...config, adapter: { ...config.adapter, modulesToSave: [] }, training: { ...config.training, groups } },
    };
  },
  (config) => {
    const { maxLength } = config.data;
    if (maxLength <= 256) return null;
    const shorter = Math.max(256, 8 * Math.ceil(maxLength / 16));
    return {
      settings: [`data.maxLength=${shorter}`],
      price: "longer rows no longer fit",
      config: { ...config, data: { ...config.data, maxLength: shorter } },
    };
  },
];

/**
 * Settings that bring the peak down, each on top of those before it, until the
 * run fits. What saves nothing is left out; the last one may not fit either.
 */
export function remediesFor(
  config: RunConfig,
  spec: ModelSpec,
  now: { readonly bytes: number; readonly limit: number; peak(config: RunConfig): number },
): Remedy[] {
  const remedies: Remedy[] = [];
  let [current, bytes] = [config, now.bytes];
  for (const step of STEPS) {
    if (bytes <= now.limit) break;
    const next = step(current, spec);
    if (next === null) continue;
    const peak = now.peak(next.config);
    if (peak >= bytes) continue;
    [current, bytes] = [next.config, peak];
    remedies.push({ settings: next.settings, price: next.price, bytes, fits: bytes <= now.limit });
  }
  return remedies;
}
