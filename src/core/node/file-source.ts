import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { ByteSource } from "../bytes.ts";
import { HeirloomError } from "../errors.ts";

/** A {@link ByteSource} over a file; close it when done. */
export interface FileSource extends ByteSource {
  close(): Promise<void>;
  /** Reads into `target` from byte `start` on, without an intermediate copy. */
  readInto(target: Uint8Array, start: number): Promise<void>;
}

/** Turns a file-system failure on `path` into a typed error. */
export function fileError(error: unknown, path: string): HeirloomError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new HeirloomError("FILE_MISSING", "no such file or folder", {
      where: path,
      hint: "check the path for a typing error",
      cause: error,
    });
  }
  return new HeirloomError("FILE_UNREADABLE", `could not be read (${code || String(error)})`, { where: path, cause: error });
}

/** Bytes of one system call: Node 20 takes the length as a 32-bit integer, and aborts the process beyond it. */
const MAX_CALL_BYTES = 2 ** 30;

async function readFully(handle: FileHandle, path: string, target: Uint8Array, start: number): Promise<void> {
  let done = 0;
  while (done < target.byteLength) {
    const { bytesRead } = await handle.read(target, done, Math.min(MAX_CALL_BYTES, target.byteLength - done), start + done);
    if (bytesRead === 0) {
      throw new HeirloomError(
        "FILE_UNREADABLE",
        `the file ended at byte ${start + done} while bytes up to ${start + target.byteLength} were read`,
        { where: path },
      );
    }
    done += bytesRead;
  }
}

/**
 * Opens a regular file for reading by ranges. Devices, pipes and folders are
 * refused before anything is read from them (opening a FIFO would wait forever).
 */
export async function openFile(path: string): Promise<FileSource> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw fileError(error, path);
  }
  const stat = await handle.stat();
  if (!stat.isFile()) {
    await handle.close();
    throw new HeirloomError(
      "FILE_UNREADABLE",
      `expected a regular file, found a ${stat.isDirectory() ? "folder" : "device, pipe or socket"}`,
      { where: path },
    );
  }
  return {
    name: path,
    size: stat.size,
    async read(start, end) {
      if (start < 0 || end < start || end > stat.size) {
        throw new HeirloomError("FILE_UNREADABLE", `bytes ${start} to ${end} were asked of a file of ${stat.size} bytes`, { where: path });
      }
      const bytes = new Uint8Array(end - start);
      await readFully(handle, path, bytes, start);
      return bytes;
    },
    readInto: (target, start) => readFully(handle, path, target, start),
    close: () => handle.close(),
  };
}
