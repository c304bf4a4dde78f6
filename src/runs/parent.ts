import { dirname } from "node:path";
import { type Folder, isHeirloomError } from "../core/index.ts";
import { hashNamed, hashWeights } from "./hashes.ts";
import { type AdapterRecord, type ParentRecord, readRunRecord } from "./record.ts";
import { recordHash } from "./result.ts";

/** Hash of the record of the run that a folder lies in, if it is that run's; an adapter may have been copied elsewhere. */
async function recordAbove(path: string, run: string): Promise<string | null> {
  try {
    const { id } = await readRunRecord(dirname(path));
    return id === run ? await recordHash(dirname(path)) : null;
  } catch (error) {
    if (isHeirloomError(error)) return null; // the chain then goes on by the adapter's own hash
    throw error;
  }
}

/**
 * The link from a continued run to the adapter that it starts from, by hash.
 *
 * @param folder of the adapter, open; its name is its path
 * @param record what the adapter says of itself, if it does
 * @param state names of files beside it that the run was taken up from as well
 */
export async function parentRecord(folder: Folder, record: AdapterRecord | null, state: readonly string[] = []): Promise<ParentRecord> {
  return {
    adapter: folder.name,
    run: record?.run ?? null,
    step: record?.step ?? null,
    files: await hashWeights(folder),
    record: record === null ? null : await recordAbove(folder.name, record.run),
    ...(state.length === 0 ? {} : { state: await hashNamed(folder, state) }),
  };
}
