import { formatCount } from "../core/index.ts";
import { INPUT_EMBEDDING, OUTPUT_EMBEDDING } from "../model/index.ts";
import type { Ledger, LedgerCounts, LedgerEntry, Role } from "./types.ts";

/** Sums a ledger up, as PEFT counts: a quantized tensor by its values, shared storage once. */
export function ledgerCounts(ledger: Ledger): LedgerCounts {
  const sum = (wanted: (entry: LedgerEntry) => boolean) =>
    ledger.entries.reduce((total, entry) => (wanted(entry) ? total + entry.parameters : total), 0);
  const ofRole = (...roles: Role[]) => sum(({ role }) => roles.includes(role));
  const trainable = sum((entry) => entry.trainable);
  const all = sum(() => true);
  return {
    trainable,
    frozen: all - trainable,
    all,
    percent: percentOf(trainable, all),
    lora: ofRole("lora_A", "lora_B", "lora_bias"),
    fullCopies: ofRole("full_copy"),
    bias: ofRole("bias"),
    magnitude: ofRole("lora_magnitude"),
    base: ofRole("base", "quantized_base"),
    embeddings: sum(
      ({ role, module }) => (role === "base" || role === "quantized_base") && (module === INPUT_EMBEDDING || module === OUTPUT_EMBEDDING),
    ),
  };
}

function percentOf(trainable: number, all: number): number {
  return all === 0 ? 0 : (100 * trainable) / all;
}

/**
 * The line of PEFT's `print_trainable_parameters()`:
 * `trainable params: 1,134,559,232 || all params: 9,164,820,480 || trainable%: 12.3795`
 */
export function peftBanner({ trainable, all }: Pick<LedgerCounts, "trainable" | "all">): string {
  return `trainable params: ${formatCount(trainable)} || all params: ${formatCount(all)} || trainable%: ${fourDecimals(percentOf(trainable, all))}`;
}

/** What PEFT prints for an adapter when it is new, and when it is loaded again with and without `is_trainable`. */
export function peftBanners(counts: LedgerCounts): { fresh: string; reloadedFrozen: string; reloadedTrainable: string } {
  const fresh = peftBanner(counts);
  // PEFT freezes the adapter on loading, but not the biases that `bias=` trains.
  return { fresh, reloadedTrainable: fresh, reloadedFrozen: peftBanner({ trainable: counts.bias, all: counts.all }) };
}

/** Python's `:.4f`. JavaScript rounds the same double alike but for exact ties, which Python rounds to even. */
function fourDecimals(value: number): string {
  const text = value.toFixed(4);
  // A double lies exactly between two values of four decimals only if it is an odd multiple of 1/32.
  if (!Number.isInteger(value * 32) || (value * 32) % 2 === 0) return text;
  const below = Math.floor(value * 10000);
  return ((below % 2 === 0 ? below : below + 1) / 10000).toFixed(4);
}
