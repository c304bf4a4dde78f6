import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunConfig } from "../config/index.ts";
import { type Folder, HeirloomError, readText } from "../core/index.ts";
import { fileError, sha256, writeTextAtomic } from "../core/node/index.ts";
import type { LedgerCounts, LedgerEntry } from "../ledger/index.ts";
import { RUN_FILES } from "./layout.ts";

/** Version of every JSON file that this folder writes. */
export const RECORD_SCHEMA_VERSION = 1;

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
  readonly files: readonly string[];
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
}

/** What an adapter needs to say about itself to be continued as what it was. */
export interface AdapterRecord {
  readonly schemaVersion: number;
  readonly run: string;
  readonly step: number;
  readonly base: { readonly path: string; readonly fingerprint: Fingerprint };
  readonly config: RunConfig;
  /** The trainable tensors, exactly. */
  readonly trainable: readonly LedgerEntry[];
  readonly evaluations: readonly EvaluationRecord[];
}

/** run.json: everything that a run was made from. */
export interface RunRecord {
  readonly schemaVersion: number;
  readonly id: string;
  readonly kind: "train" | "continue";
  readonly createdAt: string;
  readonly config: RunConfig;
  /** Source of each value of `config`, by dotted path. */
  readonly provenance: Readonly<Record<string, string>>;
  readonly configHash: string;
  readonly base: { readonly path: string; readonly architecture: string; readonly parameters: number; readonly fingerprint: Fingerprint };
  readonly tokenizer: { readonly sha256: string };
  readonly data: { readonly train: DataRecord; readonly eval: Readonly<Record<string, DataRecord>> };
  readonly ledger: { readonly banner: string; readonly counts: LedgerCounts; readonly entries: readonly LedgerEntry[] };
  /** What was taken for granted because no record said it. */
  readonly assumptions: readonly string[];
  readonly environment: Readonly<Record<string, string | number>>;
  readonly parent: { readonly adapter: string; readonly run: string | null; readonly step: number | null } | null;
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

function parseRecord(text: string, path: string, fields: readonly string[]): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new HeirloomError("RECORD_INVALID", "expected JSON, found something else", { where: path, cause: error });
  }
  const version = typeof value === "object" && value !== null && "schemaVersion" in value ? value.schemaVersion : undefined;
  if (typeof version === "number" && version > RECORD_SCHEMA_VERSION) {
    throw new HeirloomError("RECORD_INVALID", `expected schemaVersion up to ${RECORD_SCHEMA_VERSION}, found ${version}`, {
      where: path,
      hint: "it was written by a later heirloom; update this one",
    });
  }
  const missing = ["schemaVersion", ...fields].filter((field) => !hasFields(value, [field]));
  if (missing.length > 0 || typeof version !== "number")
    throw new HeirloomError("RECORD_INVALID", `expected a record of heirloom, found none: it lacks ${missing.join(", ") || "a version"}`, {
      where: path,
      hint: "put the original file back; an adapter can also be continued without its record, if heirloom.json is removed",
    });
  return value;
}

/** Reads a run's record. @throws FILE_MISSING, RECORD_INVALID */
export async function readRunRecord(run: string): Promise<RunRecord> {
  const path = join(run, RUN_FILES.record);
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw fileError(error, path);
  });
  return parseRecord(text, path, RUN_FIELDS) as RunRecord;
}

/** Writes a run's record. */
export function writeRunRecord(run: string, record: RunRecord): Promise<void> {
  return writeTextAtomic(join(run, RUN_FILES.record), `${JSON.stringify(record, null, 2)}\n`);
}

/** Reads the record that an adapter folder carries; null if it has none. @throws RECORD_INVALID */
export async function readAdapterRecord(folder: Folder): Promise<AdapterRecord | null> {
  if (!(await folder.list()).includes(ADAPTER_RECORD)) return null;
  const source = await folder.open(ADAPTER_RECORD);
  return parseRecord(await readText(source), source.name, ADAPTER_FIELDS) as AdapterRecord;
}
