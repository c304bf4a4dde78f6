import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { HeirloomError } from "../core/index.ts";
import { fileError, writeTextAtomic } from "../core/node/index.ts";
import type { HashedFiles } from "./hashes.ts";
import type { Fingerprint, ParentRecord } from "./record.ts";
import { RECORD_SCHEMA_VERSION } from "./upgrade.ts";

/** Name of the record that a merged model carries: the link from it to the adapter and the base that it was made from. */
export const MERGE_RECORD = "heirloom-merge.json";

/** What a merged model was made from. */
export interface MergeRecord {
  readonly schemaVersion: number;
  readonly createdAt: string;
  /** Version of heirloom that merged it. */
  readonly version: string;
  readonly base: { readonly path: string; readonly fingerprint: Fingerprint };
  /** Dense weights that were named besides; null if none were. */
  readonly original: { readonly path: string; readonly fingerprint: Fingerprint } | null;
  /** The adapter, as a continued run names its parent. */
  readonly adapter: ParentRecord;
  readonly onto: "trained" | "original";
  readonly dtype: string;
  /** How the base was held in training. */
  readonly quantization: { readonly type: "nf4"; readonly doubleQuant: boolean } | null;
  readonly tie: { readonly before: boolean; readonly after: boolean; readonly reason: string };
  /** The comparison of logits; null if none was made. */
  readonly check: unknown;
  /** SHA-256 of the merged model's weights and configuration. */
  readonly files: HashedFiles;
}

/** Whether a folder is a merged model that says what it was made from. */
export function hasMergeRecord(folder: string): Promise<boolean> {
  return stat(join(folder, MERGE_RECORD)).then(
    (info) => info.isFile(),
    () => false,
  );
}

/** Writes the record of a merged model. */
export function writeMergeRecord(folder: string, record: Omit<MergeRecord, "schemaVersion">): Promise<void> {
  const content: MergeRecord = { schemaVersion: RECORD_SCHEMA_VERSION, ...record };
  return writeTextAtomic(join(folder, MERGE_RECORD), `${JSON.stringify(content, null, 2)}\n`);
}

function isMergeRecord(value: unknown): value is MergeRecord {
  if (typeof value !== "object" || value === null) return false;
  const { schemaVersion, base, adapter, files } = value as Partial<Record<keyof MergeRecord, unknown>>;
  const isNamed = (part: unknown, key: string): boolean =>
    typeof part === "object" && part !== null && typeof (part as Record<string, unknown>)[key] === "string";
  return (
    typeof schemaVersion === "number" && isNamed(base, "path") && isNamed(adapter, "adapter") && typeof files === "object" && files !== null
  );
}

/** Reads the record of a merged model. @throws FILE_MISSING, RECORD_INVALID */
export async function readMergeRecord(folder: string): Promise<MergeRecord> {
  const path = join(folder, MERGE_RECORD);
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw fileError(error, path);
  });
  const hint = "merge the adapter again; the merged weights themselves are not affected";
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new HeirloomError("RECORD_INVALID", "expected JSON, found something else", { where: path, hint, cause: error });
  }
  if (isMergeRecord(value) && value.schemaVersion <= RECORD_SCHEMA_VERSION) return value;
  throw new HeirloomError("RECORD_INVALID", "expected the record of a merge, found something else or that of a later heirloom", {
    where: path,
    hint,
  });
}
