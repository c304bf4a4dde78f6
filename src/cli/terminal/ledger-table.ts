import { formatBytes, formatCount } from "../../core/index.ts";
import type { LedgerRow } from "../../ledger/index.ts";
import type { Paint } from "./paint.ts";
import { type Column, renderTable } from "./table.ts";

const COLUMNS: readonly Column[] = [
  { title: "role" },
  { title: "module" },
  { title: "dtype" },
  { title: "tensors", align: "right" },
  { title: "parameters", align: "right" },
  { title: "bytes", align: "right" },
  { title: "state" },
  { title: "group" },
];

/** The itemised table of a ledger: what is trained, what is frozen. */
export function renderLedgerRows(rows: readonly LedgerRow[], paint: Paint): string {
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
  return renderTable(COLUMNS, cells, paint);
}
