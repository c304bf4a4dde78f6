import { formatCount, formatRate } from "../../core/index.ts";
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
export function groupTable(groups: readonly GroupRow[], { paint, limit }: View): string {
  // An optimizer by itself has groups, and what is in them is not known.
  const isMatched = groups.some(({ tensors }) => tensors > 0);
  return renderTable(
    [
      { title: "learning-rate group" },
      { title: "peak rate", align: "right" },
      { title: "tensors", align: "right" },
      { title: "parameters", align: "right" },
    ],
    groups.map(({ name, learningRate, tensors, parameters }) => [
      name,
      formatRate(learningRate),
      isMatched ? formatCount(tensors) : "?",
      isMatched ? formatCount(parameters) : "?",
    ]),
    paint,
    limit,
  );
}
