import type { ExplainResult, Hypothesis } from "../../audit/explain/index.ts";
import { formatBytes, formatCount } from "../../core/index.ts";
import type { View } from "../command.ts";
import { type Cell, escapeText, renderFacts, renderTable } from "../terminal/index.ts";

/** How many configurations are listed without `--all`. */
const SHOWN = 8;
/** Lines longer than this are hard to read, however wide the terminal. */
const MAX_COLUMNS = 110;

/** Breaks a text between words; lines after the first are indented like what follows the mark. */
function wrapped(mark: string, text: string, columns: number): string {
  const width = Math.max(40, Math.min(columns, MAX_COLUMNS));
  const indent = " ".repeat(mark.length);
  const lines: string[] = [];
  let line = mark;
  for (const word of escapeText(text).split(" ")) {
    if (line.length + 1 + word.length > width && line.trim() !== mark.trim()) {
      lines.push(line);
      line = `${indent}${word}`;
    } else line += line === mark ? word : ` ${word}`;
  }
  return [...lines, line].join("\n");
}

function facts({ observed, base, earlier }: ExplainResult): [string, string][] {
  const { trainable, all, percent, within, line } = observed;
  const tolerance = within === 0 ? "" : `, within ${formatCount(within)}`;
  return [
    [earlier.length === 0 ? "explained" : `explained (line ${line})`, observed.text],
    [
      "numbers",
      [
        `trained ${formatCount(trainable)}${tolerance}`,
        ...(all === null ? [] : [`of ${formatCount(all)}`]),
        ...(percent === null ? [] : [`${percent} %`]),
      ].join(", "),
    ],
    [
      "base",
      `${base.architecture}, ${base.layers} layers, ${formatCount(base.parameters)} parameters (${formatCount(base.packedParameters)} if 4-bit weights are counted by their bytes)${base.tied ? ", tied embeddings" : ""}`,
    ],
  ];
}

function stateCell({ fullCopies }: Hypothesis, module: "embed_tokens" | "lm_head"): Cell {
  const copy = fullCopies.find((candidate) => candidate.module === module);
  if (copy === undefined || copy.state === "absent") return { text: "-", effect: "dim" };
  const text = copy.shared ? `${copy.state} (shared)` : copy.state;
  return { text, effect: copy.state === "trained" ? "green" : "yellow" };
}

function kindOf({ method, loraState, bias, counting }: Hypothesis): string {
  return [
    method,
    ...(loraState === "frozen" ? ["frozen"] : []),
    ...(bias === "none" ? [] : [`bias: ${bias}`]),
    ...(counting === "packed" ? ["4-bit by bytes"] : []),
  ].join(", ");
}

function hypothesisTable(hypotheses: readonly Hypothesis[], result: ExplainResult, { paint, limit }: View): string {
  const { linears } = result.base;
  // Of exact ones the share is the printed one.
  const showsShare = result.observed.percent !== null && hypotheses.some(({ exact }) => !exact);
  const targetCell = (targets: readonly string[]) => {
    const rest = targets.filter((name) => !linears.includes(name));
    const isAll = targets.length - rest.length === linears.length;
    return isAll ? [`all ${linears.length} linear`, ...rest].join(", ") : targets.map((name) => name.replace(/_proj$/, "")).join(", ");
  };
  return renderTable(
    [
      { title: "rank", align: "right" },
      { title: "modules" },
      { title: "layers", align: "right" },
      { title: "embed_tokens" },
      { title: "lm_head" },
      { title: "kind" },
      { title: "in all", align: "right" },
      ...(showsShare ? [{ title: "share", align: "right" as const }] : []),
      { title: "nothing frozen", align: "right" },
      { title: "file", align: "right" },
      ...(result.adapter === null ? [] : [{ title: "adapter's files" }]),
    ],
    hypotheses.map((hypothesis) => [
      hypothesis.rank === null ? "?" : String(hypothesis.rank),
      targetCell(hypothesis.targets),
      hypothesis.layers === null ? "?" : `${hypothesis.layers.count}/${hypothesis.layers.of}`,
      stateCell(hypothesis, "embed_tokens"),
      stateCell(hypothesis, "lm_head"),
      kindOf(hypothesis),
      hypothesis.all === null ? "?" : formatCount(hypothesis.all),
      ...(showsShare ? [hypothesis.percent === null ? "?" : `${hypothesis.percent.toFixed(4)} %`] : []),
      hypothesis.unfrozen === null ? "?" : formatCount(hypothesis.unfrozen.trainable),
      hypothesis.files[0] === undefined ? "?" : formatBytes(hypothesis.files[0].bytes),
      ...(result.adapter === null
        ? []
        : [
            hypothesis.conflictsWith.length === 0
              ? { text: "agree", effect: "green" as const }
              : { text: hypothesis.conflictsWith[0]?.message ?? "", effect: "red" as const },
          ]),
    ]),
    paint,
    limit,
  );
}

