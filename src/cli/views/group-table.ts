import { formatCount } from "../../core/index.ts";
import type { View } from "../command.ts";
import { renderTable } from "../terminal/index.ts";

/** What the table needs to know of a learning-rate group. */
export interface GroupRow {
  readonly name: string;
  readonly learningRate: number;
  readonly tensors: number;
  readonly parameters: number;
}

/** Learning-rate groups, one line each. */
export function groupTable(groups: readonly GroupRow[], { paint }: View): string {
  return renderTable(
    [
      { title: "learning-rate group" },
      { title: "peak rate", align: "right" },
      { title: "tensors", align: "right" },
      { title: "parameters", align: "right" },
    ],
    groups.map(({ name, learningRate, tensors, parameters }) => [
      name,
      String(learningRate),
      formatCount(tensors),
      formatCount(parameters),
    ]),
    paint,
  );
}
