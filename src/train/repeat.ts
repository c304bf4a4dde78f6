import { join } from "node:path";
import { asRunFile, CHANGE_NAMES, type ChangeName, type RunConfig, resolveConfig } from "../config/index.ts";
import { HeirloomError } from "../core/index.ts";
import { judgeRepetition, type Repetition, RUN_FILES, type RunRecord, readRunRecord } from "../runs/index.ts";
import type { TrainingResult } from "./api.ts";
import { HANDOVER_CHANGES, recordedHandover } from "./foreign/index.ts";
import { type DisturbedOptions, type NewRun, startRun } from "./train.ts";

/** A run that repeats another, and how it came out beside it. */
export interface RepeatedResult extends TrainingResult {
  readonly repetition: Repetition;
}

/** Where the repetition goes. */
export interface RepeatOptions extends DisturbedOptions {
  /** Folder that its run folder is made in. @defaultValue that of the run's own configuration */
  readonly output?: string;
}

function isChangeName(name: string): name is ChangeName {
  return (HANDOVER_CHANGES as readonly string[]).includes(name);
}

/** The configuration of a record; keys that this version added have their defaults. */
function sameConfig({ config }: RunRecord, path: string, output: string | undefined): RunConfig {
  const values = asRunFile(config);
  return resolveConfig({ inherited: { name: path, values: output === undefined ? values : { ...values, output } } }).config;
}

/** The request that made a run, made again. */
async function sameRequest(record: RunRecord, path: string, output: string | undefined): Promise<NewRun> {
  const { id, kind, startedAt, provenance, assumptions, parent, changed } = record;
  const config = sameConfig(record, path, output);
  const common = { config, provenance, assumptions, startedAt, repeats: id };
  if (kind === "train") return { kind: "train", ...common };
  if (parent !== null) {
    // Version 1 did not record them; whatever it was, it was allowed then.
    const continued = {
      kind: "continue" as const,
      ...common,
      adapter: parent.adapter,
      changed: (changed ?? CHANGE_NAMES).filter(isChangeName),
    };
    return parent.state === undefined ? continued : { ...continued, handover: await recordedHandover(parent.adapter, config.base) };
  }
  throw new HeirloomError("RECORD_INVALID", "expected the record of a continued run to name its parent, found none", {
    where: join(path, RUN_FILES.record),
    hint: "put the original file back",
  });
}

/**
 * Repeats a run from its record, into a new run: the same configuration, seed,
 * data, parent and date. What was changed when it was resumed is not repeated. Then says whether it came out the same in every bit, or
 * what differs: losses, results, those changes, and the inputs and parts of the environment that changed.
 *
 * @param path folder of a run
 * @throws RECORD_INVALID, FILE_MISSING, and what `train` and `continueTraining` throw
 */
export async function repeatRun(path: string, options: RepeatOptions = {}): Promise<RepeatedResult> {
  const { output, ...others } = options;
  const result = await startRun(await sameRequest(await readRunRecord(path), path, output), others);
  return { ...result, repetition: await judgeRepetition(path, result.run) };
}
