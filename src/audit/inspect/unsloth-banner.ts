import { formatCount } from "../../core/index.ts";
import type { LedgerCounts } from "../../ledger/index.ts";

/** The line of Unsloth's trainer when everything that should be is trained (unsloth/models/llama.py, 2026-08). */
export function unsloth({ trainable, all, percent }: Pick<LedgerCounts, "trainable" | "all" | "percent">): string {
  return `Trainable parameters = ${formatCount(trainable)} of ${formatCount(all)} (${percent.toFixed(2)}% trained)`;
}
