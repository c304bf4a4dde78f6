import type { FactDifference, RunComparison } from "../../runs/index.ts";
import type { View } from "../command.ts";
import { type Cell, escapeText, type Paint, renderFacts, renderTable } from "../terminal/index.ts";
import { evaluationText, lossText } from "./run-words.ts";

/** Rows of losses that fit a screen; --json has all of them. */
const MAX_LOSS_ROWS = 12;
/** Tensors named; --json has all of them. */
const MAX_TENSORS = 20;

/** Evenly spread rows, the first, the last and the first that differs among them. */
function someLosses({ losses, firstDifference }: RunComparison): RunComparison["losses"] {
  if (losses.length <= MAX_LOSS_ROWS) return losses;
  const every = (losses.length - 1) / (MAX_LOSS_ROWS - 1);
  const chosen = new Set(Array.from({ length: MAX_LOSS_ROWS }, (_, i) => Math.round(i * every)));
  return losses.filter(({ step }, index) => chosen.has(index) || step === firstDifference);
}

function factTable(title: string, facts: readonly FactDifference[], paint: Paint): string {
  if (facts.length === 0) return "";
  return renderTable(
    [{ title }, { title: "A" }, { title: "B" }],
    facts.map(({ what, a, b }) => [what, a, b]),
    paint,
  );
}

function configTable({ config }: RunComparison, paint: Paint): string {
  if (config.length === 0) return "the configurations that they began with are the same";
  const value = (of: unknown, source: string | null): string => `${JSON.stringify(of)}${source === null ? "" : ` (${source})`}`;
  return renderTable(
    [{ title: "configuration" }, { title: "A" }, { title: "B" }],
    config.map(({ key, a, b, sourceA, sourceB }) => [key, value(a, sourceA), value(b, sourceB)]),
    paint,
  );
}

function ledgerText({ a, b, ledger }: RunComparison, paint: Paint): string {
  if (ledger.length === 0) return "the trained tensors are the same";
  const left = ledger.length > MAX_TENSORS ? [`… and ${ledger.length - MAX_TENSORS} more`] : [];
  const banners = renderFacts(
    [
      ["trained in A", a.banner],
      ["in B", b.banner],
    ],
    paint,
  );
  return [banners, ...ledger.slice(0, MAX_TENSORS).map((line) => `  ${escapeText(line)}`), ...left].join("\n");
}

/** The smallest difference that the digits of a loss show. */
const SHOWN_DIFFERENCE = 0.00005;

/** A difference in the digits of the losses beside it, or, where those would show none, its size. */
function differenceText(difference: number): string {
  const text = Math.abs(difference) < SHOWN_DIFFERENCE ? difference.toExponential(2) : difference.toFixed(4);
  return difference > 0 ? `+${text}` : text;
}

function lossTable(comparison: RunComparison, paint: Paint): string {
  const rows = someLosses(comparison).map(({ step, a, b }): Cell[] => {
    const differs = a !== b;
    return [
      String(step),
      lossText(a),
      lossText(b),
      differs ? { text: a === null || b === null ? "one only" : differenceText(b - a), effect: "yellow" } : "=",
    ];
  });
  if (rows.length === 0) return "";
  return renderTable(
    [{ title: "update" }, { title: "loss A", align: "right" }, { title: "loss B", align: "right" }, { title: "B − A", align: "right" }],
    rows,
    paint,
  );
}

function evaluationTable({ evaluations }: RunComparison, paint: Paint): string {
  if (evaluations.length === 0) return "";
  return renderTable(
    [{ title: "held-out set" }, { title: "A" }, { title: "B" }],
    evaluations.map(({ dataset, a, b }) => [dataset, evaluationText(a === null ? [] : [a]), evaluationText(b === null ? [] : [b])]),
    paint,
  );
}

function outputText({ output, firstDifference, losses }: RunComparison): string {
  const steps =
    losses.length === 0
      ? "no losses to compare"
      : firstDifference === null
        ? "all losses are the same in every bit"
        : `the losses part at update ${firstDifference}`;
  if (output === null) return `${steps}; not both runs made an adapter`;
  return `${steps}; ${output.length === 0 ? "what they made is the same in every byte" : `what they made differs in ${output.join(", ")}`}`;
}

/** What runs compare prints: only what differs, and the losses side by side. */
export function runsCompareView(comparison: RunComparison, { paint }: View): string {
  const { a, b, changes, inputs, environment } = comparison;
  const sides = renderFacts(
    [
      ["A", a.run],
      ["B", b.run],
    ],
    paint,
  );
  return [
    sides,
    configTable(comparison, paint),
    factTable("changed on resume", changes, paint),
    factTable("inputs", inputs, paint),
    factTable("environment", environment, paint),
    ledgerText(comparison, paint),
    lossTable(comparison, paint),
    evaluationTable(comparison, paint),
    paint.bold(escapeText(outputText(comparison))),
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}
