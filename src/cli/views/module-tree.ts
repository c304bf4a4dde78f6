import { formatBytes, formatCount } from "../../core/index.ts";
import { type ModuleNode, moduleTree } from "../../ledger/index.ts";
import type { View } from "../command.ts";
import { type Cell, renderTable } from "../terminal/index.ts";

/** A module's own tensors in short: `base 4096 × 4096 NF4, lora_A 32 × 4096 F32`. */
function tensorsText(entries: ModuleNode["entries"]): string {
  return entries.map(({ role, shape, dtype }) => `${role} ${shape.join(" × ")} ${dtype}`).join(", ");
}

function trainedCell({ trainable, parameters }: ModuleNode): Cell {
  if (trainable === 0) return { text: "frozen", effect: "dim" };
  return { text: trainable === parameters ? "trained" : `${formatCount(trainable)} trained`, effect: "green" };
}

function* rowsOf(node: ModuleNode, level: number, depth: number): Generator<Cell[]> {
  const name = node.count === 1 ? node.name : `${node.name} (${node.count} alike)`;
  const isCut = level === depth && node.children.length > 0;
  yield [
    `${"  ".repeat(level - 1)}${name}`,
    formatCount(node.tensors),
    formatCount(node.parameters),
    formatBytes(node.bytes),
    trainedCell(node),
    isCut ? "…" : tensorsText(node.entries),
  ];
  if (!isCut) for (const child of node.children) yield* rowsOf(child, level + 1, depth);
}

/**
 * The modules as a tree, down to `depth` levels; numbered modules that are alike are one row, with their sums.
 * @param bytesTitle what the bytes are
 */
export function moduleTreeView(entries: ModuleNode["entries"], { paint, limit }: View, depth: number, bytesTitle: string): string {
  const root = moduleTree(entries);
  const rows = root.children.flatMap((child) => [...rowsOf(child, 1, depth)]);
  return renderTable(
    [
      { title: "module" },
      { title: "tensors", align: "right" },
      { title: "parameters", align: "right" },
      { title: bytesTitle, align: "right" },
      { title: "state" },
      { title: "own tensors" },
    ],
    rows,
    paint,
    limit,
  );
}
