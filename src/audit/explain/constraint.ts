import type { Banner, PrintedCount, PrintedPercent } from "./banner.ts";

/** The numbers of a banner that an explanation must give. */
export type Observed = Pick<Banner, "trainable" | "all" | "percent">;

/** Whole numbers from `low` to `high`, both included. */
export interface CountRange {
  readonly low: number;
  readonly high: number;
}

/** The counts that are printed like this. */
export function countRange({ value, within }: PrintedCount): CountRange {
  return { low: Math.max(0, value - within), high: value + within };
}

/**
 * The totals of which `trainable` is this share, rounded to its decimals. In whole
 * numbers, since 200·10^d·t is beyond what a double holds exactly; a tie counts
 * whichever way it was rounded.
 */
function totalsOfShare({ value, decimals }: PrintedPercent, trainable: number): CountRange {
  const scale = 10n ** BigInt(decimals);
  const digits = BigInt(Math.round(value * Number(scale)));
  const share = 200n * scale * BigInt(trainable);
  const above = 2n * digits + 1n;
  const below = 2n * digits - 1n;
  const low = Number((share + above - 1n) / above);
  return { low, high: below <= 0n ? Number.MAX_SAFE_INTEGER : Number(share / below) };
}

/** The totals that a banner leaves for a model that trains this many; empty (`low > high`) if none. */
export function totalsFor({ all, percent }: Observed, trainable: number): CountRange {
  const counted = all === null ? { low: trainable, high: Number.MAX_SAFE_INTEGER } : countRange(all);
  if (percent === null) return counted;
  const shared = totalsOfShare(percent, trainable);
  return { low: Math.max(counted.low, shared.low), high: Math.min(counted.high, shared.high) };
}

/** True if `count` lies in the range. */
export function within({ low, high }: CountRange, count: number): boolean {
  return count >= low && count <= high;
}
