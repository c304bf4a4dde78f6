import { readdir } from "node:fs/promises";
import { TRAINER_FILES } from "../../formats/index.ts";
import { listCheckpoints, RUN_FILES } from "../../runs/index.ts";
import { STATE_FILE } from "../checkpoint/index.ts";

/** Names in a folder; none if there is no such folder. */
async function namesIn(folder: string): Promise<ReadonlySet<string>> {
  return new Set(await readdir(folder).catch(() => []));
}

function isForeign(names: ReadonlySet<string>): boolean {
  return !names.has(STATE_FILE) && [TRAINER_FILES.state, TRAINER_FILES.optimizer].some((file) => names.has(file));
}

/**
 * The checkpoint that a path means, if another trainer wrote it: the folder itself, or the last one
 * in a Trainer's `output_dir`. Null for everything else: runs and checkpoints of ours, and what is neither.
 */
export async function locateTrainerCheckpoint(path: string): Promise<string | null> {
  const names = await namesIn(path);
  if (isForeign(names)) return path;
  if (names.has(RUN_FILES.record) || ![...names].some((name) => name.startsWith("checkpoint-"))) return null;
  const last = (await listCheckpoints(path)).at(-1);
  return last !== undefined && isForeign(await namesIn(last.path)) ? last.path : null;
}
