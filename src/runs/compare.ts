import type { LedgerEntry } from "../ledger/index.ts";
import { changesOf, changeText } from "./changes.ts";
import { differingFiles, type HashedFiles } from "./hashes.ts";
import { type RunEvent, readEvents } from "./read-events.ts";
import { type DataRecord, type RunRecord, readRunRecord } from "./record.ts";
import { outputHashes } from "./result.ts";
import { type LossChange, lossChanges } from "./summary.ts";

/** A value that differs, and where each side had it from. */
export interface ConfigDifference {
  /** Dotted path. */
  readonly key: string;
  readonly a: unknown;
  readonly b: unknown;
  readonly sourceA: string | null;
  readonly sourceB: string | null;
}

/** A fact that differs: an input, or something of the environment. */
export interface FactDifference {
  readonly what: string;
  readonly a: string;
  readonly b: string;
}

/** Losses of one update; null where a run has none. */
export interface LossRow {
  readonly step: number;
  readonly a: number | null;
  readonly b: number | null;
}

/** How two runs differ. */
export interface RunComparison {
  readonly a: RunSide;
  readonly b: RunSide;
  /** What they began with. */
  readonly config: readonly ConfigDifference[];
  /** What was changed when they were resumed, by dotted key, if not the same in both. */
  readonly changes: readonly FactDifference[];
  /** Base, tokenizer, chat template and data, by content. */
  readonly inputs: readonly FactDifference[];
  readonly environment: readonly FactDifference[];
  /** Tensors that differ in what is trained, in words. */
  readonly ledger: readonly string[];
  readonly losses: readonly LossRow[];
  /** The first update whose losses differ in any bit, or that only one run has; null if there is none. */
  readonly firstDifference: number | null;
  readonly evaluations: readonly { readonly dataset: string; readonly a: LossChange | null; readonly b: LossChange | null }[];
  /** Files of the final adapter or model that differ; null unless both runs made one. */
  readonly output: readonly string[] | null;
}

/** One of two runs. */
export interface RunSide {
  readonly run: string;
  readonly id: string;
  readonly banner: string;
}

interface Side {
  readonly record: RunRecord;
  readonly events: readonly RunEvent[];
  readonly output: HashedFiles | null;
}

/** Every leaf of a tree of values by dotted path; a list is one leaf. */
function leaves(value: unknown, path = ""): Map<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value) || Object.keys(value).length === 0)
    return new Map([[path, value]]);
  return new Map(Object.entries(value).flatMap(([key, inner]) => [...leaves(inner, path === "" ? key : `${path}.${key}`)]));
}

function keysOf(...maps: readonly ReadonlyMap<string, unknown>[]): string[] {
  return [...new Set(maps.flatMap((map) => [...map.keys()]))];
}

function configDifferences(a: RunRecord, b: RunRecord): ConfigDifference[] {
  const [inA, inB] = [leaves(a.config), leaves(b.config)];
  return keysOf(inA, inB)
    .filter((key) => JSON.stringify(inA.get(key)) !== JSON.stringify(inB.get(key)))
    .map((key) => ({
      key,
      a: inA.get(key) ?? null,
      b: inB.get(key) ?? null,
      sourceA: a.provenance[key] ?? null,
      sourceB: b.provenance[key] ?? null,
    }));
}

function factDifferences(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): FactDifference[] {
  return keysOf(a, b)
    .map((what) => ({ what, a: a.get(what) ?? "none", b: b.get(what) ?? "none" }))
    .filter((fact) => fact.a !== fact.b);
}

function dataFact({ fingerprint, examples, tokens }: DataRecord): string {
  return `${examples} examples, ${tokens} tokens, ${fingerprint}`;
}

function inputsOf({ base, tokenizer, data, parent }: RunRecord): Map<string, string> {
  const facts = new Map([
    ["base model", base.fingerprint.value],
    ["tokenizer", tokenizer.sha256],
    ["training data", dataFact(data.train)],
  ]);
  // Not recorded by version 1: nothing is known then, and nothing is said.
  if (tokenizer.chatTemplate !== null) facts.set("chat template", tokenizer.chatTemplate);
  for (const [name, set] of Object.entries(data.eval)) facts.set(`held-out data "${name}"`, dataFact(set));
  if (parent?.files !== undefined && parent.files !== null) facts.set("parent adapter", JSON.stringify(parent.files));
  for (const [file, hash] of Object.entries(parent?.state ?? {})) facts.set(`parent state ${file}`, hash);
  return facts;
}

