import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { RunConfig } from "../config/index.ts";
import { type ByteSource, type Folder, type HeirloomError, memorySource } from "../core/index.ts";
import { openFolder } from "../core/node/index.ts";
import { versionOne } from "./fixtures/store.ts";
import {
  type AdapterRecord,
  checkpointFolder,
  checkpointStep,
  configHash,
  fingerprintModel,
  listCheckpoints,
  newRunId,
  RECORD_SCHEMA_VERSION,
  readAdapterRecord,
  readRunRecord,
  upgradeRecord,
} from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "heirloom-runs-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function readAdapter(path: string): Promise<AdapterRecord | null> {
  const opened = await openFolder(path);
  try {
    return await readAdapterRecord(opened);
  } finally {
    await opened.close();
  }
}

describe("a run's layout", () => {
  test("gives ids that sort by time", () => {
    const ids = ["2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z", "2026-11-01T00:00:00Z"].map((time) => newRunId(new Date(time), () => 0.5));
    expect(ids[0]).toBe("2026-01-02T03-04-05-8000");
    expect([...ids].sort()).toEqual(ids);
    expect(newRunId(new Date(0), () => 0)).toMatch(/-0000$/);
  });

  test("knows checkpoints by their whole name, in the order of their steps", async () => {
    const run = join(folder, "run");
    for (const name of ["checkpoint-10", "checkpoint-9", ".checkpoint-11.x.tmp", "checkpoint-x", "checkpoint-9.abandoned-1", "adapter"])
      mkdirSync(join(run, name), { recursive: true });
    expect((await listCheckpoints(run)).map(({ step }) => step)).toEqual([9, 10]);
    expect(checkpointStep(checkpointFolder(run, 12))).toBe(12);
    expect(checkpointStep(join(run, "adapter"))).toBeNull();
    await expect(listCheckpoints(join(folder, "absent"))).rejects.toMatchObject({ code: "FILE_MISSING" });
  });
});

describe("a configuration's hash", () => {
  test("does not depend on the order of keys, and does on every value and on the order of lists", () => {
    const config = (values: object): RunConfig => values as RunConfig;
    const hash = configHash(config({ a: 1, b: { c: [1, 2], d: null } }));
    expect(configHash(config({ b: { d: null, c: [1, 2] }, a: 1 }))).toBe(hash);
    for (const other of [
      { a: 1, b: { c: [2, 1], d: null } },
      { a: 1, b: { c: [1, 2], d: 0 } },
      { a: "1", b: { c: [1, 2], d: null } },
      { a: 1, b: { c: [1, 2] } },
    ])
      expect(configHash(config(other))).not.toBe(hash);
  });
});

describe("a record", () => {
  const write = (name: string, text: string): string => {
    const path = join(folder, name);
    mkdirSync(path, { recursive: true });
    for (const file of ["run.json", "heirloom.json"]) writeFileSync(join(path, file), text);
    return path;
  };

  test.each([
    ["no JSON", "{"],
    ["a list", "[]"],
    ["null", "null"],
    ["without a version", '{"config": {}}'],
    ["with no more than a version and a configuration", '{"schemaVersion": 1, "config": {}}'],
    ["of a later schema", '{"schemaVersion": 3, "config": {}}'],
    ["with a version that is no number", '{"schemaVersion": "1"}'],
  ])("that is %s is RECORD_INVALID, with its path", async (name, text) => {
    const path = write(name, text);
    for (const read of [readRunRecord, readAdapter]) {
      const error = await read(path).then(
        () => null,
        (thrown: unknown) => thrown as HeirloomError,
      );
      expect(error).toMatchObject({ code: "RECORD_INVALID", exitCode: 11 });
      expect(error?.problems[0].where).toContain(path);
    }
  });

  test("may be absent from an adapter, not from a run", async () => {
    mkdirSync(join(folder, "bare"));
    expect(await readAdapter(join(folder, "bare"))).toBeNull();
    await expect(readRunRecord(join(folder, "bare"))).rejects.toMatchObject({ code: "FILE_MISSING" });
  });
});

