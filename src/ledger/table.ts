import type { Ledger, Role } from "./types.ts";

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

/** Sums a ledger up by role and kind of module, what is trained first, else in the ledger's order. */
export function ledgerTable(ledger: Ledger): LedgerRow[] {
  const rows = new Map<string, LedgerRow>();
  for (const { role, module, dtype, trainable, group, parameters, bytes } of ledger.entries) {
    const kind = module.slice(module.lastIndexOf(".") + 1);
    const key = JSON.stringify([role, kind, dtype, trainable, group]);
    const row = rows.get(key) ?? { role, kind, dtype, trainable, group, tensors: 0, parameters: 0, bytes: 0 };
    rows.set(key, { ...row, tensors: row.tensors + 1, parameters: row.parameters + parameters, bytes: row.bytes + bytes });
  }
  return [...rows.values()].sort((a, b) => Number(b.trainable) - Number(a.trainable));
}
