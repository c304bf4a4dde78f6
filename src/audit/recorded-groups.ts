import { DEFAULT_GROUP, type Ledger } from "../ledger/index.ts";
import type { AdapterRecord } from "../runs/index.ts";

/** A learning-rate group as a record tells it. */
export interface RecordedGroup {
  readonly name: string;
  readonly match: readonly string[];
  /** Peak rate. */
  readonly learningRate: number;
  readonly tensors: number;
  readonly parameters: number;
}

/** The ledger with the learning-rate groups that the record gives its tensors. */
export function withRecordedGroups(ledger: Ledger, record: AdapterRecord | null): Ledger {
  if (record === null) return ledger;
  const groups = new Map(record.trainable.map(({ name, group }) => [name, group]));
  return { ...ledger, entries: ledger.entries.map((entry) => ({ ...entry, group: groups.get(entry.name) ?? entry.group })) };
}

/** The groups of a record, with how much is in each; empty without a record. */
export async function recordedGroups(ledger: Ledger, record: AdapterRecord | null): Promise<RecordedGroup[]> {
  if (record === null) return [];
  // The schema library takes longer to load than a foreign adapter takes to be read; only records need it.
  const { learningRateGroups } = await import("../config/index.ts");
  const { training } = record.config;
  const all = [...learningRateGroups(training), { name: DEFAULT_GROUP, match: [], learningRate: training.learningRate }];
  return all.map(({ name, match, learningRate }) => {
    const entries = ledger.entries.filter(({ group }) => group === name);
    return { name, match, learningRate, tensors: entries.length, parameters: entries.reduce((sum, { parameters }) => sum + parameters, 0) };
  });
}

/** What the record says is trained and the files do not hold, or the other way round. */
export function recordNotes(ledger: Ledger, record: AdapterRecord | null): string[] {
  if (record === null) return [];
  const recorded = new Set(record.trainable.map(({ name }) => name));
  const stored = new Set(ledger.entries.filter(({ trainable }) => trainable).map(({ name }) => name));
  const missing = [...recorded].filter((name) => !stored.has(name));
  const extra = [...stored].filter((name) => !recorded.has(name));
  const notes: string[] = [];
  if (missing.length > 0)
    notes.push(`${missing.length} tensors that the record says were trained are not in the file, the first of them ${missing[0] ?? ""}`);
  if (extra.length > 0)
    notes.push(
      `${extra.length} tensors in the file are not among those that the record says were trained, the first of them ${extra[0] ?? ""}`,
    );
  return notes;
}
