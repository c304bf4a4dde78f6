import { join } from "node:path";
import type { RunConfig } from "../config/index.ts";
import { type ByteSource, type Folder, HeirloomError, readText } from "../core/index.ts";
import { openFile, sha256, writeTextAtomic } from "../core/node/index.ts";
import type { LedgerCounts, LedgerEntry } from "../ledger/index.ts";
import type { HashedFile, HashedFiles } from "./hashes.ts";
import { RUN_FILES } from "./layout.ts";
import type { EvaluationConditions, HeldOutRecord } from "./measures.ts";
import { type RecordKind, upgradeRecord } from "./upgrade.ts";

/** Name of the record that an adapter folder carries with it. PEFT ignores it. */
export const ADAPTER_RECORD = "heirloom.json";

/** Identifies the content of a base model. */
export interface Fingerprint {
  /** `sha256`: of every byte; `sha256-sampled`: of headers and evenly spread samples. */
  readonly method: "sha256" | "sha256-sampled";
  readonly value: string;
}

/** Identifies a data set as it was trained on. */
export interface DataRecord {
  readonly files: readonly HashedFile[];
  /** SHA-256 over token ids and labels. */
  readonly fingerprint: string;
  readonly examples: number;
  readonly tokens: number;
  readonly labelTokens: number;
}

/** A held-out loss, as it was measured on the weights as saved. */
export interface EvaluationRecord {
  readonly dataset: string;
  readonly fingerprint: string;
  readonly step: number;
  readonly loss: number;
  readonly labelTokens: number;
  /** Missing in records of earlier versions. */
  readonly conditions?: EvaluationConditions | undefined;
}

/** What an adapter needs to say about itself to be continued as what it was. */
export interface AdapterRecord {
  readonly schemaVersion: number;
  readonly run: string;
  /** When its run was first started: the date that a chat template prints; null: not recorded. */
  readonly startedAt: string | null;
  readonly step: number;
  readonly base: { readonly path: string; readonly fingerprint: Fingerprint };
  readonly config: RunConfig;
  /** The trainable tensors, exactly. */
  readonly trainable: readonly LedgerEntry[];
  readonly evaluations: readonly EvaluationRecord[];
}

/** What a continued run started from: the link to the run above it. */
export interface ParentRecord {
  /** Path of the folder whose adapter was continued. */
  readonly adapter: string;
  readonly run: string | null;
  readonly step: number | null;
  /** SHA-256 of the adapter's files; null: not recorded. */
  readonly files: HashedFiles | null;
  /** SHA-256 of the run.json of the run that made it; null if there is none beside it. */
  readonly record: string | null;
  /** SHA-256 of the state files of another trainer's checkpoint, if its run was gone on with and not only its adapter. */
  readonly state?: HashedFiles;
  /** Its held-out sets, where the new run evaluates on them too, to show what is forgotten; by name. */
  readonly heldOut?: Readonly<Record<string, HeldOutRecord>>;
}

/** run.json: everything that a run was made from. */
export interface RunRecord {
  readonly schemaVersion: number;
  readonly id: string;
  readonly kind: "train" | "continue";
  readonly createdAt: string;
  /** The date that chat templates print: `createdAt`, or that of the run that is repeated. */
  readonly startedAt: string;
  readonly config: RunConfig;
  /** Source of each value of `config`, by dotted path. */
  readonly provenance: Readonly<Record<string, string>>;
  readonly configHash: string;
  readonly base: { readonly path: string; readonly architecture: string; readonly parameters: number; readonly fingerprint: Fingerprint };
  /** `chatTemplate`: SHA-256 of its text, `none` if there is none; null: not recorded. */
  readonly tokenizer: { readonly sha256: string; readonly chatTemplate: string | null };
  readonly data: { readonly train: DataRecord; readonly eval: Readonly<Record<string, DataRecord>> };
  readonly ledger: { readonly banner: string; readonly counts: LedgerCounts; readonly entries: readonly LedgerEntry[] };
  /** What was taken for granted because no record said it. */
  readonly assumptions: readonly string[];
  readonly environment: Readonly<Record<string, string | number>>;
  readonly parent: ParentRecord | null;
  /** What a continuation was allowed to change; null: not recorded. */
  readonly changed: readonly string[] | null;
  /** Id of the run that this one repeats from its record; null if it repeats none. */
  readonly repeats: string | null;
}

/** SHA-256 of a configuration, independent of the order of its keys. */
export function configHash(config: RunConfig): string {
  const sorted = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(sorted);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, inner]) => [key, sorted(inner)]),
    );
  };
  return sha256(JSON.stringify(sorted(config)));
}

/** Whether `value` has the field at each dotted path: enough to be taken for a record of ours. */
function hasFields(value: unknown, paths: readonly string[]): boolean {
  return paths.every((path) => {
    let at = value;
    for (const key of path.split(".")) {
      if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) return false;
      at = (at as Record<string, unknown>)[key];
    }
    return true;
  });
}

