import type { InspectedTensor, InspectResult } from "../../audit/inspect/index.ts";
import { formatBytes, formatCount, formatRate } from "../../core/index.ts";
import { type LedgerBasis, ledgerTable } from "../../ledger/index.ts";
import type { View } from "../command.ts";
import { bytesTitle, escapeText, renderFacts, renderLedgerRows, renderTable } from "../terminal/index.ts";
import { groupTable } from "./group-table.ts";
import { moduleTreeView } from "./module-tree.ts";

function listed(value: readonly string[] | string | null): string {
  if (value === null) return "none";
  return typeof value === "string" ? value : value.join(", ");
}

function adapterFacts({ adapter }: InspectResult): [string, string][] {
  if (adapter === null) return [];
  const { variant, rank, alpha, scaling, targetModules, layers, modulesToSave } = adapter;
  const facts: [string, string][] = [
    ["method", rank === null ? variant : `${variant}, rank ${rank}, alpha ${alpha ?? "?"}, scaling ${scaling ?? "?"}`],
  ];
  if (rank !== null) {
    facts.push(
      ["targets", listed(targetModules)],
      ["layers", layers === null ? "all" : layers.join(", ")],
      ["full copies", listed(modulesToSave)],
    );
  }
  return facts;
}

function facts(result: InspectResult): [string, string][] {
  const { kind, path, architecture, counts, bytes, provenance } = result;
  const origin = [provenance.baseModel, provenance.peftVersion === null ? null : `PEFT ${provenance.peftVersion}`].filter(
    (part) => part !== null,
  );
  return [
    [kind, path],
    ...(architecture === null ? [] : [["architecture", architecture] as [string, string]]),
    ...adapterFacts(result),
    ...(origin.length === 0 ? [] : [["made from", origin.join(", ")] as [string, string]]),
    ...(provenance.step === null || provenance.run === null
      ? []
      : [["saved", `after update ${provenance.step} of run ${provenance.run}`] as [string, string]]),
    ...(bytes.onDisk === 0 ? [] : [["size", sizeText(bytes)] as [string, string]]),
    ...(counts.all === 0
      ? []
      : [
          ["parameters", `${formatCount(counts.all)}, of which trained ${formatCount(counts.trainable)} (${BASIS[counts.basis]})`] as [
            string,
            string,
          ],
        ]),
    ...checkpointFacts(result),
  ];
}

/** `2.3 GiB on disk: lora_A 12 MiB, full_copy 2.2 GiB`, the largest first. */
function sizeText({ onDisk, byRole }: InspectResult["bytes"]): string {
  const roles = Object.entries(byRole).sort(([, a], [, b]) => b - a);
  return `${formatBytes(onDisk)} on disk${roles.length === 0 ? "" : `: ${roles.map(([role, size]) => `${role} ${formatBytes(size)}`).join(", ")}`}`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}

function checkpointFacts({ checkpoint }: InspectResult): [string, string][] {
  if (checkpoint === null) return [];
  const { step, maxSteps, epoch, epochs, progress, lastLoss, lastLearningRates, optimizer } = checkpoint;
  const facts: [string, string][] = [];
  if (step !== null) {
    const of = maxSteps === null || progress === null ? "" : ` of ${formatCount(maxSteps)} (${percent(progress)})`;
    const during = epoch === null ? "" : `, epoch ${Number(epoch.toFixed(2))}${epochs === null ? "" : ` of ${epochs}`}`;
    facts.push([
      "progress",
      `update ${formatCount(step)}${of}${during}${lastLoss === null ? "" : `, last loss ${Number(lastLoss.toPrecision(5))}`}`,
    ]);
  }
  if (lastLearningRates !== null && lastLearningRates.length > 0)
    facts.push(["learning rates now", lastLearningRates.map(formatRate).join(", ")]);
  if (optimizer !== null)
    facts.push([
      "optimizer",
      `${optimizer.kind}, state of ${formatCount(optimizer.tensors)} tensors, order of ${optimizer.order ?? "an unknown trainer"}`,
    ]);
  return facts;
}

/** What each basis of the counts rests on. */
const BASIS = {
  predicted: "predicted from the configuration",
  recorded: "recorded in the files",
  optimizer: "recovered from the optimizer's state",
  observed: "observed live",
} as const;

function bannerText({ adapter, banner, bannerReason }: InspectResult, { paint, limit }: View): string {
  if (banner === null) return bannerReason === null || adapter === null ? "" : paint.dim(`no banner: ${escapeText(bannerReason)}`);
  const { fresh, reloadedFrozen, reloadedTrainable } = banner.peft;
  const lines: [string, string][] = [
    ["PEFT, new", fresh],
    ["reloaded, is_trainable=True", reloadedTrainable],
    ["reloaded, default", reloadedFrozen],
    ["Unsloth", banner.unsloth],
  ];
  return renderFacts(lines, paint, limit);
}

function tensorTable(tensors: readonly InspectedTensor[], basis: LedgerBasis, { paint, limit }: View): string {
  return renderTable(
    [
      { title: "tensor" },
      { title: "role" },
      { title: "shape" },
      { title: "dtype" },
      { title: bytesTitle(basis), align: "right" },
      { title: "state" },
    ],
    tensors.map(({ name, role, shape, dtype, bytes, trainable }) => [
      name,
      role,
      shape.join(" × "),
      dtype,
      formatCount(bytes),
      trainable ? { text: "trained", effect: "green" as const } : { text: "frozen", effect: "dim" as const },
    ]),
    paint,
    limit,
  );
}

/** How the tensors are shown: summed up by kind of module, one by one, or as a tree of modules so many levels deep. */
export type TensorsShown = "kinds" | "tensors" | { readonly treeDepth: number };

function tensorsView({ counts, tensors }: InspectResult, view: View, shown: TensorsShown): string {
  if (tensors.length === 0) return "";
  if (shown === "tensors") return tensorTable(tensors, counts.basis, view);
  if (shown === "kinds") return renderLedgerRows(ledgerTable({ entries: tensors }), counts.basis, view.paint, view.limit);
  return moduleTreeView(tensors, view, shown.treeDepth, bytesTitle(counts.basis));
}

/** What inspect prints: facts, the tensors as asked, banners, notes. */
export function inspectView(result: InspectResult, view: View, shown: TensorsShown): string {
  const table = tensorsView(result, view, shown);
  const notes = result.notes.map((note) => `${view.paint.yellow("note")} ${escapeText(note)}`).join("\n");
  return [
    renderFacts(facts(result), view.paint, view.limit),
    table,
    result.groups.length === 0 ? "" : groupTable(result.groups, view),
    bannerText(result, view),
    notes,
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}
