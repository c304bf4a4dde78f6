import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { breakDisk } from "../core/fixtures/faulty-disk.ts";
import { Child } from "./fixtures/child.ts";
import { EventLog, type RunEvent, readEvents, type TailedEvent, tailEvents } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "heirloom-events-"));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => breakDisk(null));

let runs = 0;
/** A run folder whose log has these lines, and the log's path. */
function runWith(lines: readonly (object | string)[] = []): { run: string; path: string } {
  const run = join(folder, `run-${runs++}`);
  mkdirSync(run);
  const path = join(run, "events.jsonl");
  if (lines.length > 0) writeFileSync(path, lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join(""));
  return { run, path };
}
const step = (n: number, loss = n): object => ({ time: "t", type: "step", step: n, loss });
const evaluation = (n: number, dataset: string, loss: number): object => ({ time: "t", type: "evaluation", step: n, dataset, loss });
const short = (events: readonly RunEvent[]): string[] =>
  events.map(({ type, step: at, loss }) =>
    [type, at, loss].flatMap((part) => (part === undefined ? [] : [JSON.stringify(part).replaceAll('"', "")])).join(" "),
  );

describe("events that are read", () => {
  test("tell steps that ran twice once, as they ran last", async () => {
    const { run } = runWith([
      { time: "t", type: "started" },
      evaluation(0, "held", 9),
      step(1),
      step(2),
      evaluation(2, "held", 5),
      { time: "t", type: "checkpoint", step: 2 },
      step(3),
      step(4),
      { time: "t", type: "failed", code: "INTERRUPTED" },
      { time: "t", type: "resumed", fromStep: 2 },
      evaluation(2, "held", 5),
      step(3, 30),
      { time: "t", type: "resumed", fromStep: 2 },
      evaluation(2, "held", 5),
      step(3, 31),
      step(4, 41),
      { time: "t", type: "finished", step: 4 },
    ]);
    const { events, superseded, unreadable, torn, gaps } = await readEvents(run);
    expect(short(events)).toEqual([
      ...["started", "evaluation 0 9", "step 1 1", "step 2 2", "checkpoint 2"],
      ...["resumed", "evaluation 2 5", "step 3 31", "step 4 41", "finished 4"],
    ]);
    expect({ superseded, unreadable, torn, gaps }).toEqual({ superseded: 7, unreadable: [], torn: false, gaps: [] });
  });

  test("of a finished run that is resumed end once", async () => {
    const end = (seconds: number): object => ({ time: "t", type: "finished", step: 1, seconds });
    const { run } = runWith([
      step(1),
      { time: "t", type: "checkpoint", step: 1 },
      end(1),
      { time: "t", type: "resumed", fromStep: 1 },
      end(2),
    ]);
    expect((await readEvents(run)).events.filter(({ type }) => type === "finished")).toMatchObject([{ seconds: 2 }]);
  });

  test("leave nothing out in silence: torn and unreadable lines and missing steps are told", async () => {
    const { run, path } = runWith([step(1), "no JSON", '{"type": 3}', step(2), "", step(5), step(6)]);
    appendFileSync(path, '{"time":"t","type":"st');
    const { events, unreadable, torn, gaps } = await readEvents(run);
    expect(short(events)).toEqual(["step 1 1", "step 2 2", "step 5 5", "step 6 6"]);
    expect({ unreadable, torn, gaps }).toEqual({ unreadable: [2, 3, 5], torn: true, gaps: [[3, 4]] });
  });

  test("of a run that goes on with another trainer's lack nothing before its first update, and after it what is lacking", async () => {
    const started = { time: "t", type: "started", fromStep: 60 };
    const resumed = { time: "t", type: "resumed", fromStep: 62 };
    const gapsOf = async (...lines: object[]): Promise<unknown> => (await readEvents(runWith(lines).run)).gaps;
    expect(await gapsOf(started, step(61), step(62))).toEqual([]);
    expect(await gapsOf(started, step(61), step(62), resumed, { ...started, fromStep: 62 }, step(63))).toEqual([]);
    expect(await gapsOf(started, step(63))).toEqual([[61, 62]]);
    // The log of a run of ours that lost its beginning.
    expect(await gapsOf(resumed, { ...started, fromStep: 62 }, step(63))).toEqual([[1, 62]]);
  });

  test("of a log in a later form are refused, and a run without a log is told", async () => {
    const { run } = runWith([{ time: "t", type: "log", schemaVersion: 2 }, step(1)]);
    await expect(readEvents(run)).rejects.toMatchObject({ code: "RECORD_INVALID", message: expect.stringContaining("found 2") as unknown });
    await expect(readEvents(runWith().run)).rejects.toMatchObject({ code: "FILE_MISSING" });
  });

  test("are the same whatever their lines' lengths and characters, across the chunks of the reader", async () => {
    const texts = Array.from({ length: 300 }, (_, i) => "é€𝄞".repeat(i * 17));
    const { run, path } = runWith();
    const log = await EventLog.open(path);
    for (const text of texts) await log.append({ type: "note", text }, new Date(0));
    await log.close();
    expect((await readEvents(run)).events.map((event) => event["text"])).toEqual(texts);
  });
});

