import type { TrainingResult } from "../../train/index.ts";
import { defineCommand } from "../command.ts";
import { type ConfigFlags, configFlags } from "../config-flags.ts";
import { trainingView } from "../views/training.ts";

export const train = defineCommand<ConfigFlags, [], TrainingResult>({
  brief: "Train a new adapter",
  description:
    "Train a new adapter. Flags override the file, which overrides the preset, which overrides the defaults. Ctrl-C writes a checkpoint and says how to resume.",
  examples: [
    { line: "train -c run.yaml", what: "everything from a file" },
    { line: "train -c run.yaml --rank 32 --learning-rate 1e-4", what: "some of it overridden" },
    { line: "train --preset qlora --base models/m --set data.train=rows.jsonl", what: "no file at all" },
  ],
  flags: configFlags,
  aliases: { c: "config", p: "preset", o: "output", s: "set" },
  positional: { kind: "tuple", parameters: [] },
  async run(flags, _args, { folder, signal, progress }) {
    const [{ resolveConfig }, { configSources }] = await Promise.all([import("../../config/index.ts"), import("../load-config.ts")]);
    const { config, provenance } = resolveConfig(await configSources(flags, folder));
    const library = await import("../../train/index.ts");
    return library.train(config, { onEvent: progress.event, signal, provenance });
  },
  render: trainingView,
  writesCheckpoint: true,
});
