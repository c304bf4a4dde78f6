import type { ChangedTensor, DiffGroup, DiffResult } from "../../audit/diff/index.ts";
import { formatCount } from "../../core/index.ts";
import type { View } from "../command.ts";
import { escapeText, renderFacts, renderTable } from "../terminal/index.ts";

/** Names of one kind that are shown; --json has them all. */
const MAX_NAMES = 10;

const number = (value: number | null): string => (value === null ? "" : Number(value.toPrecision(3)).toString());
const percent = (share: number | null): string => (share === null ? "" : `${(100 * share).toFixed(share > 0 && share < 0.001 ? 4 : 1)} %`);

const MEASURES = [
  { title: "max |Δ|", align: "right" as const },
  { title: "of max |A|", align: "right" as const },
  { title: "elements changed", align: "right" as const },
];

function groupTable(groups: readonly DiffGroup[], { paint, limit }: View): string {
  return renderTable(
    [{ title: "tensors" }, { title: "same", align: "right" }, { title: "changed", align: "right" }, ...MEASURES],
    groups.map(({ name, same, changed, maxAbs, maxRel, changedShare }) => [
      name,
      formatCount(same),
      changed === 0 ? { text: "0", effect: "dim" as const } : { text: formatCount(changed), effect: "yellow" as const },
      number(maxAbs),
      percent(maxRel),
      percent(changedShare),
    ]),
    paint,
    limit,
  );
}

function tensorTable(changed: readonly ChangedTensor[], { paint, limit }: View): string {
  return renderTable(
    [{ title: "tensor" }, { title: "dtype" }, ...MEASURES],
    changed.map(({ name, dtypeA, dtypeB, maxAbs, maxRel, changedShare }) => [
      name,
      dtypeA === dtypeB ? dtypeA : `${dtypeA} → ${dtypeB}`,
      number(maxAbs),
      percent(maxRel),
      percent(changedShare),
    ]),
    paint,
    limit,
  );
}

function named(title: string, names: readonly string[], { paint }: View): string {
  if (names.length === 0) return "";
  const more = names.length > MAX_NAMES ? [`… and ${names.length - MAX_NAMES} more`] : [];
  return [paint.dim(`${title} (${names.length})`), ...[...names.slice(0, MAX_NAMES), ...more].map((name) => `  ${escapeText(name)}`)].join(
    "\n",
  );
}

/** What diff prints: the verdict, then the evidence. */
export function diffView(result: DiffResult, view: View, listTensors: boolean): string {
  const { a, b, verdict, groups, changed, onlyInA, onlyInB, shapeMismatch, dtypes, notes } = result;
  const parts = [
    view.paint.bold(escapeText(verdict)),
    renderFacts(
      [
        ["A", a],
        ["B", b],
      ],
      view.paint,
      view.limit,
    ),
    groups.length === 0 ? "" : groupTable(groups, view),
    listTensors && changed.length > 0 ? tensorTable(changed, view) : "",
    named("only in A", onlyInA, view),
    named("only in B", onlyInB, view),
    named(
      "of another shape",
      shapeMismatch.map(({ name, a: inA, b: inB }) => `${name}: ${inA.join(" × ")} → ${inB.join(" × ")}`),
      view,
    ),
    named(
      "of another dtype, compared by value",
      dtypes.map(({ name, a: inA, b: inB }) => `${name}: ${inA} → ${inB}`),
      view,
    ),
    notes.map((note) => `${view.paint.yellow("note")} ${escapeText(note)}`).join("\n"),
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}
