import { readJsonl } from "../../formats/index.ts";
import type { Reader } from "./reader.ts";

/** One JSON object per line. */
export const jsonl: Reader = {
  container: "jsonl",
  extensions: [".jsonl", ".ndjson"],
  rows: (file, { where }) => readJsonl(file, where),
};
