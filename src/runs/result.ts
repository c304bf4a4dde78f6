import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { HeirloomError, isHeirloomError } from "../core/index.ts";
import { fileError, openFolder, sha256, writeTextAtomic } from "../core/node/index.ts";
import { type HashedFiles, hashWeights } from "./hashes.ts";
import { RUN_FILES } from "./layout.ts";
import type { RunMeasures } from "./measures.ts";
import type { ProfileSummary } from "./profile.ts";
import { RECORD_SCHEMA_VERSION } from "./upgrade.ts";

/**
 * result.json: what came of a run, written when its adapter is final. With it the
 * chain of hashes goes on: run.json's own, and those of what the run made.
 */
export interface RunResult {
  readonly schemaVersion: number;
  /** Id of the run. */
  readonly run: string;
  /** SHA-256 of run.json. */
  readonly record: string;
  readonly finishedAt: string;
  readonly steps: number;
  /** Loss of the last update; null if none was left to make. */
  readonly loss: number | null;
  /** Folder of the final adapter or model, inside the run. */
  readonly output: string;
  /** SHA-256 of its files. */
  readonly files: HashedFiles;
  /** How the run was judged; missing in results of earlier versions. */
  readonly measures?: RunMeasures;
  /** Where the time of its updates went; missing unless it was profiled. */
  readonly profile?: ProfileSummary;
}

/** Hashes the weights and configuration in a folder on disk. @throws FILE_MISSING */
export async function hashWeightsAt(path: string): Promise<HashedFiles> {
  const folder = await openFolder(path, { followLinks: true });
  try {
    return await hashWeights(folder);
  } finally {
    await folder.close();
  }
}

/** SHA-256 of a run's run.json; null if there is none. */
export async function recordHash(run: string): Promise<string | null> {
  const path = join(run, RUN_FILES.record);
  try {
    return sha256(await readFile(path));
  } catch (error) {
    const typed = fileError(error, path);
    if (typed.code === "FILE_MISSING") return null;
    throw typed;
  }
}

/** Writes result.json, with the hashes of what the run made. */
export async function writeRunResult(
  run: string,
  result: {
    readonly id: string;
    readonly output: string;
    readonly steps: number;
    readonly loss: number | null;
    readonly measures?: RunMeasures;
    readonly profile?: ProfileSummary;
  },
): Promise<void> {
  const content: RunResult = {
    schemaVersion: RECORD_SCHEMA_VERSION,
    run: result.id,
    record: (await recordHash(run)) ?? "",
    finishedAt: new Date().toISOString(),
    steps: result.steps,
    loss: result.loss,
    output: basename(result.output),
    files: await hashWeightsAt(result.output),
    ...(result.measures === undefined ? {} : { measures: result.measures }),
    ...(result.profile === undefined ? {} : { profile: result.profile }),
  };
  await writeTextAtomic(join(run, RUN_FILES.result), `${JSON.stringify(content, null, 2)}\n`);
}

function isResult(value: unknown): value is RunResult {
  if (typeof value !== "object" || value === null) return false;
  const { schemaVersion, run, record, output, files } = value as Partial<Record<keyof RunResult, unknown>>;
  const texts = [run, record, output].every((field) => typeof field === "string");
  return typeof schemaVersion === "number" && texts && typeof files === "object" && files !== null;
}

/** What came of a run; null if it did not end, or ended before results were written. @throws RECORD_INVALID */
export async function readRunResult(run: string): Promise<RunResult | null> {
  const path = join(run, RUN_FILES.result);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const typed = fileError(error, path);
    if (typed.code === "FILE_MISSING") return null;
    throw typed;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new HeirloomError("RECORD_INVALID", "expected JSON, found something else", { where: path, cause: error });
  }
  if (isResult(value)) {
    if (value.schemaVersion <= RECORD_SCHEMA_VERSION) return value;
    throw new HeirloomError("RECORD_INVALID", `expected schemaVersion up to ${RECORD_SCHEMA_VERSION}, found ${value.schemaVersion}`, {
      where: path,
      hint: "it was written by a later heirloom; update this one",
    });
  }
  throw new HeirloomError("RECORD_INVALID", "expected the result of a run, found something else", {
    where: path,
    hint: "delete it: resuming the run writes it anew",
  });
}

/** The hashes of what a run made: as recorded, else of the folder as it is now; null if it made nothing. */
export async function outputHashes(run: string): Promise<HashedFiles | null> {
  const result = await readRunResult(run);
  if (result !== null) return result.files;
  for (const name of [RUN_FILES.adapter, RUN_FILES.model]) {
    try {
      return await hashWeightsAt(join(run, name));
    } catch (error) {
      if (!isHeirloomError(error) || error.code !== "FILE_MISSING") throw error;
    }
  }
  return null;
}
