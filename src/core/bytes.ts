import { HeirloomError } from "./errors.ts";

/** Random-access bytes: a file, memory or a network resource. */
export interface ByteSource {
  /** What to call it in messages: a path or an address. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  /** Bytes `start` (inclusive) to `end` (exclusive); throws if they are not all there. */
  read(start: number, end: number): Promise<Uint8Array>;
}

/** A {@link ByteSource} over bytes in memory. */
export function memorySource(bytes: Uint8Array, name = "memory"): ByteSource {
  return {
    name,
    size: bytes.byteLength,
    read(start, end) {
      if (start < 0 || end < start || end > bytes.byteLength) {
        return Promise.reject(new HeirloomError("FILE_UNREADABLE", `bytes ${start} to ${end} were asked of ${bytes.byteLength}`, { where: name }));
      }
      return Promise.resolve(bytes.subarray(start, end));
    },
  };
}
