import type { MemoryPartName, PlanResult } from "../../audit/plan/index.ts";
import { formatBytes, formatCount, formatSeconds } from "../../core/index.ts";
import { ledgerTable } from "../../ledger/index.ts";
import type { View } from "../command.ts";
import { escapeText, renderFacts, renderLedgerRows, renderTable } from "../terminal/index.ts";
import { groupTable } from "./group-table.ts";

const PART_TITLES: Readonly<Record<MemoryPartName, string>> = {
  base: "base",
  dequantized: "dequantized weights",
  fullCopies: "full copies",
  masters: "trained weights",
  gradients: "gradients",
  optimizer: "optimizer",
  activations: "activations",
  head: "head",
  transient: "while computing",
  process: "process",
};

/** 1.2 TFLOP, 350 GFLOP. */
function operations(flops: number): string {
  return flops >= 1e12 ? `${(flops / 1e12).toFixed(2)} TFLOP` : `${(flops / 1e9).toFixed(2)} GFLOP`;
}

function timeText({ time, timeReason }: PlanResult): string {
  if (time === null) return timeReason ?? "unknown";
  const run = time.run === null ? "" : `; the run ${formatSeconds(time.run)}`;
  return `about ${formatSeconds(time.perUpdate)} (${formatCount(time.tokensPerSecond)} tokens/s)${run}`;
}

function facts(result: PlanResult): [string, string][] {
  const { base, architecture, banner, update } = result;
  return [
    ["base", `${base} (${architecture})`],
    ["PEFT prints", banner],
    [
      "update",
      `${formatCount(update.tokens)} tokens at most in ${update.microBatches} micro-batch${update.microBatches === 1 ? "" : "es"}: ${operations(update.flops.total)}`,
    ],
    ["time per update", timeText(result)],
  ];
}

function fileTable({ files }: PlanResult, { paint, limit }: View): string {
  return renderTable(
    [{ title: "file" }, { title: "bytes", align: "right" }, { title: "of tensors", align: "right" }, { title: "", align: "right" }],
    files.map(({ file, bytes, tensorBytes }) => [file, formatCount(bytes), formatCount(tensorBytes), formatBytes(bytes)]),
    paint,
    limit,
  );
}

function memoryTable({ memory }: PlanResult, { paint, limit }: View): string {
  const rows = memory.parts
    .filter(({ bytes }) => bytes > 0)
    .map(({ part, bytes, formula, estimated }) => [
      PART_TITLES[part],
      `${estimated ? "~" : ""}${formatBytes(bytes)}`,
      { text: formula, effect: "dim" as const },
    ]);
  const total = { text: formatBytes(memory.totalBytes), effect: memory.fits ? ("green" as const) : ("red" as const) };
  return renderTable(
    [{ title: "memory" }, { title: "peak", align: "right" }, { title: "how" }],
    [...rows, ["together", total, `${memory.fits ? "fits into" : "does not fit into"} ${formatBytes(memory.machineBytes)}`]],
    paint,
    limit,
  );
}

function remedyTable({ memory }: PlanResult, { paint, limit }: View): string {
  if (memory.fits) return "";
  if (memory.remedies.length === 0) return paint.yellow("no setting of this run makes it smaller");
  const table = renderTable(
    [{ title: "what would make it fit, step by step" }, { title: "peak then", align: "right" }, { title: "price" }],
    memory.remedies.map(({ settings, price, bytes, fits }) => [
      settings.map((setting) => `--set ${setting}`).join(" "),
      { text: formatBytes(bytes), effect: fits ? ("green" as const) : ("yellow" as const) },
      price,
    ]),
    paint,
    limit,
  );
  const last = memory.remedies.at(-1);
  return last?.fits === true ? table : `${table}\n${paint.yellow("even then it does not fit: take a smaller base or a larger machine")}`;
}

/** What plan prints: facts, the ledger, groups, files, memory, and what to know. */
export function planView(result: PlanResult, view: View, listTensors: boolean): string {
  const { paint, limit } = view;
  const entries = result.tensors.map((entry) => ({ ...entry, state: "present" as const }));
  const trained = entries.filter(({ trainable }) => trainable);
  const tensors = listTensors
    ? renderTable(
        [{ title: "trained tensor" }, { title: "shape" }, { title: "group" }],
        trained.map(({ name, shape, group }) => [name, shape.join(" × "), group ?? ""]),
        paint,
        limit,
      )
    : "";
  // The memory table with its remedies says what a warning of memory would.
  const warnings = result.warnings
    .filter(({ code }) => code !== "MEMORY")
    .map(({ message, hint }) => `${paint.yellow("warning")} ${escapeText(message)}\n        ${escapeText(hint)}`);
  return [
    renderFacts(facts(result), paint, limit),
    renderLedgerRows(ledgerTable({ entries }), "predicted", paint, limit),
    tensors,
    result.groups.length < 2 ? "" : groupTable(result.groups, view),
    fileTable(result, view),
    memoryTable(result, view),
    remedyTable(result, view),
    ...warnings,
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}