const CONFIG_FIELDS = [
  "config.base",
  "config.adapter",
  "config.data",
  "config.training.groups",
  "config.engine",
  "base.path",
  "base.fingerprint.value",
];
const RUN_FIELDS = [
  "id",
  "createdAt",
  "configHash",
  "tokenizer.sha256",
  "data.train.fingerprint",
  "data.eval",
  "ledger.entries",
  ...CONFIG_FIELDS,
];
const ADAPTER_FIELDS = ["run", "step", "trainable", "evaluations", ...CONFIG_FIELDS];
/** What every version has, so that it is asked of the file as it is. */
const FIELDS: Readonly<Record<RecordKind, readonly string[]>> = { run: RUN_FIELDS, adapter: ADAPTER_FIELDS };

/** Largest record that is read: the entries of 100,000 tensors take some 30 MB. */
const MAX_RECORD_BYTES = 64 * 1024 * 1024;

async function recordText(source: ByteSource): Promise<string> {
  if (source.size <= MAX_RECORD_BYTES) return readText(source);
  throw new HeirloomError("RECORD_INVALID", `expected a record of at most ${MAX_RECORD_BYTES} bytes, found ${source.size}`, {
    where: source.name,
  });
}

type Test = (value: unknown) => boolean;
const isText: Test = (value) => typeof value === "string";
const isObject: Test = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
/** A model that is trained in full has no adapter. */
const isAdapter: Test = (value) => value === null || isObject(value);
const isNamed: Test = (value) => isObject(value) && isText((value as { name?: unknown }).name);
const listOf =
  (test: Test): Test =>
  (value) =>
    Array.isArray(value) && value.every(test);
const isGroup: Test = (value) => isNamed(value) && listOf(isText)((value as { match?: unknown }).match);

/** What readers take for granted, and would break on. */
const CONFIG_TYPES: readonly (readonly [path: string, test: Test])[] = [
  ["config.adapter", isAdapter],
  ["config.data", isObject],
  ["config.engine", isObject],
  ["config.training.groups", listOf(isGroup)],
  ["base.path", isText],
  ["base.fingerprint.value", isText],
];
const TYPES: Readonly<Record<RecordKind, typeof CONFIG_TYPES>> = {
  run: [["id", isText], ["ledger.entries", listOf(isNamed)], ...CONFIG_TYPES],
  adapter: [
    ["run", isText],
    ["step", (value) => typeof value === "number"],
    ["trainable", listOf(isNamed)],
    ["evaluations", listOf(isObject)],
    ...CONFIG_TYPES,
  ],
};

/** The first field of another type than it should be; null if all are as they should. */
function wrongField(kind: RecordKind, record: unknown): string | null {
  const at = (path: string): unknown => path.split(".").reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], record);
  return TYPES[kind].find(([path, test]) => !test(at(path)))?.[0] ?? null;
}

function parseRecord(kind: RecordKind, text: string, path: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new HeirloomError("RECORD_INVALID", "expected JSON, found something else", { where: path, cause: error });
  }
  const record = upgradeRecord(kind, value, path);
  const missing = FIELDS[kind].filter((field) => !hasFields(value, [field]));
  if (missing.length === 0) {
    const wrong = wrongField(kind, record);
    if (wrong === null) return record;
    throw new HeirloomError("RECORD_INVALID", `expected a record of heirloom, found one whose ${wrong} is of another type`, {
      where: path,
      hint: "put the original file back; an adapter can also be continued without its record, if heirloom.json is removed",
    });
  }
  throw new HeirloomError("RECORD_INVALID", `expected a record of heirloom, found none: it lacks ${missing.join(", ")}`, {
    where: path,
    hint: "put the original file back; an adapter can also be continued without its record, if heirloom.json is removed",
  });
}

/** Reads a run's record. @throws FILE_MISSING, RECORD_INVALID */
export async function readRunRecord(run: string): Promise<RunRecord> {
  const path = join(run, RUN_FILES.record);
  const source = await openFile(path);
  try {
    return parseRecord("run", await recordText(source), path) as RunRecord;
  } finally {
    await source.close();
  }
}

/** Writes a run's record. */
export function writeRunRecord(run: string, record: RunRecord): Promise<void> {
  return writeTextAtomic(join(run, RUN_FILES.record), `${JSON.stringify(record, null, 2)}\n`);
}

/** Reads the record that an adapter folder carries; null if it has none. @throws RECORD_INVALID */
export async function readAdapterRecord(folder: Folder): Promise<AdapterRecord | null> {
  if (!(await folder.list()).includes(ADAPTER_RECORD)) return null;
  const source = await folder.open(ADAPTER_RECORD);
  return parseRecord("adapter", await recordText(source), source.name) as AdapterRecord;
}
