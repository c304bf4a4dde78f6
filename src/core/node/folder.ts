import { lstatSync } from "node:fs";
import { readdir, realpath } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import type { Folder } from "../bytes.ts";
import { HeirloomError } from "../errors.ts";
import { type FileSource, fileError, openFile } from "./file-source.ts";

/** A {@link Folder} on disk whose files can be closed. */
export interface DiskFolder extends Folder {
  readonly path: string;
  open(file: string): Promise<FileSource>;
  /** Closes every file opened through this folder. */
  close(): Promise<void>;
}

/** The stores that links in a folder may lead to: the folder itself, and the one beside it in the Hugging Face cache (`snapshots/<revision>` → `blobs`). */
function storesOf(real: string): string[] {
  const snapshots = dirname(real);
  return basename(snapshots) === "snapshots" ? [real, join(dirname(snapshots), "blobs")] : [real];
}

/** Whether what a name in a folder leads to lies in one of the stores. Only a link leads elsewhere. */
async function liesIn(stores: readonly string[], target: string): Promise<boolean> {
  try {
    if (!lstatSync(target).isSymbolicLink()) return true;
    const resolved = await realpath(target);
    return stores.some((store) => resolved.startsWith(store + sep));
  } catch (error) {
    throw fileError(error, target);
  }
}

/**
 * Opens a folder on disk. A name that leads out of it, by `..` or by a symbolic
 * link, is refused: adapters and models come from strangers. (Links that the user
 * made to a model's files are followed when `followLinks` says so.)
 */
export async function openFolder(path: string, options: { readonly followLinks?: boolean } = {}): Promise<DiskFolder> {
  let real: string;
  let names: string[];
  try {
    real = await realpath(path);
    names = (await readdir(real)).sort();
  } catch (error) {
    throw fileError(error, path);
  }
  const opened: FileSource[] = [];
  return {
    name: path,
    path,
    list: () => Promise.resolve(names),
    async open(file) {
      const target = join(path, file);
      if (file.includes("/") || file.includes("\\") || file === ".." || file.includes("\0")) {
        throw new HeirloomError("FILE_UNREADABLE", `expected the name of a file inside the folder, found ${JSON.stringify(file)}`, {
          where: path,
        });
      }
      if (options.followLinks !== true && !(await liesIn(storesOf(real), target))) {
        throw new HeirloomError("FILE_UNREADABLE", "expected a file inside the folder, found a link that leads out of it", {
          where: target,
          hint: "copy the file into the folder if it is to be trusted",
        });
      }
      const source = await openFile(target);
      opened.push(source);
      return source;
    },
    async close() {
      await Promise.all(opened.splice(0).map((source) => source.close()));
    },
  };
}
