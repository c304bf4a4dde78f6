import { totalmem } from "node:os";
import type { PlanOptions, PlanResult } from "../../audit/plan/index.ts";
import { isHeirloomError } from "../../core/index.ts";
import { parseByteSize } from "../byte-size.ts";
import { defineCommand } from "../command.ts";
import { type ConfigFlags, configFlags, textFlag } from "../config-flags.ts";

interface Flags extends ConfigFlags {
  readonly memory?: string;
  readonly calibrate: boolean;
  readonly tensors?: boolean;
}

/** Two seconds of measurement if the engine can run here, else why not. */
function measure(threads: number | null): NonNullable<PlanOptions["speed"]> {
  return async (sizes) => {
    const { calibrate } = await import("../../train/index.ts");
    try {
      return await calibrate(sizes, threads);
    } catch (error) {
      if (isHeirloomError(error) && error.code === "PEER_MISSING") return { reason: "unknown: onnxruntime-node is not installed" };
      throw error;
    }
  };
}

export const plan = defineCommand<Flags, [], PlanResult>({
  brief: "What a run will train, write and need, before it starts",
  description:
    "What a run will train, write and need, from its configuration and the base's config.json: the ledger and PEFT's banner, file sizes to the byte, peak memory by part, operations and, after a measurement of two seconds, the time of an update. Reads no weights and no data; trains nothing.",
  examples: [
    { line: "plan -c run.yaml", what: "this run on this machine" },
    { line: "plan -c run.yaml --memory 64GiB --no-calibrate", what: "on another machine" },
    { line: "plan -c run.yaml --set engine.activations=recompute --json", what: "with a change, for scripts" },
  ],
  flags: {
    ...configFlags,
    memory: textFlag("Memory of the machine that will train, for example 16GiB; default: this one's", "size"),
    calibrate: { kind: "boolean", default: true, brief: "Measure this machine for two seconds, to estimate times" },
    tensors: { kind: "boolean", optional: true, withNegated: false, brief: "List every trained tensor" },
  },
  aliases: { c: "config", p: "preset", o: "output", s: "set" },
  positional: { kind: "tuple", parameters: [] },
  async run({ memory, calibrate, tensors: _shown, ...flags }, _args, { folder }) {
    const memoryBytes = memory === undefined ? totalmem() : parseByteSize(memory, "--memory");
    const [{ resolveConfig }, { configSources }, { planRun }] = await Promise.all([
      import("../../config/index.ts"),
      import("../load-config.ts"),
      import("../../audit/plan/index.ts"),
    ]);
    const { config } = resolveConfig(await configSources(flags, folder));
    const reason = "unknown: not measured (--no-calibrate)";
    const speed = calibrate ? measure(config.engine.threads) : () => Promise.resolve({ reason });
    return planRun(config, { memoryBytes, speed });
  },
  async render(result, view, { tensors = false }) {
    const { planView } = await import("../views/plan.ts");
    return planView(result, view, tensors);
  },
});