describe("an event log", () => {
  test("begins with the version of its form, once", async () => {
    const { path } = runWith();
    for (let i = 0; i < 2; i++) {
      const log = await EventLog.open(path);
      await log.append({ type: "a" }, new Date(0));
      await log.close();
      await log.close();
    }
    const types = readFileSync(path, "utf8").trimEnd().split("\n");
    expect(types.map((line) => (JSON.parse(line) as { type: string }).type)).toEqual(["log", "a", "a"]);
    expect(JSON.parse(types[0] ?? "")).toMatchObject({ schemaVersion: 1 });
  });

  test.each([0, 1, 70_000, 3_000_000])("loses a torn last line of %i characters when it is opened, and nothing else", async (length) => {
    const { run, path } = runWith([step(1), step(2)]);
    appendFileSync(path, "x".repeat(length));
    const log = await EventLog.open(path);
    await log.append({ type: "step", step: 3 }, new Date(0));
    await log.close();
    const { events, unreadable, torn } = await readEvents(run);
    expect({ steps: events.map(({ step: at }) => at), unreadable, torn }).toEqual({ steps: [1, 2, 3], unreadable: [], torn: false });
  });

  test("holds whole lines with their time, in order, and appends to what is there", async () => {
    const run = join(folder, "deep", "run");
    for (const start of [0, 100]) {
      const log = await EventLog.open(join(run, "events.jsonl"));
      for (let i = 0; i < 100; i++) await log.append({ type: "step", step: start + i }, new Date(1000 * i));
      await log.close();
    }
    const { events } = await readEvents(run);
    expect(events.map(({ step: at }) => at)).toEqual(Array.from({ length: 200 }, (_, i) => i));
    expect(events[1]).toEqual({ time: "1970-01-01T00:00:01.000Z", type: "step", step: 1 });
  });

  test("shows its events within a second without being flushed", async () => {
    const { run, path } = runWith();
    const log = await EventLog.open(path);
    await log.append({ type: "step", step: 1 }, new Date(0));
    await expect.poll(async () => (await readEvents(run)).events.length, { timeout: 5000 }).toBe(1);
    await log.close();
  });

  test("that a full disk refused keeps its lines whole and in memory, and has them all once there is room", async () => {
    breakDisk({ path: /nothing/ });
    const { run, path } = runWith();
    const log = await EventLog.open(path);
    await log.append({ type: "step", step: 1 }, new Date(0));
    await log.flush();
    breakDisk({ path: /events/ });
    await log.append({ type: "step", step: 2 }, new Date(0));
    await expect(log.flush()).rejects.toMatchObject({ code: "DISK_FULL" });
    expect((await readEvents(run)).events).toHaveLength(1);
    breakDisk({ path: /nothing/ });
    await log.append({ type: "step", step: 3 }, new Date(0));
    await log.close();
    expect((await readEvents(run)).events.map(({ step: at }) => at)).toEqual([1, 2, 3]);
  });

  test("tells at the next event that the disk refused what it wrote by itself, and has it all once there is room", async () => {
    breakDisk({ path: /nothing/ });
    const { run, path } = runWith();
    const log = await EventLog.open(path);
    await log.flush();
    breakDisk({ path: /events/ });
    await log.append({ type: "step", step: 1 }, new Date(0));
    await new Promise((done) => setTimeout(done, 500)); // longer than an event waits in memory
    for (const n of [2, 3]) await expect(log.append({ type: "step", step: n }, new Date(0))).rejects.toMatchObject({ code: "DISK_FULL" });
    breakDisk({ path: /nothing/ });
    await log.append({ type: "step", step: 4 }, new Date(0));
    await log.close();
    expect((await readEvents(run)).events.map(({ step: at }) => at)).toEqual([1, 2, 3, 4]);
  });

  test.each(["end", "exit", "exit-while-writing"])("loses nothing when its process ends in order: %s", async (how) => {
    const { run, path } = runWith();
    const child = new Child("log-process.ts", [path, "2500", how]);
    expect(await child.ended()).toBe(0);
    const { events, unreadable, torn, gaps } = await readEvents(run);
    expect(events.filter(({ type }) => type === "step")).toHaveLength(2500);
    expect(events.filter(({ type }) => type === "big")).toHaveLength(how === "exit-while-writing" ? 1 : 0);
    expect({ unreadable, torn, gaps }).toEqual({ unreadable: [], torn: false, gaps: [] });
  });
});

