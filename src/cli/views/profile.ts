import { formatCount, formatSeconds } from "../../core/index.ts";
import type { ProfileSummary } from "../../runs/index.ts";
import type { View } from "../command.ts";
import { escapeText, renderTable } from "../terminal/index.ts";

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function boundText({ secondsPerUpdate, boundSeconds, boundShare, gemmFlopsPerSecond, flops }: ProfileSummary): string {
  const rate = `${(gemmFlopsPerSecond / 1e9).toFixed(0)} GFLOP/s`;
  return `an update takes ${formatSeconds(secondsPerUpdate)}; its products (${(flops / 1e9).toFixed(2)} GFLOP) alone would take ${formatSeconds(boundSeconds)} at the ${rate} of a pure Gemm: ${percent(boundShare)} of the bound`;
}

/** What qualifies the figures. */
function notesOf({ kernels, firstUpdateSeconds, eventsLeftOut, fault, boundShare }: ProfileSummary): string[] {
  return [
    ...(boundShare <= 1
      ? []
      : ["more than the bound: the machine was slower while the Gemm was measured than in the updates; profile again when it is idle"]),
    ...(kernels ? [] : ["the runtime timed no kernels: time in blocks is divided by their products' operations"]),
    ...(firstUpdateSeconds === null
      ? ["over the only update, which also compiles and touches memory for the first time: make more for figures that last"]
      : []),
    ...(eventsLeftOut === 0
      ? []
      : [`${formatCount(eventsLeftOut)} events were left out of the file; the figures here are over all of them`]),
    ...(fault === null ? [] : [escapeText(fault)]),
  ];
}

/** Where an update's time went: a line per share, the largest first, and the bound. */
export function profileView(summary: ProfileSummary, { paint, limit }: View): string {
  const { shares, updates, boundSeconds } = summary;
  const table = renderTable(
    [
      { title: "an update's time" },
      { title: "seconds", align: "right" },
      { title: "share", align: "right" },
      { title: "of the bound", align: "right" },
    ],
    shares
      .filter(({ share }) => Math.abs(share) >= 0.0005)
      .map(({ name, seconds, share }) => [
        name,
        seconds.toFixed(3),
        percent(share),
        { text: percent(seconds / boundSeconds), effect: "dim" as const },
      ]),
    paint,
    limit,
  );
  const notes = notesOf(summary).map((note) => `${paint.yellow("note")} ${note}`);
  return [`${table}\n${paint.dim(`mean of ${formatCount(updates)} update${updates === 1 ? "" : "s"}`)}`, boundText(summary), ...notes].join(
    "\n",
  );
}