function inputDifferences(a: RunRecord, b: RunRecord): FactDifference[] {
  const unknown = a.tokenizer.chatTemplate === null || b.tokenizer.chatTemplate === null;
  return factDifferences(inputsOf(a), inputsOf(b)).filter(({ what }) => !(unknown && what === "chat template"));
}

function environmentOf({ environment }: RunRecord): Map<string, string> {
  return new Map(Object.entries(environment).map(([what, value]) => [what, String(value)]));
}

function environmentDifferences(a: RunRecord, b: RunRecord): FactDifference[] {
  const [inA, inB] = [environmentOf(a), environmentOf(b)];
  // What only a later version records is no difference.
  return factDifferences(inA, inB).filter(({ what }) => inA.has(what) && inB.has(what));
}

function changesByKey({ events }: Side): Map<string, string> {
  const found = new Map<string, string>();
  for (const change of changesOf(events)) {
    const before = found.get(change.key);
    found.set(change.key, before === undefined ? changeText(change) : `${before}, ${changeText(change)}`);
  }
  return found;
}

async function ledgerDifferences(a: RunRecord, b: RunRecord): Promise<string[]> {
  // Loaded when it is needed: lists of runs, which should come at once, have no use for it.
  const { compareLedgers, describeDifference } = await import("../ledger/index.ts");
  const trained = ({ ledger }: RunRecord): readonly LedgerEntry[] => ledger.entries.filter(({ trainable }) => trainable);
  const ledger = (record: RunRecord) => ({ basis: "recorded" as const, entries: trained(record) });
  return compareLedgers(ledger(a), ledger(b), { group: true }).map(describeDifference);
}

function lossesOf(events: readonly RunEvent[]): Map<number, number> {
  const found = new Map<number, number>();
  for (const { type, step, loss } of events) if (type === "step" && step !== undefined && typeof loss === "number") found.set(step, loss);
  return found;
}

function lossRows(a: Side, b: Side): LossRow[] {
  const [inA, inB] = [lossesOf(a.events), lossesOf(b.events)];
  const steps = [...new Set([...inA.keys(), ...inB.keys()])].sort((x, y) => x - y);
  return steps.map((step) => ({ step, a: inA.get(step) ?? null, b: inB.get(step) ?? null }));
}

function evaluationRows(a: Side, b: Side): RunComparison["evaluations"] {
  const byName = (side: Side): Map<string, LossChange> => new Map(lossChanges(side.events).map((change) => [change.dataset, change]));
  const [inA, inB] = [byName(a), byName(b)];
  return keysOf(inA, inB).map((dataset) => ({ dataset, a: inA.get(dataset) ?? null, b: inB.get(dataset) ?? null }));
}

async function readSide(run: string): Promise<Side> {
  const record = await readRunRecord(run);
  const [{ events }, output] = await Promise.all([readEvents(run), outputHashes(run)]);
  return { record, events, output };
}

/**
 * Compares two runs by their records and logs: configuration with where each value
 * came from and what was changed on the way, inputs by content, environment, trained tensors, losses and results.
 *
 * @throws FILE_MISSING, RECORD_INVALID
 */
export async function compareRuns(runA: string, runB: string): Promise<RunComparison> {
  const [a, b] = await Promise.all([readSide(runA), readSide(runB)]);
  const losses = lossRows(a, b);
  const side = (run: string, { record }: Side): RunSide => ({ run, id: record.id, banner: record.ledger.banner });
  return {
    a: side(runA, a),
    b: side(runB, b),
    config: configDifferences(a.record, b.record),
    changes: factDifferences(changesByKey(a), changesByKey(b)),
    inputs: inputDifferences(a.record, b.record),
    environment: environmentDifferences(a.record, b.record),
    ledger: await ledgerDifferences(a.record, b.record),
    losses,
    firstDifference: losses.find((row) => row.a !== row.b)?.step ?? null,
    evaluations: evaluationRows(a, b),
    output: a.output === null || b.output === null ? null : differingFiles(a.output, b.output),
  };
}
