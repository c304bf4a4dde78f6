import type { EvaluationResult } from "../../train/index.ts";
import { defineCommand } from "../command.ts";
import { textFlag, textsFlag } from "../config-flags.ts";
import { inFlags } from "../eval-flags.ts";
import { optionalPaths, pathFrom } from "../paths.ts";
import { runPath } from "../store-flags.ts";
import { evaluationView } from "../views/evaluation.ts";
import { wholeNumber } from "../whole-number.ts";

interface Flags {
  readonly base?: string;
  readonly data?: readonly string[];
  readonly maxLength?: number;
  readonly batchSize?: number;
  readonly answers?: readonly string[];
  readonly answerTokens?: number;
  readonly against?: string;
  readonly gate?: readonly string[];
}

/** Exit code of a gate that failed, or of a loss that is not the recorded one, as of GATE_FAILED. */
const GATE_FAILED = 21;
/** `old=held-out.jsonl`: a name, then a path. */
const NAMED = /^([\w-]+)=(.+)$/;

/** Files by the name of their set; those without one are `fallback`. */
function namedFiles(folder: string, texts: readonly string[], fallback: string): Record<string, string[]> {
  const sets = new Map<string, string[]>();
  for (const text of texts) {
    const [, name = fallback, path = text] = NAMED.exec(text) ?? [];
    sets.set(name, [...(sets.get(name) ?? []), pathFrom(folder, path)]);
  }
  return Object.fromEntries(sets);
}

export const evalCommand = defineCommand<Flags, [path: string], EvaluationResult>({
  brief: "Loss, perplexity and right answers of an adapter or model on held-out data",
  description:
    "Loss and perplexity on held-out data, exact match and F1 on prompts with answers. With --against, beside those of another adapter or model. Gates are conditions, as in evaluation.gates of a run file; if one fails, exit 21. So it does if a loss is not the one that the adapter's record holds of the same rows: to the last bit on the same machine and settings, else within 1e-5 of it.",
  examples: [
    { line: "eval runs/a", what: "on the run's own held-out sets" },
    { line: "eval runs/a/adapter --base models/m --data held-out.jsonl", what: "on another file" },
    { line: "eval runs/b --data old=old.jsonl --answers qa.jsonl --against parent", what: "beside the adapter that it continued" },
    { line: 'eval runs/b --against parent --gate "dataset: old, mustNotRise: 0.02"', what: "exit 21 if the loss rose by more than 2 %" },
  ],
  flags: {
    base: textFlag("Base model, if the record names none or another is meant", "path"),
    data: textsFlag("Data file, or name=file for a set of that name; may be given several times", "file"),
    answers: textsFlag("File of prompts with answers, or name=file; may be given several times", "file"),
    answerTokens: { kind: "parsed", parse: wholeNumber, optional: true, brief: "Longest answer in tokens (32)", placeholder: "tokens" },
    against: textFlag("Adapter or model to compare with; parent: the adapter that the run continued", "path"),
    gate: textsFlag("Condition, as in evaluation.gates: 'dataset: old, mustNotRise: 0.02'; else those of the run's record", "gate"),
    maxLength: { kind: "parsed", parse: wholeNumber, optional: true, brief: "Longest row in tokens", placeholder: "tokens" },
    batchSize: { kind: "parsed", parse: wholeNumber, optional: true, brief: "Sequences in a batch", placeholder: "count" },
  },
  positional: {
    kind: "tuple",
    parameters: [
      {
        brief: "Folder of an adapter, a checkpoint, a run or a model, or how a run's id begins or ends",
        placeholder: "path",
        parse: (text: string) => text,
      },
    ],
  },
  async run({ base, data, answers, against, gate, ...sizes }, [path], { folder, signal, progress }) {
    const [{ parseGate }, library] = await Promise.all([import("../../config/index.ts"), import("../../train/index.ts")]);
    const gates = gate?.map((text) => parseGate(text));
    const request = {
      path: await runPath(folder, path, undefined),
      ...optionalPaths(folder, { base }),
      ...(data === undefined ? {} : { sets: namedFiles(folder, data, "eval") }),
      ...(answers === undefined ? {} : { answers: namedFiles(folder, answers, "answers") }),
      ...(against === undefined ? {} : { against: against === "parent" ? against : await runPath(folder, against, undefined) }),
      ...(gates === undefined ? {} : { gates }),
      ...sizes,
    };
    return library.evaluate(request, { onEvent: progress.event, signal }).catch((error: unknown) => {
      throw inFlags(error, gate, gates);
    });
  },
  exitCode: ({ gates, recorded }) => ([...gates, ...recorded].every(({ ok }) => ok) ? 0 : GATE_FAILED),
  render: evaluationView,
});
