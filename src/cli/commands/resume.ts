import type { FlagValue } from "../../config/index.ts";
import { HeirloomError } from "../../core/index.ts";
import type { TrainingResult } from "../../train/index.ts";
import { defineCommand } from "../command.ts";
import { type ConfigFlags, changeFlag, configFlags, typedFlag } from "../config-flags.ts";
import { type ProfileFlag, profileFlag, profileOption } from "../profile-flag.ts";
import { runPath } from "../store-flags.ts";
import { trainingView } from "../views/training.ts";
import { withMeasures } from "../with-measures.ts";

interface Flags extends ConfigFlags, ProfileFlag {
  readonly change?: readonly string[];
}

async function flagChanges(changes: readonly string[]): Promise<FlagValue[]> {
  if (changes.length === 0) return [];
  const { parseSetFlag } = await import("../../config/index.ts");
  return changes.map((text) => ({ ...parseSetFlag(text), flag: `--change ${text}` }));
}

export const resume = defineCommand<Flags, [run: string], TrainingResult>({
  brief: "Go on with an interrupted run exactly where it stopped",
  description:
    "Go on with an interrupted run from its last whole checkpoint, or from the checkpoint named. Configuration and data are those of the run's record, but for what a --change names: how long it goes on, how fast, how it evaluates, keeps and computes; what becomes of the schedule is said. A checkpoint that the Hugging Face Trainer, TRL or Unsloth wrote is gone on with as a new run: its adapter, AdamW state, groups, rates and schedule are taken over, base and data come from a run file, and whatever that says differently is refused unless a --change names it.",
  examples: [
    { line: "resume runs/a", what: "from its last checkpoint" },
    { line: "resume runs/a/checkpoint-200", what: "from this one" },
    { line: "resume runs/a --change training.steps=400", what: "further than was planned" },
    { line: "resume outputs/checkpoint-60 -c run.yaml", what: "go on with a Trainer's run, on the file's base and data" },
  ],
  flags: {
    ...configFlags,
    ...profileFlag,
    change: changeFlag(
      "What may differ: training.steps=200; of another trainer's checkpoint steps=200, or just a name to take the file's value",
    ),
  },
  aliases: { c: "config", p: "preset", o: "output", s: "set" },
  positional: {
    kind: "tuple",
    parameters: [
      {
        brief: "Folder of a run or of one of its checkpoints, or how a run's id begins or ends",
        placeholder: "run",
        parse: (text: string) => text,
      },
    ],
  },
  async run({ change = [], profile, ...flags }, [run], session) {
    const { folder, signal, progress } = session;
    const library = await import("../../train/index.ts");
    const path = await runPath(folder, run, flags.output);
    const options = { onEvent: progress.event, signal, ...profileOption(folder, profile) };
    const checkpoint = await library.locateTrainerCheckpoint(path);
    const given = Object.entries(flags).filter(([, value]) => value !== undefined);
    if (checkpoint === null) {
      if (given.length === 0) return withMeasures(session, library.resume(path, { ...options, changes: await flagChanges(change) }));
      throw new HeirloomError("USAGE", "a run of heirloom is resumed as its record has it, but for what --change names", {
        where: given.map(([name, value]) => typedFlag(name, value)).join(", "),
        hint: `for instance --change training.steps=400; with another configuration it is a new run: heirloom continue ${run} -c more.yaml`,
      });
    }
    const [{ parseChanges }, { configSources }] = await Promise.all([import("../../config/index.ts"), import("../load-config.ts")]);
    const changes = parseChanges(change, library.HANDOVER_CHANGES);
    return withMeasures(session, library.resumeTrainer({ checkpoint, changes, sources: await configSources(flags, folder) }, options));
  },
  render: trainingView,
  writesCheckpoint: true,
});
