import { readdirSync, readFileSync, type Stats, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { HeirloomError, isHeirloomError, nearestName } from "../core/index.ts";
import { fileError, writeTextAtomic } from "../core/node/index.ts";
import { RUN_FILES } from "./layout.ts";
import { readRunRecord } from "./record.ts";
import { presentSummary, type RunSummary, readSummary, type StoredSummary } from "./summary.ts";

/** Name of the index in a store's folder. Deleting it costs the time to make it anew, nothing else. */
export const INDEX_FILE = ".heirloom-index.jsonl";

/** Rises with the form of its lines and with what a summary holds: an index of another version is made anew. */
const INDEX_SCHEMA_VERSION = 2;

/** Files whose change makes a summary out of date. */
const WATCHED = [RUN_FILES.record, RUN_FILES.events, RUN_FILES.result] as const;

/** One line of the index: a run by its folder's name, the state of its files when it was read, and what was read. */
interface IndexEntry {
  readonly name: string;
  readonly stamp: string;
  readonly summary: StoredSummary;
}

function stampOf(stats: Stats | undefined): string {
  // The inode changes when a file is replaced within one tick of the clock by another of its size.
  return stats === undefined ? "-" : `${stats.mtimeMs}.${stats.size}.${stats.ino}`;
}

/** What the index compares; null if there is no run in the folder. */
function currentStamp(path: string): string | null {
  const stamps = WATCHED.map((file) => stampOf(statSync(join(path, file), { throwIfNoEntry: false })));
  return stamps[0] === "-" ? null : stamps.join(" ");
}

function isEntry(value: unknown): value is IndexEntry {
  if (typeof value !== "object" || value === null) return false;
  const { name, stamp, summary } = value as Partial<Record<keyof IndexEntry, unknown>>;
  return typeof name === "string" && typeof stamp === "string" && typeof summary === "object" && summary !== null;
}

/** The index of a store by folder name; empty if there is none, or one that is damaged or of another version. */
function readIndex(store: string): Map<string, IndexEntry> {
  const found = new Map<string, IndexEntry>();
  try {
    const [header, ...lines] = readFileSync(join(store, INDEX_FILE), "utf8").trimEnd().split("\n");
    const { schemaVersion, runs } = JSON.parse(header ?? "") as { schemaVersion?: unknown; runs?: unknown };
    if (schemaVersion !== INDEX_SCHEMA_VERSION || runs !== lines.length) return found;
    const entries = lines.map((line): unknown => JSON.parse(line));
    if (entries.every(isEntry)) for (const entry of entries) found.set(entry.name, entry);
    return found;
  } catch {
    return found; // missing or damaged: it only saves time
  }
}

async function writeIndex(store: string, entries: readonly IndexEntry[]): Promise<void> {
  const header = { schemaVersion: INDEX_SCHEMA_VERSION, type: "heirloom-index", runs: entries.length };
  const lines = [header, ...entries].map((line) => JSON.stringify(line));
  // A store that may only be read is listed without one.
  await writeTextAtomic(join(store, INDEX_FILE), `${lines.join("\n")}\n`).catch(() => undefined);
}

/** Runs that are read at the same time: their files wait for the disk together, and few are in memory. */
const READ_AT_ONCE = 16;

/**
 * A store's runs as its files have them now, read anew only where they changed.
 *
 * @param writes false: the index is read, and left as it is
 */
async function upToDate(store: string, writes = true): Promise<readonly IndexEntry[]> {
  let names: string[];
  try {
    names = readdirSync(store, { withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [] : [entry.name]));
  } catch (error) {
    throw fileError(error, store);
  }
  const index = readIndex(store);
  const found = names.sort().flatMap((name) => {
    const stamp = currentStamp(join(store, name));
    return stamp === null ? [] : [{ name, stamp }];
  });
  const stale = found.filter(({ name, stamp }) => index.get(name)?.stamp !== stamp);
  if (stale.length === 0 && found.length === index.size) return [...index.values()];
  for (let at = 0; at < stale.length; at += READ_AT_ONCE) {
    const read = stale.slice(at, at + READ_AT_ONCE).map(async ({ name, stamp }): Promise<IndexEntry> => {
      return { name, stamp, summary: await readSummary(join(store, name)) };
    });
    for (const entry of await Promise.all(read)) index.set(entry.name, entry);
  }
  const entries = found.flatMap(({ name }) => index.get(name) ?? []);
  if (writes) await writeIndex(store, entries);
  return entries;
}

/** The summary of one run. */
export async function summarizeRun(path: string): Promise<RunSummary> {
  return presentSummary(basename(path), path, await readSummary(path), true);
}

/**
 * The runs in a store's folder, the newest first. What the files say is the truth;
 * the index beside them only saves reading those that did not change.
 *
 * @param store folder that run folders lie in
 * @throws FILE_MISSING if there is no such folder
 */
export async function listRuns(store: string): Promise<RunSummary[]> {
  const entries = await upToDate(store);
  const summaries = entries.map(({ name, summary }) => {
    const path = join(store, name);
    // Most runs have no lock: asking the system for a file's size is cheaper than opening it.
    const locked = statSync(join(path, RUN_FILES.lock), { throwIfNoEntry: false }) !== undefined;
    return presentSummary(name, path, summary, locked);
  });
  const key = ({ createdAt, name }: RunSummary): string => `${createdAt} ${name}`;
  return summaries.sort((a, b) => (key(a) < key(b) ? 1 : -1));
}

/** A run that continued an adapter or a checkpoint of another one. */
export interface Descendant {
  readonly id: string;
  /** Path of what it continued, as it recorded it. */
  readonly adapter: string;
}

/** The runs beside `run` that continued something of it; nothing is written. */
export async function descendantsOf(run: string): Promise<Descendant[]> {
  const { id } = await readRunRecord(run);
  const entries = await upToDate(dirname(run), false);
  const children = entries.filter(({ summary }) => summary.parent === id).map(({ name }) => readRunRecord(join(dirname(run), name)));
  return (await Promise.all(children)).flatMap(({ id: child, parent }) =>
    parent === null ? [] : [{ id: child, adapter: parent.adapter }],
  );
}

/** Shortest beginning of an id that is looked for; less would be a typing error more often than not. */
const MIN_PREFIX = 4;

/**
 * The run folder that a word on the command line means: a path, or in the store
 * an id or the only id that begins or ends so.
 *
 * @throws FILE_MISSING, USAGE if several are meant
 */
export function findRun(store: string, word: string, asPath: string): string {
  for (const path of [asPath, join(store, word)]) {
    if (statSync(join(path, RUN_FILES.record), { throwIfNoEntry: false }) !== undefined) return path;
  }
  let names: string[] = [];
  try {
    names = readdirSync(store);
  } catch (error) {
    if (!isHeirloomError(fileError(error, store))) throw error;
  }
  const meant = word.length < MIN_PREFIX ? [] : names.filter((name) => name.startsWith(word) || name.endsWith(word));
  const [first, ...more] = meant;
  if (first !== undefined && more.length === 0) return join(store, first);
  if (first !== undefined) {
    throw new HeirloomError("USAGE", `expected one run, found ${meant.length} that "${word}" may mean`, {
      where: store,
      hint: `say more of it: ${meant.slice(0, 3).join(", ")}${meant.length > 3 ? " …" : ""}`,
    });
  }
  const near = nearestName(word, names);
  throw new HeirloomError("FILE_MISSING", `expected the folder or id of a run, found none called "${word}"`, {
    where: store,
    hint: near === undefined ? "heirloom runs list shows those that there are; --dir names another folder" : `did you mean ${near}?`,
  });
}
