import type { ShownData } from "../../data/index.ts";
import { defineCommand } from "../command.ts";
import { type DataFlags, dataFlags, encodingOf, readingOf, tokenizerOf } from "../data-flags.ts";
import { pathFrom } from "../paths.ts";
import { wholeNumber } from "../whole-number.ts";

interface Flags extends DataFlags {
  readonly rows?: number;
  readonly from?: number;
}

/** Shown if nobody says how many. */
const DEFAULT_ROWS = 3;

export const dataShow = defineCommand<Flags, [...files: string[]], ShownData>({
  brief: "What data files mean: their form, and which tokens are trained",
  description:
    "What data files were taken for and why, and their first rows as a model will see them: trained tokens coloured, or between ⟦ and ⟧ where there is no colour. Without a tokenizer rows are shown as they stand.",
  examples: [
    { line: "data show rows.json --base models/m", what: "with the model's tokenizer and chat template" },
    { line: "data show qa.csv --columns prompt=q,completion=a", what: "columns under other names" },
    { line: "data show rows.jsonl --base models/m --from 40 --rows 1 --json", what: "one row, for scripts" },
  ],
  flags: {
    ...dataFlags,
    rows: { kind: "parsed", optional: true, parse: wholeNumber, placeholder: "count", brief: "Rows of each file; default: 3" },
    from: { kind: "parsed", optional: true, parse: wholeNumber, placeholder: "row", brief: "The first row to show; default: 1" },
  },
  positional: {
    kind: "array",
    minimum: 1,
    parameter: { brief: "Data files, folders or patterns", placeholder: "file", parse: (text: string) => text },
  },
  async run({ rows = DEFAULT_ROWS, from = 1, ...flags }, files, { folder }) {
    const { showData } = await import("../../data/index.ts");
    const paths = files.map((file) => pathFrom(folder, file));
    return showData(paths, { reading: readingOf(flags), rows, from }, await tokenizerOf(folder, flags), encodingOf(folder, flags));
  },
  async render(result, view) {
    const { dataShowView } = await import("../views/data-show.ts");
    return dataShowView(result, view);
  },
});
