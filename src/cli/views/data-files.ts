import { formatCount } from "../../core/index.ts";
import type { ShownFile } from "../../data/index.ts";
import { escapeText, type Paint } from "../terminal/index.ts";

/** What a file was taken for, why, and what of it plays no part. */
export function fileLines(
  { path, container, containerEvidence, form, formEvidence, unusedFields }: ShownFile["report"],
  paint: Paint,
): string[] {
  const unused = Object.entries(unusedFields).map(([field, count]) => `${escapeText(field)} (${formatCount(count)})`);
  const evidence = [containerEvidence, formEvidence].filter((each) => each !== "").join("; ");
  return [
    `${paint.bold(escapeText(path))}: ${container ?? "nothing that is read"}${form === null ? "" : `, rows of the form ${paint.bold(form)}`}`,
    ...(evidence === "" ? [] : [`  ${paint.dim(escapeText(evidence))}`]),
    ...(unused.length === 0 ? [] : [`  ${paint.yellow("not used")} ${unused.join(", ")}`]),
  ];
}