/** How many are not shown, by rank, so that nothing is left out in silence. */
function restLine(rest: readonly Hypothesis[], columns: number): string {
  if (rest.length === 0) return "";
  const byRank = new Map<string, number>();
  for (const { rank, method } of rest) {
    const name = rank === null ? method : method === "dora" ? "DoRA of various ranks" : `rank ${rank}`;
    byRank.set(name, (byRank.get(name) ?? 0) + 1);
  }
  const parts = [...byRank].map(([name, count]) => `${count} × ${name}`);
  const shown = parts.slice(0, 12);
  const others = parts.length > shown.length ? `, ${parts.length - shown.length} ranks more` : "";
  return wrapped("", `and ${formatCount(rest.length)} less ordinary ones (--all lists them): ${shown.join(", ")}${others}`, columns);
}

function otherRanks({ otherRanks: ranks, hypotheses }: ExplainResult, { paint, limit }: View): string {
  if (ranks.length === 0) return "";
  const holdsCopies = hypotheses[0]?.fullCopies.some(({ state }) => state !== "absent") === true;
  const table = renderTable(
    [
      { title: "rank", align: "right" },
      { title: "nothing frozen", align: "right" },
      { title: "trainable%", align: "right" },
      ...(holdsCopies ? [{ title: "copies frozen", align: "right" as const }] : []),
      { title: "file", align: "right" },
    ],
    ranks.map(({ rank, trainable, percent, lora, files }) => [
      String(rank),
      formatCount(trainable),
      percent.toFixed(4),
      ...(holdsCopies ? [formatCount(lora)] : []),
      formatBytes(files[0]?.bytes ?? 0),
    ]),
    paint,
    limit,
  );
  return `${paint.bold("the most ordinary selection at other ranks")}\n${table}`;
}

/** Advice; the command to type stays on one line, to be copied. */
function adviceText(advice: string, columns: number): string {
  const at = advice.indexOf(": heirloom ");
  if (at < 0) return wrapped("→ ", advice, columns);
  return `${wrapped("→ ", advice.slice(0, at + 1), columns)}\n    ${escapeText(advice.slice(at + 2))}`;
}

/** What explain prints: the numbers, the verdict, the configurations, other ranks, what to do. */
export function explainView(result: ExplainResult, view: View, listAll: boolean): string {
  const { hypotheses, verdict, advice } = result;
  const shown = listAll ? hypotheses : hypotheses.slice(0, SHOWN);
  return [
    renderFacts(facts(result), view.paint, view.limit),
    verdict
      .split("\n")
      .map((sentence) => wrapped("- ", sentence, view.columns))
      .join("\n"),
    shown.length === 0 ? "" : hypothesisTable(shown, result, view),
    restLine(hypotheses.slice(shown.length), view.columns),
    otherRanks(result, view),
    advice.map((line) => adviceText(line, view.columns)).join("\n"),
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}