describe("a record of version 1", () => {
  const old = (file: string): Record<string, unknown> => JSON.parse(versionOne(file)) as Record<string, unknown>;

  test("of a run is read as one of this version: what was not recorded then is null, everything else is kept", async () => {
    const run = join(folder, "version-1");
    mkdirSync(run);
    writeFileSync(join(run, "run.json"), versionOne("run.json"));
    const { schemaVersion, data, tokenizer, parent, startedAt, changed, repeats, ...same } = await readRunRecord(run);
    const before = old("run.json");
    expect(before["schemaVersion"]).toBe(1);
    expect({ schemaVersion, startedAt, changed, repeats }).toEqual({
      schemaVersion: RECORD_SCHEMA_VERSION,
      startedAt: before["createdAt"],
      changed: null,
      repeats: null,
    });
    expect(data.train.files).toEqual([{ path: "/data/tiny/train.jsonl", bytes: null, sha256: null }]);
    expect(data.eval["held"]?.files).toEqual([{ path: "/data/tiny/eval.jsonl", bytes: null, sha256: null }]);
    expect(tokenizer).toEqual({ ...(before["tokenizer"] as object), chatTemplate: null });
    expect(parent).toEqual({ ...(before["parent"] as object), files: null, record: null });
    for (const [key, value] of Object.entries(same)) expect(value, key).toEqual(before[key]);
  });

  test("of an adapter is read as one of this version, and the file stays as it is", async () => {
    const adapter = join(folder, "adapter-version-1");
    mkdirSync(adapter);
    writeFileSync(join(adapter, "heirloom.json"), versionOne("heirloom.json"));
    expect(await readAdapter(adapter)).toEqual({
      ...old("heirloom.json"),
      schemaVersion: RECORD_SCHEMA_VERSION,
      startedAt: null,
    });
    expect(readFileSync(join(adapter, "heirloom.json"), "utf8")).toBe(versionOne("heirloom.json"));
  });

  test("has a later one refused by name", () => {
    const later = { ...old("run.json"), schemaVersion: RECORD_SCHEMA_VERSION + 1 };
    expect(() => upgradeRecord("run", later, "/x/run.json")).toThrow(
      `/x/run.json: expected schemaVersion up to ${RECORD_SCHEMA_VERSION}, found ${RECORD_SCHEMA_VERSION + 1}`,
    );
    for (const version of [0, -1, 1.5, "1", null, Number.NaN])
      expect(() => upgradeRecord("run", { ...later, schemaVersion: version }, "/x/run.json")).toThrow("lacks schemaVersion");
  });
});

describe("a fingerprint", () => {
  const model = (files: Record<string, ByteSource>): Folder => ({
    name: "model",
    list: () => Promise.resolve(Object.keys(files).sort()),
    open: (file) => Promise.resolve(files[file] as ByteSource),
  });
  const text = (content: string): ByteSource => memorySource(new TextEncoder().encode(content));

  test("is that of config and weights: other files, and the folder's name, are not part of it", async () => {
    const files = { "config.json": text("{}"), "model.safetensors": text("weights") };
    const { method, value } = await fingerprintModel(model(files));
    expect(method).toBe("sha256");
    expect((await fingerprintModel({ ...model({ ...files, "README.md": text("x") }), name: "other" })).value).toBe(value);
    for (const other of [
      { ...files, "model.safetensors": text("weighty") },
      { ...files, "config.json": text("{ }") },
      { "config.json": text("{}weights"), "model.safetensors": text("") },
      { "config.json": text("{}"), "other.safetensors": text("weights") },
    ])
      expect((await fingerprintModel(model(other))).value).not.toBe(value);
  });

  test("of a large model samples it, says so, and sees its ends and its size", async () => {
    const huge = (size: number, changed: number): ByteSource => ({
      name: "huge",
      size,
      read: (start, end) => {
        const bytes = new Uint8Array(end - start);
        if (changed >= start && changed < end) bytes[changed - start] = 1;
        return Promise.resolve(bytes);
      },
    });
    const GIB = 1024 ** 3;
    const of = (size: number, changed: number) => fingerprintModel(model({ "model.safetensors": huge(size, changed) }));
    const same = await of(3 * GIB, -1);
    expect(same.method).toBe("sha256-sampled");
    expect(await of(3 * GIB, -1)).toEqual(same);
    for (const [size, changed] of [
      [3 * GIB, 0],
      [3 * GIB, 3 * GIB - 1],
      [3 * GIB + 1, -1],
    ] as const)
      expect((await of(size, changed)).value).not.toBe(same.value);
  });
});
