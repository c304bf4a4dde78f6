import { HeirloomError, isHeirloomError } from "../../core/index.ts";
import type { EvaluationResult } from "../../train/index.ts";
import { defineCommand } from "../command.ts";
import { textFlag } from "../config-flags.ts";
import { optionalPaths, pathFrom } from "../paths.ts";
import { evaluationView } from "../views/evaluation.ts";
import { wholeNumber } from "../whole-number.ts";

interface Flags {
  readonly base?: string;
  readonly data?: readonly string[];
  readonly maxLength?: number;
  readonly batchSize?: number;
}

/** Advice about a run file's keys, of which this command has but a flag. */
function inFlags(error: unknown): unknown {
  if (!isHeirloomError(error) || error.code !== "DATA_ROW_TOO_LONG") return error;
  const [first, ...rest] = error.problems.map((problem) => {
    const longest = problem.details?.["longest"];
    const length = typeof longest === "number" ? ` ${longest}` : "";
    return { ...problem, hint: `evaluate with --max-length${length}, or take the long rows out of the file` };
  });
  return first === undefined ? error : HeirloomError.of([first, ...rest]);
}

export const evalCommand = defineCommand<Flags, [path: string], EvaluationResult>({
  brief: "Loss and perplexity of an adapter or model on held-out data",
  examples: [
    { line: "eval runs/a", what: "on the run's own held-out sets" },
    { line: "eval runs/a/adapter --base models/m --data held-out.jsonl", what: "on another file" },
  ],
  flags: {
    base: textFlag("Base model, if the record names none or another is meant", "path"),
    data: {
      kind: "parsed",
      parse: (text: string) => text,
      optional: true,
      variadic: true,
      brief: "Data file; may be given several times",
      placeholder: "file",
    },
    maxLength: { kind: "parsed", parse: wholeNumber, optional: true, brief: "Longest row in tokens", placeholder: "tokens" },
    batchSize: { kind: "parsed", parse: wholeNumber, optional: true, brief: "Sequences in a batch", placeholder: "count" },
  },
  positional: {
    kind: "tuple",
    parameters: [{ brief: "Folder of an adapter, a checkpoint, a run or a model", placeholder: "path", parse: (text: string) => text }],
  },
  async run({ base, data, ...sizes }, [path], { folder, signal, progress }) {
    const library = await import("../../train/index.ts");
    const sets = data === undefined ? {} : { data: data.map((file) => pathFrom(folder, file)) };
    const request = { path: pathFrom(folder, path), ...optionalPaths(folder, { base }), ...sets, ...sizes };
    return library.evaluate(request, { onEvent: progress.event, signal }).catch((error: unknown) => {
      throw inFlags(error);
    });
  },
  render: evaluationView,
});
