import { HeirloomError } from "../core/index.ts";
import type { Ledger, LedgerBasis, LedgerDifference, LedgerDifferenceKind, LedgerEntry } from "./types.ts";

/** Ledgers that know every tensor's group; the others leave it open. */
const KNOWS_GROUPS: readonly LedgerBasis[] = ["predicted", "observed"];
// Enough to see the pattern; all differences are in the error's details.
const MAX_NAMED = 20;

/** Which of the properties are compared; all by default. */
export interface CompareOptions {
  /** @defaultValue true */
  readonly dtype?: boolean;
  /** @defaultValue true if both ledgers know groups */
  readonly group?: boolean;
}

/** Every tensor in which two ledgers differ, in the order of the expected one. */
export function compareLedgers(expected: Ledger, actual: Ledger, options: CompareOptions = {}): LedgerDifference[] {
  const groups = options.group ?? (KNOWS_GROUPS.includes(expected.basis) && KNOWS_GROUPS.includes(actual.basis));
  const found = new Map<string, LedgerEntry[]>();
  for (const entry of actual.entries) found.set(entry.name, [...(found.get(entry.name) ?? []), entry]);
  const differences: LedgerDifference[] = [];
  for (const entry of expected.entries) {
    const other = found.get(entry.name)?.shift();
    if (other === undefined) differences.push({ kind: "missing", name: entry.name, expected: describe(entry), found: null });
    else differences.push(...compareEntries(entry, other, options.dtype ?? true, groups));
  }
  for (const entry of [...found.values()].flat())
    differences.push({ kind: "extra", name: entry.name, expected: null, found: describe(entry) });
  return differences;
}

function compareEntries(expected: LedgerEntry, found: LedgerEntry, dtypes: boolean, groups: boolean): LedgerDifference[] {
  const differences: LedgerDifference[] = [];
  const note = (kind: LedgerDifferenceKind, want: string | null, have: string | null) => {
    if (want !== have) differences.push({ kind, name: expected.name, expected: want, found: have });
  };
  note("shape", expected.shape.join("×"), found.shape.join("×"));
  if (dtypes) note("dtype", expected.dtype, found.dtype);
  note("role", expected.role, found.role);
  note(expected.trainable ? "trainable→frozen" : "frozen→trainable", state(expected), state(found));
  if (groups) note("group", expected.group, found.group);
  return differences;
}

function state({ trainable }: LedgerEntry): string {
  return trainable ? "trainable" : "frozen";
}

function describe(entry: LedgerEntry): string {
  return `${state(entry)} ${entry.role} ${entry.shape.join("×")} ${entry.dtype}`;
}

/** One difference as a line for people. */
export function describeDifference({ kind, name, expected, found }: LedgerDifference): string {
  if (kind === "missing") return `${name}: expected ${expected}, but it is not there`;
  if (kind === "extra") return `${name}: not expected, but there is ${found}`;
  const label = kind.includes("→") ? "" : `${kind} `;
  return `${name}: expected ${label}${expected ?? "none"}, found ${found ?? "none"}`;
}

/**
 * Refuses two ledgers that differ.
 *
 * @param where - what was compared with what, for the message
 * @throws LEDGER_MISMATCH naming the tensors; `details.differences` has all of them
 */
export function assertSameLedger(expected: Ledger, actual: Ledger, where: string, options: CompareOptions = {}): void {
  const differences = compareLedgers(expected, actual, options);
  if (differences.length === 0) return;
  const named = differences.slice(0, MAX_NAMED).map((difference) => `  ${describeDifference(difference)}`);
  const more = differences.length > MAX_NAMED ? [`  … and ${differences.length - MAX_NAMED} more`] : [];
  const message = [
    `the ledger differs in ${differences.length} ${differences.length === 1 ? "place" : "places"} from the ${expected.basis} one:`,
    ...named,
    ...more,
  ].join("\n");
  throw new HeirloomError("LEDGER_MISMATCH", message, { where, details: { differences } });
}

/** The part of a ledger that an adapter's files hold: all but the base model's own tensors. */
export function withoutBase(ledger: Ledger): Ledger {
  return { ...ledger, entries: ledger.entries.filter(({ role }) => role !== "base" && role !== "quantized_base") };
}
