import { formatCount } from "../../core/index.ts";
import type { ShownData, ShownFile, ShownRow } from "../../data/index.ts";
import type { View } from "../command.ts";
import { escapeText, type Paint } from "../terminal/index.ts";
import { fileLines } from "./data-files.ts";

type ShownRecord = Extract<ShownRow, { records: unknown }>["records"][number];

/** Marks of trained text where there is no colour; data hardly ever hold them. */
const [OPEN, CLOSE] = ["⟦", "⟧"];

/** Text of a row in its colours; line by line, because a colour does not outlast a line in every pager. */
function piecesText({ pieces }: ShownRecord, paint: Paint): string {
  const hasColour = paint.green("x") !== "x";
  return pieces
    .map(({ text, trained }) => {
      const safe = escapeText(text);
      if (!hasColour) return trained ? `${OPEN}${safe}${CLOSE}` : safe;
      const effect = trained ? paint.green : paint.dim;
      return safe.split("\n").map(effect).join("\n");
    })
    .join("");
}

function recordText(record: ShownRecord, title: string, paint: Paint): string {
  const { tokens, labelTokens } = record;
  const counts = tokens === null || labelTokens === null ? "" : ` ${formatCount(tokens)} tokens, ${formatCount(labelTokens)} trained`;
  return `${paint.cyan(`── ${title}`)}${paint.dim(counts)}\n${piecesText(record, paint).trimEnd()}`;
}

function rowText(row: ShownRow, paint: Paint): string {
  const title = row.row === null ? "file" : `row ${row.row}`;
  if ("problems" in row)
    return [paint.cyan(`── ${title}`), ...row.problems.map(({ message }) => `${paint.red("error")} ${escapeText(message)}`)].join("\n");
  return row.records.map((record, i) => recordText(record, row.records.length === 1 ? title : `${title}.${i + 1}`, paint)).join("\n");
}

function fileText({ report, rows }: ShownFile, paint: Paint): string {
  const past = rows.length === 0 && report.rows > 0 ? [`no row to show: the file ends after row ${formatCount(report.rows)}`] : [];
  return [...fileLines(report, paint), ...past, ...rows.map((row) => rowText(row, paint))].join("\n");
}

/** What data show prints: what each file is, then rows with what is trained. */
export function dataShowView({ tokenizer, files }: ShownData, { paint }: View): string {
  const legend =
    paint.green("x") === "x" ? `trained text is between ${OPEN} and ${CLOSE}` : `${paint.green("trained")}, ${paint.dim("not trained")}`;
  const note =
    tokenizer === null
      ? "rows as they stand; --base MODEL shows what its chat template makes of them, in tokens"
      : `tokens of ${escapeText(tokenizer)}`;
  return [...files.map((file) => fileText(file, paint)), paint.dim(`${legend}; ${note}`)].join("\n\n");
}
