import { isHeirloomError } from "../core/index.ts";
import { type OpenedPath, openPath } from "../folders/index.ts";
import { readAdapterRecord } from "../runs/index.ts";

/** The base that an adapter's own record names, if it still lies there; null otherwise. */
export async function recordedBase({ holds, folder }: OpenedPath): Promise<string | null> {
  const record = holds === "adapter" ? await readAdapterRecord(folder) : null;
  if (record === null) return null;
  try {
    await (await openPath(record.base.path, { asBase: true })).close();
    return record.base.path;
  } catch (error) {
    if (isHeirloomError(error)) return null; // moved or gone: then it is as if no base was given
    throw error;
  }
}
