import { ERROR_CODES, HeirloomError } from "../../core/index.ts";
import type { RepeatedResult, TrainingResult } from "../../train/index.ts";
import { defineCommand, type Session } from "../command.ts";
import { type ConfigFlags, configFlags, textFlag, typedFlag } from "../config-flags.ts";
import { pathFrom } from "../paths.ts";
import { type ProfileFlag, profileFlag, profileOption } from "../profile-flag.ts";
import { trainingView } from "../views/training.ts";
import { withMeasures } from "../with-measures.ts";

interface Flags extends ConfigFlags, ProfileFlag {
  readonly from?: string;
}

type Result = TrainingResult & Partial<Pick<RepeatedResult, "repetition">>;

/** Repeats a run; a changed configuration would be another run, so only the place may differ. */
async function repeat(from: string, { output, profile, ...others }: Omit<Flags, "from">, session: Session): Promise<Result> {
  const { folder, signal, progress } = session;
  // The parser lists flags that were not given, too.
  const [other] = Object.entries(others).flatMap(([name, value]) => (value === undefined ? [] : [typedFlag(name, value)]));
  if (other !== undefined) {
    throw new HeirloomError("USAGE", `--from repeats a run as it was; expected no other flag but --output, found ${other}`, {
      hint: "to train with changes, give the run file: heirloom train -c run.yaml",
    });
  }
  const [{ repeatRun }, { findRun }] = await Promise.all([import("../../train/index.ts"), import("../../runs/index.ts")]);
  const path = findRun(pathFrom(folder, output ?? "runs"), from, pathFrom(folder, from));
  return withMeasures(
    session,
    repeatRun(path, {
      onEvent: progress.event,
      signal,
      ...profileOption(folder, profile),
      ...(output === undefined ? {} : { output: pathFrom(folder, output) }),
    }),
  );
}

export const train = defineCommand<Flags, [], Result>({
  brief: "Train a new adapter",
  description:
    "Train a new adapter. Flags override the file, which overrides the preset, which overrides the defaults. Ctrl-C writes a checkpoint and says how to resume. With --from, a run is repeated from its record, and what differs is said; exit 20 if anything does.",
  examples: [
    { line: "train -c run.yaml", what: "everything from a file" },
    { line: "train -c run.yaml --rank 32 --learning-rate 1e-4", what: "some of it overridden" },
    { line: "train --preset qlora --base models/m --set data.train=rows.jsonl", what: "no file at all" },
    { line: "train -c run.yaml --profile", what: "and where the time goes: a trace for chrome://tracing or Perfetto" },
    { line: "train --from runs/a", what: "the same run again: is it the same in every bit?" },
  ],
  flags: {
    ...configFlags,
    ...profileFlag,
    from: textFlag("Repeat this run from its record, with its configuration, seed and data", "run"),
  },
  aliases: { c: "config", p: "preset", o: "output", s: "set" },
  positional: { kind: "tuple", parameters: [] },
  async run({ from, profile, ...flags }, _args, session) {
    if (from !== undefined) return repeat(from, { ...flags, ...(profile === undefined ? {} : { profile }) }, session);
    const { folder, signal, progress } = session;
    const [{ resolveConfig }, { configSources }] = await Promise.all([import("../../config/index.ts"), import("../load-config.ts")]);
    const { config, provenance } = resolveConfig(await configSources(flags, folder));
    const library = await import("../../train/index.ts");
    return withMeasures(session, library.train(config, { onEvent: progress.event, signal, provenance, ...profileOption(folder, profile) }));
  },
  async render(result, view) {
    const text = trainingView(result, view);
    if (result.repetition === undefined) return text;
    const { repetitionView } = await import("../views/repetition.ts");
    return `${text}\n\n${repetitionView(result.repetition, view)}`;
  },
  exitCode: ({ repetition }) => (repetition === undefined || repetition.identical ? 0 : ERROR_CODES.AUDIT_FINDINGS.exit),
  writesCheckpoint: true,
});
