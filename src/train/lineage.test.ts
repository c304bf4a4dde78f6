import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Lineage, readRunRecord, readRunResult, verifyLineage } from "../runs/index.ts";
import { editJson } from "./fixtures/adapter-files.ts";
import { TinyWorkshop } from "./fixtures/tiny-run.ts";

/** Three generations, the youngest first; broken and mended again by each test. */
let workshop: TinyWorkshop;
let runs: readonly [child: string, parent: string, grandparent: string];

beforeAll(async () => {
  workshop = await TinyWorkshop.open();
  const grandparent = (await workshop.train()).result.run;
  const parent = (await workshop.continue(grandparent)).result.run;
  runs = [(await workshop.continue(join(parent, "checkpoint-2"))).result.run, parent, grandparent];
});
afterAll(() => workshop.close());

/** What is wrong, in words: `<generation> <what> <state>`. */
function broken({ links }: Lineage): string[] {
  const names = ["child", "parent", "grandparent"];
  const ids = runs.map((run) => basename(run));
  return links.filter(({ state }) => state !== "ok").map(({ run, what, state }) => `${names[ids.indexOf(run)] ?? run} ${what} ${state}`);
}

/** Breaks something of a file or folder for one look, and puts it back. */
async function whileBroken(path: string, damage: (path: string) => void): Promise<Lineage> {
  const kept = workshop.path("kept");
  cpSync(path, kept, { recursive: true });
  damage(path);
  try {
    return await verifyLineage(runs[0]);
  } finally {
    rmSync(path, { recursive: true, force: true });
    renameSync(kept, path);
  }
}

function flipByte(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

describe("a lineage", () => {
  test("goes from a run up to its base, every link by hash", async () => {
    const lineage = await verifyLineage(runs[0]);
    expect(lineage).toMatchObject({ ok: true, runs: runs.map((run) => basename(run)) });
    expect(broken(lineage)).toEqual([]);
    expect(lineage.links.filter(({ run }) => run === basename(runs[0])).map(({ what }) => what)).toEqual([
      ...["record", "adapter", "base model", "tokenizer", "chat template", "training data", 'held-out data "held"'],
      ...["parent adapter", "parent record"],
    ]);
  });

  test("is recorded from hash to hash: the child's parent is what the parent's result says it made", async () => {
    const continued = (await workshop.continue(runs[2])).result.run;
    const [record, result] = await Promise.all([readRunRecord(continued), readRunResult(runs[2])]);
    expect(record.parent).toMatchObject({ run: basename(runs[2]), files: result?.files, record: result?.record });
    rmSync(continued, { recursive: true });
  });

  test.each([
    [
      "a base with one other byte",
      () => join(workshop.base, "model.safetensors"),
      flipByte,
      ["child", "parent", "grandparent"].map((g) => `${g} base model changed`),
    ],
    [
      "no base",
      () => join(workshop.base, "config.json"),
      (path: string) => rmSync(path),
      ["child", "parent", "grandparent"].map((g) => `${g} base model changed`),
    ],
    [
      "other training data",
      () => workshop.path("train.jsonl"),
      flipByte,
      ["child", "parent", "grandparent"].map((g) => `${g} training data changed`),
    ],
    [
      "no held-out data",
      () => workshop.path("eval.jsonl"),
      (path: string) => rmSync(path),
      ["child", "parent", "grandparent"].map((g) => `${g} held-out data "held" missing`),
    ],
    [
      "an edited record above",
      () => join(runs[2], "run.json"),
      (path: string) => editJson(path, { createdAt: "2020-01-01T00:00:00.000Z" }),
      ["parent parent record changed", "grandparent record changed"],
    ],
    [
      "an adapter of its own with one other byte",
      () => join(runs[0], "adapter", "adapter_model.safetensors"),
      flipByte,
      ["child adapter changed"],
    ],
    [
      "a parent's checkpoint with another configuration",
      () => join(runs[1], "checkpoint-2", "adapter_config.json"),
      (path: string) => editJson(path, { lora_alpha: 3 }),
      ["child parent adapter changed"],
    ],
    [
      "no adapter above",
      () => join(runs[2], "adapter"),
      (path: string) => rmSync(path, { recursive: true }),
      ["parent parent adapter missing", "grandparent adapter missing"],
    ],
    [
      "an unreadable record above",
      () => join(runs[1], "run.json"),
      (path: string) => writeFileSync(path, "{"),
      ["child parent record changed", `${"parent"} record unreadable`],
    ],
  ] as const)("names each broken link: %s", async (_, path, damage, expected) => {
    const lineage = await whileBroken(path(), damage);
    expect(lineage.ok).toBe(false);
    expect(broken(lineage)).toEqual(expected);
  });

  test("says where a parent was moved to, if its bytes are the same, and goes on from there", async () => {
    const store = workshop.path("moved-store");
    mkdirSync(store);
    for (const run of runs) cpSync(run, join(store, basename(run)), { recursive: true });
    const away = workshop.path("away");
    renameSync(dirname(runs[1]), away);
    const lineage = await verifyLineage(join(store, basename(runs[0])));
    renameSync(away, dirname(runs[1]));
    expect(lineage.runs).toEqual(runs.map((run) => basename(run)));
    expect(broken(lineage)).toEqual(["child parent adapter moved", "parent parent adapter moved"]);
    expect(lineage.links.find(({ state }) => state === "moved")?.found).toContain(store);
  });

  test("without hashes tells only what is not there", async () => {
    const path = workshop.path("eval.jsonl");
    const text = readFileSync(path);
    flipByte(path);
    expect(await verifyLineage(runs[0], { hashes: false })).toMatchObject({ ok: true });
    rmSync(path);
    expect(broken(await verifyLineage(runs[0], { hashes: false })).filter((line) => line.endsWith("missing"))).toHaveLength(3);
    writeFileSync(path, text);
  });

  test("without hashes tells which file of an adapter is not there", async () => {
    const adapter = join(runs[0], "adapter");
    const config = readFileSync(join(adapter, "adapter_config.json"));
    rmSync(join(adapter, "adapter_config.json"));
    const lineage = await verifyLineage(runs[0], { hashes: false });
    writeFileSync(join(adapter, "adapter_config.json"), config);
    expect(lineage.ok).toBe(false);
    expect(lineage.links.filter(({ state }) => state === "missing")).toMatchObject([
      { what: "adapter", found: "no adapter_config.json in it" },
    ]);
  });
});