describe("a log that is followed", () => {
  /** Follows until `count` events were seen. */
  async function follow(run: string, count: number, from?: number | "start" | "end"): Promise<TailedEvent[]> {
    const seen: TailedEvent[] = [];
    for await (const tailed of tailEvents(run, from === undefined ? {} : { from })) if (seen.push(tailed) === count) break;
    return seen;
  }

  test("gives what is there and what is appended, from a log that is still to come", async () => {
    const { run, path } = runWith();
    const following = follow(run, 300);
    const log = await EventLog.open(path);
    for (let n = 1; n <= 300; n++) {
      await log.append({ type: "step", step: n }, new Date(0));
      if (n % 100 === 0) await log.flush();
    }
    expect((await following).map(({ event }) => event.step)).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
    await log.close();
  });

  test("can be left and taken up at the same place, or at its end", async () => {
    const { run, path } = runWith([step(1), step(2), step(3)]);
    const [first] = await follow(run, 1);
    expect((await follow(run, 2, first?.end)).map(({ event }) => event.step)).toEqual([2, 3]);
    appendFileSync(path, '{"time":"t","ty'); // being written
    const later = follow(run, 1, "end");
    await new Promise((done) => setTimeout(done, 150));
    appendFileSync(path, 'pe":"step","step":4}\n');
    expect((await later).map(({ event }) => event.step)).toEqual([4]);
  });

  test("goes on over a torn line that a resumed run takes off", async () => {
    const { run, path } = runWith([step(1)]);
    appendFileSync(path, '{"time":"t","type":"step","step":2,"loss":');
    const following = follow(run, 3);
    await new Promise((done) => setTimeout(done, 250));
    const log = await EventLog.open(path);
    await log.append({ type: "resumed", fromStep: 1 }, new Date(0));
    await log.append({ type: "step", step: 2, text: "x".repeat(200) }, new Date(0));
    await log.close();
    expect((await following).map(({ event }) => event.type)).toEqual(["step", "resumed", "step"]);
  });

  test("tells lines that cannot be read, ends when it is asked to, and starts anew if the file does", async () => {
    const { run, path } = runWith(["no JSON", step(1)]);
    const stop = new AbortController();
    const seen: string[] = [];
    for await (const { event } of tailEvents(run, { signal: stop.signal })) {
      seen.push(event.type);
      if (seen.length === 2) {
        truncateSync(path, 0);
        appendFileSync(path, `${JSON.stringify({ time: "t", type: "anew" })}\n`);
      }
      if (event.type === "anew") stop.abort();
    }
    expect(seen).toEqual(["unreadable", "step", "anew"]);
    await expect(follow(join(folder, "absent"), 1)).rejects.toMatchObject({ code: "FILE_MISSING" });
  });
});
