// Comparisons of numbers and of lists, each as one measure.
import type { Measure } from "./check.ts";

type Numbers = ArrayLike<number>;

/** Which elements count in a comparison, and how much of a difference is free. */
interface Counting {
  readonly counts?: (index: number) => boolean;
  readonly room?: (index: number) => number;
}

/** Largest |want − got|; infinite if one is not a number, or the lengths differ. */
export function largestDifference(want: Numbers, got: Numbers, { counts = () => true, room = () => 0 }: Counting = {}): number {
  if (want.length !== got.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let i = 0; i < want.length; i++) {
    if (!counts(i)) continue;
    const difference = Math.abs((want[i] as number) - (got[i] as number)) - room(i);
    if (Number.isNaN(difference)) return Number.POSITIVE_INFINITY;
    if (difference > largest) largest = difference;
  }
  return largest;
}

/** Largest magnitude. */
export function largestOf(values: Numbers): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i] as number));
  return largest;
}

/** Largest difference as a share of the largest wanted value; a tensor of zeros must be met exactly. */
export function relativeDifference(want: Numbers, got: Numbers): number {
  const difference = largestDifference(want, got);
  const scale = largestOf(want);
  if (scale > 0) return difference / scale;
  return difference === 0 ? 0 : Number.POSITIVE_INFINITY;
}

/** How many bytes differ: 0 means bit for bit, also for −0. */
export function sameBytes(what: string, want: Uint8Array | Float32Array, got: Uint8Array | Float32Array): Measure {
  const bytes = (array: Uint8Array | Float32Array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  const [a, b] = [bytes(want), bytes(got)];
  let different = Math.abs(a.length - b.length);
  for (let i = 0; i < Math.min(a.length, b.length); i++) if (a[i] !== b[i]) different++;
  return { what: `${what} (differing bytes)`, error: different, tolerance: 0 };
}

/** How many entries of two lists differ, in order. */
export function sameList(what: string, want: readonly string[], got: readonly string[]): Measure {
  const length = Math.max(want.length, got.length);
  const different = Array.from({ length }, (_, i) => i).filter((i) => want[i] !== got[i]);
  const [first] = different;
  return {
    what: `${what} (differences)`,
    error: different.length,
    tolerance: 0,
    ...(first === undefined ? {} : { detail: `expected ${want[first] ?? "nothing"}, found ${got[first] ?? "nothing"}` }),
  };
}

/** How many entries of two lists differ, in any order. */
export function sameSet(what: string, want: readonly string[], got: readonly string[]): Measure {
  const missing = want.filter((entry) => !got.includes(entry));
  const extra = got.filter((entry) => !want.includes(entry));
  const detail = [...missing.slice(0, 1).map((entry) => `missing ${entry}`), ...extra.slice(0, 1).map((entry) => `not expected ${entry}`)];
  return {
    what: `${what} (differences)`,
    error: missing.length + extra.length,
    tolerance: 0,
    ...(detail.length === 0 ? {} : { detail: detail.join("; ") }),
  };
}

/** One number against its wanted value, absolute. */
export function near(what: string, want: number, got: number, tolerance: number): Measure {
  return { what, error: Math.abs(want - got), tolerance };
}

/** The largest of several errors as one measure; the detail says where. */
export function largest(what: string, tolerance: number, errors: Iterable<readonly [where: string, error: number]>): Measure {
  let worst = 0;
  let at: string | undefined;
  for (const [where, error] of errors) {
    // Also true for NaN, which must not be lost.
    if (!(error <= worst)) [worst, at] = [Number.isNaN(error) ? Number.POSITIVE_INFINITY : error, where];
  }
  return { what, error: worst, tolerance, ...(at === undefined ? {} : { detail: at }) };
}
