import { join } from "node:path";
import { removeFolderAtomic, writeFolderAtomic, writeTextAtomic } from "../../core/node/index.ts";
import { checkpointFolder, listCheckpoints } from "../../runs/index.ts";
import { type FileChecksum, type PlannedFile, writePlannedFile } from "./files.ts";
import { type LiveArray, type Reading, readLive } from "./memory.ts";
import { type CheckpointState, STATE_FILE, serializeState } from "./state.ts";
import { ownSums, type Sums } from "./sums.ts";

/** Which checkpoints stay. */
export interface Retention {
  /** Null keeps all. */
  readonly keepLast: number | null;
  /** Step of the best evaluation, whose checkpoint stays whatever its age; null if none is to stay for that. */
  readonly best: number | null;
}

/** A checkpoint that is to be written. */
export interface PlannedCheckpoint {
  readonly run: string;
  readonly state: CheckpointState;
  /** Every tensor that the files are made of and that the next update changes. */
  readonly memory: readonly LiveArray[];
  /** The files; what they say of anything but these tensors is settled when this is called. */
  readonly files: (read: Reading) => readonly PlannedFile[];
  /** Reads the folder back before it gets its name; throws if it is not what is trained. */
  readonly verify: (folder: string) => Promise<void>;
  readonly retention: Retention;
}

/** Removes older checkpoints; never the newest, so never the only one. */
async function prune(run: string, { keepLast, best }: Retention): Promise<void> {
  if (keepLast === null) return;
  const all = await listCheckpoints(run);
  const kept = new Set(all.slice(-keepLast).map(({ path }) => path));
  for (const { path, step } of all) if (!kept.has(path) && step !== best) await removeFolderAtomic(path);
}

/** How the files of a checkpoint are made. */
export interface Making {
  /** Where the tensors are read from. */
  readonly read: Reading;
  readonly sums: Sums;
}

/**
 * Writes `checkpoint-<step>` whole or not at all, then removes those that need not stay. Returns its path.
 *
 * @param making by default the tensors are read as they are live, and nothing may change them until this is done
 */
export async function writeCheckpoint(planned: PlannedCheckpoint, making: Making = { read: readLive, sums: ownSums }): Promise<string> {
  const { run, state, verify, retention } = planned;
  const folder = checkpointFolder(run, state.step);
  const files = planned.files(making.read);
  await writeFolderAtomic(folder, async (temporary) => {
    const sums: FileChecksum[] = [];
    for (const file of files) sums.push(await writePlannedFile(temporary, file, making.sums));
    await verify(temporary);
    await writeTextAtomic(join(temporary, STATE_FILE), serializeState(state, sums));
  });
  await prune(run, retention);
  return folder;
}
