import { formatBytes, formatCount } from "../../core/index.ts";
import type { LedgerBasis, LedgerRow } from "../../ledger/index.ts";
import type { Paint } from "./paint.ts";
import { type Column, renderTable } from "./table.ts";

const BYTES_TITLES: Readonly<Record<LedgerBasis, string>> = {
  observed: "bytes in memory",
  recorded: "bytes on disk",
  predicted: "bytes if stored",
  optimizer: "bytes if stored",
};

/** What the bytes of a ledger are: the same tensor takes others in memory than in its file. */
export function bytesTitle(basis: LedgerBasis): string {
  return BYTES_TITLES[basis];
}

const columns = (basis: LedgerBasis): readonly Column[] => [
  { title: "role" },
  { title: "module" },
  { title: "dtype" },
  { title: "tensors", align: "right" },
  { title: "parameters", align: "right" },
  { title: bytesTitle(basis), align: "right" },
  { title: "state" },
  { title: "group" },
];

/** Quantized weights that are held as fp32 while the run lasts would otherwise look like an error of the table. */
function dequantizedLine(rows: readonly LedgerRow[], basis: LedgerBasis, paint: Paint): string {
  const isHeld = basis === "observed" && rows.some(({ dtype, bytes, parameters }) => dtype === "NF4" && bytes >= 4 * parameters);
  return isHeld ? `\n${paint.dim("NF4 weights are held dequantized, in fp32, while this runs (engine.dequantizedCache)")}` : "";
}

/** The itemised table of a ledger: what is trained, what is frozen. */
export function renderLedgerRows(rows: readonly LedgerRow[], basis: LedgerBasis, paint: Paint, limit: number | null = null): string {
  const cells = rows.map((row) => [
    row.role,
    row.kind,
    row.dtype,
    formatCount(row.tensors),
    formatCount(row.parameters),
    formatBytes(row.bytes),
    row.trainable ? { text: "trained", effect: "green" as const } : { text: "frozen", effect: "dim" as const },
    row.group ?? "",
  ]);
  return renderTable(columns(basis), cells, paint, limit) + dequantizedLine(rows, basis, paint);
}
