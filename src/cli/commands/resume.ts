import type { TrainingResult } from "../../train/index.ts";
import { defineCommand } from "../command.ts";
import { pathFrom } from "../paths.ts";
import { trainingView } from "../views/training.ts";

export const resume = defineCommand<object, [run: string], TrainingResult>({
  brief: "Go on with an interrupted run exactly where it stopped",
  description:
    "Go on with an interrupted run from its last whole checkpoint, or from the checkpoint named. Configuration and data are those of the run's record.",
  examples: [
    { line: "resume runs/a", what: "from its last checkpoint" },
    { line: "resume runs/a/checkpoint-200", what: "from this one" },
  ],
  flags: {},
  positional: {
    kind: "tuple",
    parameters: [{ brief: "Folder of a run or of one of its checkpoints", placeholder: "run", parse: (text: string) => text }],
  },
  async run(_flags, [run], { folder, signal, progress }) {
    const library = await import("../../train/index.ts");
    return library.resume(pathFrom(folder, run), { onEvent: progress.event, signal });
  },
  render: trainingView,
  writesCheckpoint: true,
});
