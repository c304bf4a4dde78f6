import { HeirloomError } from "../core/index.ts";
import { printable } from "./printable.ts";

/** First line of every pointer (git-lfs, docs/spec.md). */
export const LFS_MARK = "version https://git-lfs.github.com/spec/v1";

/** The specification bounds a pointer to under 1,024 bytes. */
export const MAX_LFS_POINTER_BYTES = 1024;

/** Throws `LFS_POINTER` if `text` is what Git LFS leaves in place of a file that was not downloaded. */
export function refuseLfsPointer(text: string, where: string): void {
  if (!text.startsWith(LFS_MARK)) return;
  const oid = /^oid (sha256:[0-9a-f]{64})\s*$/m.exec(text)?.[1];
  const size = /^size (\d{1,15})\s*$/m.exec(text)?.[1];
  throw new HeirloomError(
    "LFS_POINTER",
    `expected the file itself, found a Git LFS pointer to it${size === undefined ? "" : ` (${size} bytes)`}`,
    {
      where: printable(where),
      hint: "run `git lfs pull` in that repository, or download the file again",
      details: { oid: oid ?? null, size: size === undefined ? null : Number(size) },
    },
  );
}
