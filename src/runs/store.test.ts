import { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { deadHolder, holder, NONCE_A } from "./fixtures/lock-files.ts";
import { logText, SampleStore, sampleEvents, versionOne } from "./fixtures/store.ts";
import { compareRuns, findRun, INDEX_FILE, listRuns, RunLock, readChanges, runForest, summarizeRun } from "./index.ts";

let store: SampleStore;
beforeEach(() => {
  store = new SampleStore();
});
afterEach(() => store.close());

const index = (): string => join(store.folder, INDEX_FILE);
const stepEvent = (step: number, loss: number): object => ({ type: "step", step, steps: 4, loss });
const states = async (): Promise<Record<string, string>> =>
  Object.fromEntries(
    (await listRuns(store.folder)).map(({ name, state, failure }) => [name, failure === null ? state : `${state} ${failure}`]),
  );

describe("a list of runs", () => {
  test("says of each, the newest first, how it stands and what it came to", async () => {
    store.add("2026-01-01-a");
    const run = store.add("2026-01-02-b", { record: { kind: "continue" } });
    mkdirSync(join(run, "adapter"));
    expect(await listRuns(store.folder)).toEqual([
      {
        name: "2026-01-02-b",
        path: run,
        id: "2026-01-02-b",
        kind: "continue",
        createdAt: "2026-01-02T00:00:00.000Z",
        state: "finished",
        failure: null,
        endedAt: "2026-01-01T00:00:00.000Z",
        step: 4,
        steps: 4,
        loss: 2,
        evaluations: [{ dataset: "held", before: 3, after: 2 }],
        output: "adapter",
        parent: null,
        notes: [],
      },
      expect.objectContaining({ name: "2026-01-01-a", output: null }),
    ]);
  });

  test("tells runs that were stopped, failed, were killed, run now, or cannot be read", async () => {
    const begun = sampleEvents(4).slice(0, 5);
    store.add("2026-01-01-finished");
    store.add("2026-01-02-stopped", { events: [...begun, { type: "failed", code: "INTERRUPTED" }] });
    store.add("2026-01-03-failed", { events: [...begun, { type: "failed", code: "LOSS_NOT_FINITE" }] });
    store.add("2026-01-04-killed", { events: begun });
    store.add("2026-01-05-resumed", { events: [...begun, { type: "failed", code: "INTERRUPTED" }, { type: "resumed", fromStep: 1 }] });
    writeFileSync(join(store.add("2026-01-06-killed-later", { events: begun }), "run.lock"), deadHolder(NONCE_A));
    writeFileSync(join(store.add("2026-01-07-damaged"), "run.json"), "{");
    rmSync(join(store.add("2026-01-08-no-log"), "events.jsonl"));
    const lock = RunLock.acquire(store.add("2026-01-09-running", { events: begun }), "0.0.0");
    mkdirSync(join(store.folder, "no-run"));
    expect(await states()).toEqual({
      "2026-01-01-finished": "finished",
      "2026-01-02-stopped": "interrupted INTERRUPTED",
      "2026-01-03-failed": "failed LOSS_NOT_FINITE",
      "2026-01-04-killed": "dead",
      "2026-01-05-resumed": "dead",
      "2026-01-06-killed-later": "dead",
      "2026-01-07-damaged": "unreadable RECORD_INVALID",
      "2026-01-08-no-log": "dead",
      "2026-01-09-running": "running",
    });
    lock.release();
    // The process that resumed it was killed before its first event.
    const stopped = join(store.folder, "2026-01-02-stopped", "run.lock");
    writeFileSync(stopped, holder({ pid: 2 ** 22 + 1, since: "2026-01-01T00:00:01.000Z" }));
    expect((await states())["2026-01-02-stopped"]).toBe("dead");
    // One that was killed between its last word and the end had said that word.
    writeFileSync(stopped, holder({ pid: 2 ** 22 + 1, since: "2025-12-31T00:00:00.000Z" }));
    expect((await states())["2026-01-02-stopped"]).toBe("interrupted INTERRUPTED");
    // Whether a process lives is asked each time, whatever the index holds.
    expect((await states())["2026-01-09-running"]).toBe("dead");
  });

  test("says of a run whose adapter was removed that there is none, whatever the index holds", async () => {
    const run = store.add("2026-01-01-a");
    mkdirSync(join(run, "adapter"));
    expect(await listRuns(store.folder)).toMatchObject([{ output: "adapter" }]);
    rmSync(join(run, "adapter"), { recursive: true });
    expect(await listRuns(store.folder)).toMatchObject([{ output: null, state: "finished" }]);
  });

  test("has one evaluation as what it was before, and nothing after", async () => {
    const run = store.add("2026-01-01-a", { events: sampleEvents(4).slice(0, 5) });
    expect((await summarizeRun(run)).evaluations).toEqual([{ dataset: "held", before: 3, after: null }]);
  });

  test("does not hide what could not be read of a log", async () => {
    const run = store.add("2026-01-01-a", { events: [stepEvent(1, 1), stepEvent(3, 1)] });
    appendFileSync(join(run, "events.jsonl"), "no JSON\n");
    expect((await summarizeRun(run)).notes).toEqual([
      "1 lines of events.jsonl could not be read",
      "updates 2 to 2 are not in events.jsonl",
    ]);
  });

  test("of a folder that is not there is FILE_MISSING; of an empty one it is empty", async () => {
    expect(await listRuns(store.folder)).toEqual([]);
    await expect(listRuns(join(store.folder, "absent"))).rejects.toMatchObject({ code: "FILE_MISSING" });
  });
});

describe("the index", () => {
  test("is used where nothing changed, and follows every change of a run's files", async () => {
    const [a, b] = [store.add("2026-01-01-a"), store.add("2026-01-02-b")];
    const first = await listRuns(store.folder);
    // A mark in the index shows whose summary comes from it.
    writeFileSync(index(), readFileSync(index(), "utf8").replaceAll('"loss":2,', '"loss":7,'));
    expect((await listRuns(store.folder)).map(({ loss }) => loss)).toEqual([7, 7]);
    appendFileSync(join(a, "events.jsonl"), logText([stepEvent(5, 5)]));
    expect((await listRuns(store.folder)).map(({ loss }) => loss)).toEqual([7, 5]);
    writeFileSync(join(b, "result.json"), "{}");
    expect((await listRuns(store.folder)).map(({ loss }) => loss)).toEqual([2, 5]);
    // Replaced by a file of the same size and time.
    const record = join(b, "run.json");
    const { mtime } = statSync(record);
    const text = readFileSync(record, "utf8");
    rmSync(record);
    writeFileSync(`${record}.new`, "x");
    writeFileSync(record, text.replace('"kind":"train"', '"kind":"other"'));
    utimesSync(record, mtime, mtime);
    expect((await listRuns(store.folder)).map(({ kind }) => kind)).toEqual(["other", "train"]);
    rmSync(a, { recursive: true });
    expect(await listRuns(store.folder)).toHaveLength(first.length - 1);
  });

  test("can be deleted or damaged at any time, and is made anew", async () => {
    store.add("2026-01-01-a");
    store.add("2026-01-02-b");
    const whole = await listRuns(store.folder);
    const text = readFileSync(index(), "utf8");
    const lines = text.split("\n");
    for (const damage of [
      "",
      "no JSON",
      text.slice(0, -40),
      `${lines.slice(0, 2).join("\n")}\n`,
      text.replace('"schemaVersion":1', '"schemaVersion":2'),
      text.replace('"stamp"', '"other"'),
      `${lines[0] ?? ""}\nnull\n[]\n`,
    ]) {
      writeFileSync(index(), damage);
      expect(await listRuns(store.folder)).toEqual(whole);
      expect(readFileSync(index(), "utf8")).toBe(text);
    }
    rmSync(index());
    expect(await listRuns(store.folder)).toEqual(whole);
    expect(existsSync(index())).toBe(true);
  });

  test.skipIf(process.getuid?.() === 0)("is done without where the folder may only be read", async () => {
    store.add("2026-01-01-a");
    chmodSync(store.folder, 0o500);
    expect(await listRuns(store.folder)).toHaveLength(1);
    chmodSync(store.folder, 0o700);
  });
});

describe("a run on the command line", () => {
  test("is found by its path, its id, and how its id begins or ends", () => {
    const run = store.add("2026-01-02T00-00-00-3f9a");
    store.add("2026-02-02T00-00-00-81c0");
    for (const word of ["2026-01-02T00-00-00-3f9a", "2026-01", "3f9a"]) expect(findRun(store.folder, word, "/nowhere")).toBe(run);
    expect(findRun("/nowhere", "x", run)).toBe(run);
  });

  test("that may mean several, or none, is told with what to type", () => {
    store.add("2026-01-02T00-00-00-3f9a");
    store.add("2026-02-02T00-00-00-81c0");
    expect(() => findRun(store.folder, "2026", "/nowhere")).toThrow("found 2");
    expect(() => findRun(store.folder, "f9a", "/nowhere")).toThrow("none called");
    expect(() => findRun("/nowhere", "3f9a", "/nowhere")).toThrow("none called");
  });
});

describe("the family of runs", () => {
  test("puts each run below the one that it continued, and says which parents are not there", async () => {
    const parent = (run: string | null, adapter = "/a"): object => ({ parent: { adapter, run, step: 1, files: null, record: null } });
    store.add("2026-01-01-a");
    store.add("2026-01-02-b", { record: parent("2026-01-01-a") });
    store.add("2026-01-03-c", { record: parent("2026-01-02-b") });
    store.add("2026-01-04-d", { record: parent("2026-01-01-a") });
    store.add("2026-01-05-e", { record: parent("gone") });
    store.add("2026-01-06-f", { record: parent(null, "hf://owner/name") });
    store.add("2026-01-07-g", { record: parent("2026-01-08-h") });
    store.add("2026-01-08-h", { record: parent("2026-01-07-g") });
    interface Node {
      readonly run: { readonly name: string };
      readonly children: readonly Node[];
    }
    const text = ({ run, children }: Node): string =>
      `${run.name.slice(-1)}${children.length === 0 ? "" : `(${children.map(text).join(" ")})`}`;
    const { roots, outside } = runForest(await listRuns(store.folder));
    expect(roots.map(text)).toEqual(["a(b(c) d)", "g(h)"]);
    expect(outside.map(({ parent: name, children }) => [name, children.map(text)])).toEqual([
      ["gone", ["e"]],
      ["hf://owner/name", ["f"]],
    ]);
  });
});

describe("a comparison", () => {
  test("names what differs in configuration with its source, inputs, environment, tensors, and the first differing loss", async () => {
    const a = store.add("2026-01-01-a");
    const record = JSON.parse(readFileSync(join(a, "run.json"), "utf8")) as Record<string, never>;
    const { config, data, environment, provenance, ledger } = record as unknown as Record<string, Record<string, Record<string, unknown>>>;
    const all = ledger?.["entries"] as unknown as { readonly trainable: boolean }[];
    const frozen = all.findIndex(({ trainable }) => trainable);
    const entries = all.map((entry, i) => (i === frozen ? { ...entry, trainable: false } : entry));
    const b = store.add("2026-01-02-b", {
      record: {
        config: { ...config, training: { ...config?.["training"], learningRate: 0.5 } },
        provenance: { ...provenance, "training.learningRate": "flag" },
        data: { ...data, train: { ...data?.["train"], fingerprint: "other" } },
        environment: { ...environment, threads: 7, onlyHere: "x" },
        ledger: { ...ledger, entries },
      } as never,
      events: sampleEvents(5, (step) => (step < 3 ? 3 - step / 4 : 9)),
    });
    const comparison = await compareRuns(a, b);
    expect(comparison.config).toEqual([{ key: "training.learningRate", a: 0.01, b: 0.5, sourceA: expect.any(String), sourceB: "flag" }]);
    expect(comparison.inputs.map(({ what }) => what)).toEqual(["training data"]);
    expect(comparison.environment).toEqual([{ what: "threads", a: "1", b: "7" }]);
    expect(comparison.losses).toHaveLength(5);
    expect(comparison.losses[4]).toEqual({ step: 5, a: null, b: 9 });
    expect(comparison.firstDifference).toBe(3);
    expect(comparison.evaluations).toEqual([
      { dataset: "held", a: { dataset: "held", before: 3, after: 2 }, b: { dataset: "held", before: 3, after: 2 } },
    ]);
    expect(comparison.output).toBeNull();
    expect(comparison.ledger).toHaveLength(1);
    expect(await compareRuns(a, a)).toMatchObject({ config: [], inputs: [], environment: [], ledger: [], firstDifference: null });
  });

  test("names the files of another trainer's state that differ", async () => {
    const parent = { adapter: "/c", run: null, step: null, files: { "adapter_model.safetensors": "f" }, record: null };
    const add = (id: string, state: object): string => store.add(id, { record: { parent: { ...parent, state } } as never });
    const a = add("2026-01-01-a", { "optimizer.pt": "one", "scheduler.pt": "same" });
    const b = add("2026-01-02-b", { "optimizer.pt": "other", "scheduler.pt": "same" });
    expect((await compareRuns(a, b)).inputs).toEqual([{ what: "parent state optimizer.pt", a: "one", b: "other" }]);
  });

  test("names what was changed when a run was resumed, as far as it counts", async () => {
    const resumed = (fromStep: number, ...changes: string[]): object => ({ type: "resumed", fromStep, changes });
    const steps = [1, 2, 3, 4].map((step) => stepEvent(step, step));
    const a = store.add("2026-01-01-a", { events: steps });
    const [longer, slower] = ["training.steps=8", "training.learningRate=0.5"];
    const b = store.add("2026-01-02-b", {
      events: [
        ...steps,
        resumed(4, "training.steps=6"),
        stepEvent(5, 5),
        // From before that change, so it no longer counts.
        resumed(2, longer),
        stepEvent(3, 3),
        resumed(3, longer, slower),
        stepEvent(4, 4),
        resumed(4, longer, slower, "training.steps=10"),
        resumed(4, longer, slower, "training.steps=9"),
      ],
    });
    expect(await readChanges(b)).toEqual([
      { fromStep: 2, key: "training.steps", value: 8 },
      { fromStep: 3, key: "training.learningRate", value: 0.5 },
      { fromStep: 4, key: "training.steps", value: 9 },
    ]);
    const comparison = await compareRuns(a, b);
    expect(comparison).toMatchObject({
      config: [],
      changes: [
        { what: "training.steps", a: "none", b: "8 from update 3 on, 9 from update 5 on" },
        { what: "training.learningRate", a: "none", b: "0.5 from update 4 on" },
      ],
    });
    expect((await compareRuns(b, b)).changes).toEqual([]);
    // Logs of before there were changes, and a run that was killed before it logged anything.
    expect(await readChanges(store.add("2026-01-03-c", { events: [...steps, { type: "resumed", fromStep: 4 }] }))).toEqual([]);
    rmSync(join(a, "events.jsonl"));
    expect(await readChanges(a)).toEqual([]);
  });
});

describe("records of version 1", () => {
  test("are listed and compared like any other", async () => {
    const run = store.add("2026-01-01-a");
    const old = join(store.folder, "old");
    mkdirSync(old);
    for (const file of ["run.json", "events.jsonl"]) writeFileSync(join(old, file), versionOne(file));
    expect(await summarizeRun(old)).toMatchObject({ kind: "continue", state: "finished", step: 2, steps: 2, notes: [] });
    const { inputs, environment } = await compareRuns(run, old);
    expect(inputs).toEqual([]);
    expect(environment).toEqual([]);
  });
});
