import { lstat, open } from "node:fs/promises";
import { HeirloomError } from "../core/index.ts";
import { writeError } from "../core/node/index.ts";

/** Refuses to write over a file. @throws OUTPUT_EXISTS */
export async function refuseExistingFile(path: string): Promise<void> {
  const exists = await lstat(path).then(
    () => true,
    () => false,
  );
  if (!exists) return;
  throw new HeirloomError("OUTPUT_EXISTS", "expected a name that is free, found something there already", {
    where: path,
    hint: "name another output with -o, or move this one away",
  });
}

const LINE_END = 0x0a;

/** A file that lies there is added to only if its name says that it is lines of JSON; folders are not made. */
async function openForRow(path: string): Promise<{ file: Awaited<ReturnType<typeof open>>; was: "new" | "there" }> {
  const code = (error: unknown): unknown => (error instanceof Error && "code" in error ? error.code : null);
  try {
    return { file: await open(path, "wx"), was: "new" };
  } catch (error) {
    if (code(error) === "ENOENT") throw new HeirloomError("WRITE_FAILED", "there is no such folder", { where: path, cause: error });
    if (code(error) !== "EEXIST") throw writeError(error, path);
  }
  if (!/\.(?:jsonl|ndjson)$/i.test(path))
    throw new HeirloomError("OUTPUT_EXISTS", "the file is there already; rows are added only to one called .jsonl", { where: path });
  try {
    return { file: await open(path, "a+"), was: "there" };
  } catch (error) {
    throw writeError(error, path);
  }
}

/**
 * Writes a row to a new file, or adds it to JSON Lines that are there; says which.
 *
 * @throws OUTPUT_EXISTS for a file of another kind; WRITE_FAILED, DISK_FULL
 */
export async function appendRow(path: string, row: object): Promise<"new" | "there"> {
  const { file, was } = await openForRow(path);
  try {
    const { size } = await file.stat();
    const last = Buffer.alloc(1, LINE_END);
    if (was === "there" && size > 0) await file.read(last, 0, 1, size - 1);
    await file.appendFile(`${last[0] === LINE_END ? "" : "\n"}${JSON.stringify(row)}\n`);
    return was;
  } catch (error) {
    throw writeError(error, path);
  } finally {
    await file.close();
  }
}
