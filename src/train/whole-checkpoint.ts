import { basename } from "node:path";
import { HeirloomError, isHeirloomError } from "../core/index.ts";
import { checkpointStep, listCheckpoints, newestRun, readChanges } from "../runs/index.ts";
import { type CheckpointState, checkFiles, readState } from "./checkpoint/index.ts";

/** How a run whose updates are lost is made again. */
function startAgain(run: string): string {
  return `start it again from its record: heirloom train --from ${run}`;
}

/**
 * The checkpoint that a path names: itself, or a run's last one.
 *
 * @param hasRecord whether the run could be made again from its record
 * @throws CHECKPOINT_INVALID
 */
export async function locateCheckpoint(path: string, hasRecord: boolean): Promise<string> {
  if (checkpointStep(path) !== null) return path;
  const last = (await listCheckpoints(path)).at(-1);
  if (last !== undefined) return last.path;
  const newest = await newestRun(path);
  throw new HeirloomError(
    "CHECKPOINT_INVALID",
    `expected a run with at least one checkpoint, found ${newest === null ? "none" : "a folder of runs"}`,
    {
      where: path,
      hint:
        newest !== null
          ? `the newest in it: heirloom resume ${newest}`
          : hasRecord
            ? startAgain(path)
            : "start the run again with `heirloom train`",
    },
  );
}

/** The state of a checkpoint whose files are what was saved, or what is wrong with it. */
async function inspected(checkpoint: string): Promise<CheckpointState | HeirloomError> {
  try {
    const { state, files } = await readState(checkpoint);
    await checkFiles(checkpoint, files);
    return state;
  } catch (error) {
    // A file that cannot be read now may be whole: an earlier checkpoint must not take its place.
    if (isHeirloomError(error) && error.code !== "FILE_UNREADABLE") return error;
    throw error;
  }
}

/** The last whole checkpoint before `step`; null if there is none. */
async function wholeBefore(run: string, step: number): Promise<{ readonly path: string; readonly state: CheckpointState } | null> {
  const earlier = (await listCheckpoints(run)).filter((checkpoint) => checkpoint.step < step);
  for (const { path } of earlier.reverse()) {
    const found = await inspected(path);
    if (!isHeirloomError(found)) return { path, state: found };
  }
  return null;
}

/** Every fault of a checkpoint that cannot be gone on with, with the way that is left. */
function refusal(fault: HeirloomError, way: string): HeirloomError {
  const [first, ...rest] = fault.problems.map((problem) => ({ ...problem, hint: way }));
  return first === undefined ? fault : HeirloomError.of([first, ...rest]);
}

/** A checkpoint to go on from. */
export interface WholeCheckpoint {
  readonly checkpoint: string;
  readonly state: CheckpointState;
  /** Which ones are damaged, to be told. */
  readonly notes: readonly string[];
}

/**
 * The checkpoint to go on from: the one named, or of a run the last whole one. Going on from an earlier one costs time and
 * changes nothing, as its updates are made again to the bit; but what was changed on resuming after it would be lost, so that is refused.
 *
 * @param path of the run or a checkpoint of it
 * @throws CHECKPOINT_INVALID, with the earlier checkpoint that is whole, if there is one
 */
export async function wholeCheckpoint(path: string, run: string): Promise<WholeCheckpoint> {
  const checkpoint = await locateCheckpoint(path, true);
  const found = await inspected(checkpoint);
  if (!isHeirloomError(found)) return { checkpoint, state: found, notes: [] };
  const earlier = await wholeBefore(run, checkpointStep(checkpoint) ?? 0);
  if (earlier === null) throw refusal(found, `no earlier checkpoint is whole; ${startAgain(run)}`);
  const isNamed = checkpointStep(path) !== null;
  const changes = (await readChanges(run)).length;
  if (isNamed || changes > earlier.state.changes.length)
    throw refusal(found, `an earlier checkpoint is whole: heirloom resume ${earlier.path}`);
  const [{ message, where }] = found.problems;
  const note = `${basename(checkpoint)} is damaged (${where === undefined ? "" : `${where}: `}${message}); going on from the last whole one, ${basename(earlier.path)}`;
  return { checkpoint: earlier.path, state: earlier.state, notes: [note] };
}
