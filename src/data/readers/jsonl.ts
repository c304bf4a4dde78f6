import { formatCount, HeirloomError, isHeirloomError, type Problem } from "../../core/index.ts";
import type { FileSource } from "../../core/node/index.ts";
import { readJsonl } from "../../formats/index.ts";
import { type Reader, type SourceRow, textOf } from "./reader.ts";

const isEncodingFault = ({ code, message }: Problem): boolean => code === "JSONL_INVALID" && message.includes("expected UTF-8 text");

/** The exact place of the first byte that is no UTF-8; null if reading the file as text finds none. */
async function encodingFault(file: FileSource, where: string): Promise<Problem | null> {
  try {
    for await (const _text of textOf(file, where));
  } catch (error) {
    if (isHeirloomError(error)) return error.problems[0];
    throw error;
  }
  return null;
}

/** Rows in another encoding have one cause: told once, with the byte, in place of a fault for each. */
async function withEncodingFault(error: HeirloomError, file: FileSource, where: string): Promise<HeirloomError> {
  const affected = error.problems.filter(isEncodingFault).length;
  const exact = affected === 0 ? null : await encodingFault(file, where);
  if (exact === null) return error;
  const isStopped = error.details["stopped"] === true;
  const rows = `${isStopped ? "at least " : ""}${formatCount(affected)} ${affected === 1 ? "row" : "rows"}`;
  return HeirloomError.of([
    { ...exact, message: `${exact.message}; ${rows} like that${isStopped ? ", reading stopped there" : ""}` },
    ...error.problems.filter((problem) => !isEncodingFault(problem)),
  ]);
}

/** One JSON object per line. */
export const jsonl: Reader = {
  container: "jsonl",
  extensions: [".jsonl", ".ndjson"],
  async *rows(file, { where }): AsyncGenerator<SourceRow, void, undefined> {
    try {
      yield* readJsonl(file, where);
    } catch (error) {
      throw isHeirloomError(error) ? await withEncodingFault(error, file, where) : error;
    }
  },
};
