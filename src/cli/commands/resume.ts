import type { TrainingResult } from "../../train/index.ts";
import { defineCommand } from "../command.ts";
import { type ConfigFlags, configFlags } from "../config-flags.ts";
import { pathFrom } from "../paths.ts";
import { trainingView } from "../views/training.ts";

interface Flags extends ConfigFlags {
  readonly change?: readonly string[];
}

export const resume = defineCommand<Flags, [run: string], TrainingResult>({
  brief: "Go on with an interrupted run exactly where it stopped",
  description:
    "Go on with an interrupted run from its last whole checkpoint, or from the checkpoint named. Configuration and data are those of the run's record. A checkpoint that the Hugging Face Trainer, TRL or Unsloth wrote is gone on with as a new run: its adapter, AdamW state, groups, rates and schedule are taken over, base and data come from a run file, and whatever that says differently is refused unless a --change names it.",
  examples: [
    { line: "resume runs/a", what: "from its last checkpoint" },
    { line: "resume runs/a/checkpoint-200", what: "from this one" },
    { line: "resume outputs/checkpoint-60 -c run.yaml", what: "go on with a Trainer's run, on the file's base and data" },
  ],
  flags: {
    ...configFlags,
    change: {
      kind: "parsed",
      parse: (text: string) => text,
      optional: true,
      variadic: true,
      brief: "What may differ from another trainer's checkpoint: steps=200, or just its name to take the file's value",
      placeholder: "name[=value]",
    },
  },
  aliases: { c: "config", p: "preset", o: "output", s: "set" },
  positional: {
    kind: "tuple",
    parameters: [{ brief: "Folder of a run or of one of its checkpoints", placeholder: "run", parse: (text: string) => text }],
  },
  async run({ change = [], ...flags }, [run], { folder, signal, progress }) {
    const library = await import("../../train/index.ts");
    const path = pathFrom(folder, run);
    const options = { onEvent: progress.event, signal };
    const checkpoint = await library.locateTrainerCheckpoint(path);
    const given = Object.entries({ ...flags, change: change.length > 0 ? change : undefined }).filter(([, value]) => value !== undefined);
    if (checkpoint === null) {
      const { HeirloomError } = await import("../../core/index.ts");
      if (given.length === 0) return library.resume(path, options);
      throw new HeirloomError("USAGE", "a run of heirloom is resumed as its record has it, so nothing can be set", {
        where: given.map(([name]) => `--${name}`).join(", "),
        hint: `leave the flags out; with another configuration it is a new run: heirloom continue ${run} -c more.yaml`,
      });
    }
    const [{ parseChanges }, { configSources }] = await Promise.all([import("../../config/index.ts"), import("../load-config.ts")]);
    const changes = parseChanges(change, library.HANDOVER_CHANGES);
    return library.resumeTrainer({ checkpoint, changes, sources: await configSources(flags, folder) }, options);
  },
  render: trainingView,
  writesCheckpoint: true,
});
