import { join } from "node:path";
import type { Folder } from "../core/index.ts";
import { isHubAddress } from "./hub-address.ts";

/** A folder, on disk or on the hub, whose files can be closed. */
export interface OpenFolder extends Folder {
  /** Closes every file opened through it. */
  close(): Promise<void>;
}

/** Path or address of a file in a folder, for messages. */
export function fileIn(folder: string, file: string): string {
  return isHubAddress(folder) ? `${folder}/${file}` : join(folder, file);
}

/** Closes the folder's files if reading it fails: nobody else could then. */
export async function closingOnFailure<T>(folder: OpenFolder, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    await folder.close();
    throw error;
  }
}
