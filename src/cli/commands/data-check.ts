import type { DataCheck } from "../../data/index.ts";
import { defineCommand } from "../command.ts";
import { textsFlag } from "../config-flags.ts";
import { type DataFlags, dataFlags, encodingOf, readingOf, tokenizerOf } from "../data-flags.ts";
import { pathFrom } from "../paths.ts";
import { wholeNumber } from "../whole-number.ts";

interface Flags extends DataFlags {
  readonly eval?: readonly string[];
  readonly maxLength?: number;
}

/** As run.yaml has it. */
const DEFAULT_MAX_LENGTH = 1024;

export const dataCheck = defineCommand<Flags, [...files: string[]], DataCheck>({
  brief: "What is wrong with data files, all at once",
  description:
    "Everything that is wrong with data files, each with file, row and field: rows that cannot be read, lengths and truncation, rows without labels, empty turns, duplicates, placeholders, and rows of the eval set that are trained on. Ends with exit code 20 if there are errors. Lengths and labels need a tokenizer.",
  examples: [
    { line: "data check rows.jsonl --base models/m", what: "with lengths and labels" },
    { line: "data check 'data/**/*.json' --eval held.jsonl --max-length 2048", what: "also for leakage" },
    { line: "data check rows.jsonl --json", what: "for scripts" },
  ],
  flags: {
    ...dataFlags,
    eval: textsFlag("Held-out files; rows of them that are trained on are errors", "file"),
    maxLength: {
      kind: "parsed",
      optional: true,
      parse: wholeNumber,
      placeholder: "tokens",
      brief: "Longer rows are errors; default: rows above 1024 are warnings",
    },
  },
  positional: {
    kind: "array",
    minimum: 1,
    parameter: { brief: "Training files, folders or patterns", placeholder: "file", parse: (text: string) => text },
  },
  async run({ maxLength, eval: held = [], ...flags }, files, { folder }) {
    const { checkData } = await import("../../data/index.ts");
    const paths = (given: readonly string[]): string[] => given.map((file) => pathFrom(folder, file));
    const options = {
      train: paths(files),
      eval: paths(held),
      reading: readingOf(flags),
      maxLength: maxLength ?? DEFAULT_MAX_LENGTH,
      strictLength: maxLength !== undefined,
    };
    return checkData(options, await tokenizerOf(folder, flags), encodingOf(folder, flags));
  },
  async render(result, view) {
    const { dataCheckView } = await import("../views/data-check.ts");
    return dataCheckView(result, view);
  },
  exitCode: ({ ok }) => (ok ? 0 : 20),
});
