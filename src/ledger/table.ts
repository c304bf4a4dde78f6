import type { LedgerEntry, Role } from "./types.ts";

/** A line of the itemised table: tensors that are alike. */
export interface LedgerRow {
  readonly role: Role;
  /** Last part of the modules' paths: `q_proj`. */
  readonly kind: string;
  readonly dtype: string;
  readonly trainable: boolean;
  readonly group: string | null;
  readonly tensors: number;
  readonly parameters: number;
  readonly bytes: number;
}

type Sums = { -readonly [K in keyof LedgerRow]: LedgerRow[K] };

/** Sums a ledger up by role and kind of module, what is trained first, else in the ledger's order. */
export function ledgerTable(ledger: { readonly entries: readonly Omit<LedgerEntry, "state">[] }): LedgerRow[] {
  const rows = new Map<string, Sums>();
  // A mixture of experts has 100,000 entries: one key and no new object for each.
  for (const { role, module, dtype, trainable, group, parameters, bytes } of ledger.entries) {
    const kind = module.slice(module.lastIndexOf(".") + 1);
    const key = `${role}\0${kind}\0${dtype}\0${trainable}\0${group === null ? "" : `=${group}`}`;
    let row = rows.get(key);
    if (row === undefined) {
      row = { role, kind, dtype, trainable, group, tensors: 0, parameters: 0, bytes: 0 };
      rows.set(key, row);
    }
    row.tensors++;
    row.parameters += parameters;
    row.bytes += bytes;
  }
  return [...rows.values()].sort((a, b) => Number(b.trainable) - Number(a.trainable));
}
