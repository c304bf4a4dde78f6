import { HeirloomError } from "./errors.ts";

/** Random-access bytes: a file, memory or a network resource. */
export interface ByteSource {
  /** What to call it in messages: a path or an address. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  /** Bytes `start` (inclusive) to `end` (exclusive); throws if they are not all there. */
  read(start: number, end: number): Promise<Uint8Array>;
  /** Fills `target` with the bytes from `start` on, if the source can do so without an intermediate copy. */
  readInto?(target: Uint8Array, start: number): Promise<void>;
}

/** A folder of files: on disk, or a remote repository. */
export interface Folder {
  /** What to call it in messages: a path or an address. */
  readonly name: string;
  /** File names directly inside, sorted. */
  list(): Promise<readonly string[]>;
  /** Opens a file directly inside; `FILE_MISSING` if there is none. */
  open(file: string): Promise<ByteSource>;
}

/** All bytes of a source. */
export function readAll(source: ByteSource): Promise<Uint8Array> {
  return source.read(0, source.size);
}

/** All of a source as UTF-8 text. */
export async function readText(source: ByteSource): Promise<string> {
  return new TextDecoder().decode(await readAll(source));
}

/** A {@link ByteSource} over bytes in memory. */
export function memorySource(bytes: Uint8Array, name = "memory"): ByteSource {
  return {
    name,
    size: bytes.byteLength,
    read(start, end) {
      if (start < 0 || end < start || end > bytes.byteLength) {
        return Promise.reject(
          new HeirloomError("FILE_UNREADABLE", `bytes ${start} to ${end} were asked of ${bytes.byteLength}`, { where: name }),
        );
      }
      return Promise.resolve(bytes.subarray(start, end));
    },
  };
}
