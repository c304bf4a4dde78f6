import type { TrainingResult } from "../../train/index.ts";
import { defineCommand } from "../command.ts";
import { type ConfigFlags, changeFlag, configFlags } from "../config-flags.ts";
import { type ProfileFlag, profileFlag, profileOption } from "../profile-flag.ts";
import { runPath } from "../store-flags.ts";
import { trainingView } from "../views/training.ts";
import { withMeasures } from "../with-measures.ts";

interface Flags extends ConfigFlags, ProfileFlag {
  readonly change?: readonly string[];
}

export const continueCommand = defineCommand<Flags, [adapter: string], TrainingResult>({
  brief: "Continue an adapter on new data, as exactly what it is",
  description:
    "Continue an adapter on new data. Rank, alpha, targets, layers, full copies, dtypes and learning-rate groups are the adapter's own; whatever the file says differently is refused unless a --change names it.",
  examples: [
    { line: "continue runs/a -c more.yaml", what: "new data, same adapter" },
    { line: "continue runs/a/adapter -c more.yaml --change rank=64", what: "widened: same outputs at the start" },
    { line: "continue runs/a -c more.yaml --change groups", what: "with the learning-rate groups of the file" },
  ],
  flags: {
    ...configFlags,
    ...profileFlag,
    change: changeFlag("What may differ from the adapter: rank=64, or just its name to take the file's value"),
  },
  aliases: { c: "config", p: "preset", o: "output", s: "set" },
  positional: {
    kind: "tuple",
    parameters: [
      {
        brief: "Folder of an adapter, a checkpoint or a run, or how a run's id begins or ends",
        placeholder: "adapter",
        parse: (text: string) => text,
      },
    ],
  },
  async run({ change, profile, ...flags }, [adapter], session) {
    const { folder, signal, progress } = session;
    const [{ parseChanges }, { configSources }] = await Promise.all([import("../../config/index.ts"), import("../load-config.ts")]);
    const changes = parseChanges(change ?? []);
    const library = await import("../../train/index.ts");
    const request = { adapter: await runPath(folder, adapter, flags.output), changes, sources: await configSources(flags, folder) };
    return withMeasures(session, library.continueTraining(request, { onEvent: progress.event, signal, ...profileOption(folder, profile) }));
  },
  render: trainingView,
  writesCheckpoint: true,
});
