import { HeirloomError } from "../core/index.ts";

/** Version of run.json, result.json and heirloom.json as they are written now. */
export const RECORD_SCHEMA_VERSION = 2;

/** The records that there are: a run's (run.json), and the one in an adapter's folder (heirloom.json). */
export type RecordKind = "run" | "adapter";

type Values = Readonly<Record<string, unknown>>;

function isValues(value: unknown): value is Values {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Version 1 had the paths of data files alone. */
function dataFrom1(data: unknown): unknown {
  if (!isValues(data) || !Array.isArray(data["files"])) return data;
  return { ...data, files: data["files"].map((path: unknown) => ({ path, bytes: null, sha256: null })) };
}

/** Version 2 added hashes of data files, chat template and parent, what a continuation changed, and the date that templates print. */
function runFrom1(record: Values): Values {
  const { data, tokenizer, parent, createdAt } = record;
  const held = isValues(data) && isValues(data["eval"]) ? data["eval"] : {};
  return {
    ...record,
    startedAt: createdAt,
    changed: null,
    tokenizer: isValues(tokenizer) ? { chatTemplate: null, ...tokenizer } : tokenizer,
    data: isValues(data)
      ? {
          ...data,
          train: dataFrom1(data["train"]),
          eval: Object.fromEntries(Object.entries(held).map(([name, set]) => [name, dataFrom1(set)])),
        }
      : data,
    parent: isValues(parent) ? { ...parent, files: null, record: null } : null,
    repeats: null,
  };
}

/** Version 2 added the date that templates print, so that an evaluation later can print the same. */
function adapterFrom1(record: Values): Values {
  return { startedAt: null, ...record };
}

/** How a record of version n + 1 is made of one of version n; the first is for version 1. */
const MIGRATIONS: Readonly<Record<RecordKind, readonly ((record: Values) => Values)[]>> = { run: [runFrom1], adapter: [adapterFrom1] };

/**
 * A parsed record as this version has it: one of an earlier version is brought up, step by step; the file is not touched.
 *
 * @param where path of the file, for messages
 * @throws RECORD_INVALID for a later version, by name, and for what has none
 */
export function upgradeRecord(kind: RecordKind, value: unknown, where: string): Values {
  const version = isValues(value) ? value["schemaVersion"] : undefined;
  if (!isValues(value) || typeof version !== "number" || !Number.isInteger(version) || version < 1) {
    throw new HeirloomError("RECORD_INVALID", "expected a record of heirloom, found none: it lacks schemaVersion", {
      where,
      hint: "put the original file back; an adapter can also be continued without its record, if heirloom.json is removed",
    });
  }
  if (version > RECORD_SCHEMA_VERSION) {
    throw new HeirloomError("RECORD_INVALID", `expected schemaVersion up to ${RECORD_SCHEMA_VERSION}, found ${version}`, {
      where,
      hint: "it was written by a later heirloom; update this one",
      details: { expected: RECORD_SCHEMA_VERSION, found: version },
    });
  }
  const upgraded = MIGRATIONS[kind].slice(version - 1).reduce<Values>((record, migrate) => migrate(record), value);
  return { ...upgraded, schemaVersion: RECORD_SCHEMA_VERSION };
}
