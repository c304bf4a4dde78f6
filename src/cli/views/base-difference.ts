import { formatCount } from "../../core/index.ts";
import type { GroupDifference } from "../../export/index.ts";
import { type Paint, renderTable } from "../terminal/index.ts";

/** Three significant digits. */
export const figure = (value: number): string => (value === 0 ? "0" : value.toPrecision(3));
/** A share as a percentage. */
export const percent = (share: number): string => `${figure(100 * share)} %`;

/** How far dequantized weights are from the original ones, by the kind of module. */
export function baseDifferenceTable(groups: readonly GroupDifference[], title: string, paint: Paint): string {
  const columns = [
    { title },
    { title: "tensors", align: "right" as const },
    { title: "largest difference", align: "right" as const },
    { title: "relative", align: "right" as const },
  ];
  const rows = groups.map(({ group, tensors, maxAbs, relative }) => [group, formatCount(tensors), figure(maxAbs), percent(relative)]);
  return renderTable(columns, rows, paint);
}
