import { formatBytes, formatCount, formatSeconds } from "../../core/index.ts";
import type { BenchResult, ModelEstimate } from "../../train/index.ts";
import type { View } from "../command.ts";
import { escapeText, renderFacts, renderTable } from "../terminal/index.ts";

function gigaflops(flopsPerSecond: number): string {
  return `${(flopsPerSecond / 1e9).toFixed(0)} GFLOP/s`;
}

/** 12.3 while it matters, 1,234 where it does not. */
function tokens(perSecond: number): string {
  return perSecond < 100 ? perSecond.toFixed(1) : formatCount(Math.round(perSecond));
}

/** Of the way of outputs, what it means. */
const COPIES: Readonly<Record<string, string>> = {
  avoided: "avoided: products write into memory of ours (a self-test showed that this works here)",
  ordinary: "ordinary: onnxruntime copies every output once more",
};

function facts({ machine, memoryBytes, rates, copiedBytesPerSecond, step }: BenchResult): [string, string][] {
  const millions = (perSecond: number, what: string): string => `${formatCount(Math.round(perSecond / 1e6))} million ${what}/s`;
  return [
    ["processor", `${escapeText(String(machine["cpu"]))}, ${machine["cores"]} cores, ${formatBytes(memoryBytes)}`],
    ["onnxruntime", `${machine["onnxruntime"]}; copies of outputs ${COPIES[String(machine["outputCopy"])] ?? machine["outputCopy"]}`],
    ["memory", `${(copiedBytesPerSecond / 1e9).toFixed(1)} GB/s read and written by a copy`],
    ["NF4", millions(rates.dequantizedPerSecond, "weights dequantized")],
    ["AdamW", millions(rates.adamwValuesPerSecond, "parameters")],
    [
      "a step",
      `${step.model}, ${step.tokens} tokens: ${formatSeconds(step.seconds)}, ${tokens(step.tokensPerSecond)} tokens/s, ${(100 * step.efficiency).toFixed(0)} % of its products' rate`,
    ],
  ];
}

function gemmTable({ gemm }: BenchResult, { paint, limit }: View): string {
  const counts = [...new Set(gemm.map(({ threads }) => threads))];
  const shapes = [...new Set(gemm.map(({ inFeatures, outFeatures }) => `${inFeatures} × ${outFeatures}`))];
  const rate = (shape: string, count: number): string => {
    const found = gemm.find(({ inFeatures, outFeatures, threads }) => `${inFeatures} × ${outFeatures}` === shape && threads === count);
    return found === undefined ? "" : gigaflops(found.flopsPerSecond);
  };
  return renderTable(
    [
      { title: "product of 512 rows" },
      ...counts.map((count) => ({ title: `${count} thread${count === 1 ? "" : "s"}`, align: "right" as const })),
    ],
    shapes.map((shape) => [shape, ...counts.map((count) => rate(shape, count))]),
    paint,
    limit,
  );
}

function fitText({ fits, remedies }: ModelEstimate): string {
  if (fits) return "";
  const last = remedies.at(-1);
  if (last?.fits !== true) return "no: needs a machine with more memory";
  return `with ${remedies.flatMap(({ settings }) => settings.map((setting) => `--set ${setting}`)).join(" ")}: ${formatBytes(last.bytes)}`;
}

const METHODS = { qlora: "QLoRA", full: "and embeddings, head" } as const;

function modelTable({ models, memoryBytes }: BenchResult, { paint, limit }: View): string {
  return renderTable(
    [
      { title: "model" },
      { title: "trained" },
      { title: "tokens/s", align: "right" },
      { title: "memory", align: "right" },
      { title: `fits into ${formatBytes(memoryBytes)}` },
    ],
    models.map((estimate) => [
      estimate.method === "qlora" ? estimate.model : "",
      METHODS[estimate.method],
      tokens(estimate.tokensPerSecond),
      { text: formatBytes(estimate.bytes), effect: estimate.fits ? ("green" as const) : ("yellow" as const) },
      estimate.fits ? "yes" : fitText(estimate),
    ]),
    paint,
    limit,
  );
}

/** What bench prints: the machine's rates, and what models would need and do. */
export function benchView(result: BenchResult, view: View): string {
  const { rank, batchSize, sequence } = result.assumed;
  const note = `estimates: NF4 base, LoRA of rank ${rank} on all linear layers, ${batchSize} × ${sequence} tokens an update, all labelled; the rates above and the arithmetic of heirloom plan. Measured in ${formatSeconds(result.seconds)}.`;
  return [renderFacts(facts(result), view.paint, view.limit), gemmTable(result, view), modelTable(result, view), view.paint.dim(note)].join(
    "\n\n",
  );
}
