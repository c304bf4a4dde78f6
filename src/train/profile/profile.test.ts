import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { planRun } from "../../audit/plan/index.ts";
import { readRunResult } from "../../runs/index.ts";
import { failure, losses, stopAfter, TinyWorkshop, type Told, tinyRows } from "../fixtures/tiny-run.ts";
import { TraceFile } from "./trace-file.ts";
import { Tracer } from "./tracer.ts";

interface Read {
  readonly name: string;
  readonly ph: string;
  readonly cat?: string;
  readonly tid: number;
  readonly ts: number;
  readonly dur: number;
  readonly args?: Readonly<Record<string, string | number>>;
}

function readTrace(path: string): Read[] {
  return JSON.parse(readFileSync(path, "utf8")) as Read[];
}

/** The spans of a row, each with the names of those around it. @throws if two overlap without one being inside the other */
function nested(events: readonly Read[], tid: number): Map<Read, string[]> {
  const spans = events.filter((event) => event.ph === "X" && event.tid === tid).sort((a, b) => a.ts - b.ts || b.dur - a.dur);
  const found = new Map<Read, string[]>();
  const open: Read[] = [];
  // Times are rounded to nanoseconds.
  const isOver = (span: Read, at: number): boolean => span.ts + span.dur <= at + 0.002;
  for (const span of spans) {
    while (open.length > 0 && isOver(open.at(-1) as Read, span.ts)) open.pop();
    const outer = open.at(-1);
    if (outer !== undefined) expect(span.ts + span.dur, `${span.name} in ${outer.name}`).toBeLessThanOrEqual(outer.ts + outer.dur + 0.002);
    found.set(
      span,
      open.map(({ cat = "" }) => cat),
    );
    open.push(span);
  }
  return found;
}

const folder = mkdtempSync(join(tmpdir(), "heirloom-profile-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("a tracer with a clock of ours", () => {
  let now = 0;
  const gauges = { now: () => now, memory: () => ({ rss: 3 * 2 ** 20, heapUsed: 2 ** 20 }) };
  const wait = (ms: number): void => {
    now += ms;
  };
  const program = { name: "block", flops: { base: 3e9, lora: 1e9 } };

  /** Two updates: 100 ms of compiling and so on, then 50 ms that are known to the millisecond. */
  async function twoUpdates(path: string, most?: number): Promise<Tracer> {
    now = 1000;
    const tracer = new Tracer(new TraceFile(path, most), gauges);
    tracer.gemmFlopsPerSecond = 200e9;
    const run = (): Promise<void> =>
      tracer.span("block", "program", {}, async () => {
        tracer.ran(program);
        await Promise.resolve();
        wait(30);
      });
    for (const extra of [50, 0]) {
      await tracer.span("update", "update", {}, async () => {
        tracer.span("data", "data", {}, () => wait(2));
        await tracer.span("micro-step", "micro-step", {}, async () => {
          tracer.span("weights", "weights", {}, () => wait(5 + extra));
          await run();
          wait(1);
        });
        tracer.span("optimizer", "optimizer", {}, () => wait(10));
        wait(2);
      });
    }
    tracer.span("evaluation", "evaluation", {}, () => wait(7));
    return tracer;
  }

  test("puts down every millisecond of an update once, and leaves the first one out", async () => {
    const tracer = await twoUpdates(join(folder, "sums.json"));
    const kernel = (kind: string, start: number, end: number) => ({ name: "Gemm", kind, start, end, args: {} });
    tracer.kernels(program, { kernels: [kernel("base", 1000, 1006), kernel("lora", 1006, 1008), kernel("other", 1008, 1009)], runs: 10 });
    const summary = tracer.close();
    const expected = { base: 18, lora: 6, runtime: 6 };
    expect(summary).toMatchObject({ updates: 1, microSteps: 1, secondsPerUpdate: 0.05, firstUpdateSeconds: 0.1, kernels: true });
    expect(Object.fromEntries(summary?.shares.map(({ name, seconds }) => [name, Math.round(1e6 * seconds) / 1e3]) ?? [])).toEqual({
      "base products": expected.base,
      "LoRA products": expected.lora,
      runtime: expected.runtime,
      dequantization: 5,
      data: 2,
      optimizer: 10,
      rest: 3,
    });
    expect(summary?.shares.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 12);
    // 4 GFLOP at 200 GFLOP/s are 20 ms of 50.
    expect(summary).toMatchObject({ flops: 4e9, boundSeconds: 0.02, outside: { evaluation: 0.007 } });
    expect(summary?.boundShare).toBeCloseTo(0.4, 12);
  });

  test("divides a program by its products' operations where the runtime timed no kernels", async () => {
    const summary = (await twoUpdates(join(folder, "no-kernels.json"))).close();
    expect(summary?.kernels).toBe(false);
    expect(summary?.shares.find(({ name }) => name === "LoRA products")?.seconds).toBeCloseTo(0.0075, 12);
  });

  test("writes spans that nest, with their times, rates and counters", async () => {
    const path = join(folder, "nested.json");
    (await twoUpdates(path)).close();
    const events = readTrace(path);
    const spans = nested(events, 1);
    const block = [...spans.keys()].filter(({ cat }) => cat === "program");
    expect(block).toHaveLength(2);
    expect(block[1]).toMatchObject({ ts: 107_000, dur: 30_000, args: { flops: 4e9, base: 3e9, "GFLOP/s": 133.33 } });
    expect(spans.get(block[1] as Read)).toEqual(["update", "micro-step"]);
    expect(events.filter(({ ph }) => ph === "C").map(({ args }) => args?.["MiB"])).toEqual([3, 1, 3, 1]);
    expect(events.at(-1)).toMatchObject({ name: "summary", args: { updates: 1 } });
  });

  test("closes the span of work that fails, and those around it", async () => {
    const path = join(folder, "failed.json");
    const tracer = new Tracer(new TraceFile(path), gauges);
    const broken = (): never => {
      wait(3);
      throw new RangeError("broken");
    };
    const update = tracer.span("update", "update", {}, async () => {
      wait(1);
      tracer.span("data", "data", {}, broken);
    });
    await expect(update).rejects.toThrow("broken");
    expect(tracer.close()).toMatchObject({ updates: 1, secondsPerUpdate: 0.004 });
    expect([...nested(readTrace(path), 1).values()]).toEqual([[], ["update"]]);
  });

  test("keeps its file to a size and says how much it left out, with the same sums", async () => {
    const whole = (await twoUpdates(join(folder, "whole.json"))).close();
    const path = join(folder, "short.json");
    const short = (await twoUpdates(path, 5)).close();
    expect(short).toEqual({ ...whole, file: path, events: 6, eventsLeftOut: (whole?.events ?? 0) - 6 });
    expect(readTrace(path)).toHaveLength(6);
  });

  test("writes over nothing", () => {
    const path = join(folder, "there.json");
    writeFileSync(path, "{}");
    expect(() => new TraceFile(path)).toThrow(expect.objectContaining({ code: "OUTPUT_EXISTS" }));
    expect(() => new TraceFile(join(folder, "nowhere", "trace.json"))).toThrow(expect.objectContaining({ code: "WRITE_FAILED" }));
  });
});

describe("a run that is profiled", () => {
  let workshop: TinyWorkshop;
  let plain: Told;
  let told: Told;
  let events: Read[];
  beforeAll(async () => {
    workshop = await TinyWorkshop.open();
    const values = { quantization: "nf4", training: { accumulation: 2 }, engine: { dequantizedCache: "off" } };
    plain = await workshop.train(values);
    told = await workshop.train(values, { profile: true });
    events = readTrace(join(told.result.run, "trace.json"));
  });
  afterAll(() => workshop.close());

  test("learns the same, to the bit", () => {
    expect(losses(told.events)).toEqual(losses(plain.events));
    expect(plain.result.profile).toBeUndefined();
  });

  test("has spans of everything that an update does, inside of each other", () => {
    const spans = nested(events, 1);
    const around = (cat: string): Set<string> =>
      new Set([...spans].filter(([span]) => span.cat === cat).map(([, outer]) => outer.join(" > ")));
    expect(around("blocks")).toContain("update > micro-step");
    expect(around("program")).toContain("update > micro-step > blocks");
    expect(around("program")).toContain("update > micro-step > head");
    expect(around("weights")).toContain("update > micro-step > blocks");
    for (const cat of ["data", "optimizer", "clipping", "proof"]) expect(around(cat), cat).toContain("update");
    expect(around("evaluation")).toContain("");
    expect(around("checkpoint")).toContain("");
    const layers = [...spans.keys()]
      .filter(({ cat, name }) => cat === "blocks" && name.endsWith("backward"))
      .map(({ args }) => args?.["layer"]);
    expect(layers.slice(0, 2)).toEqual([1, 0]);
  });

  test("has the kernels of its programs, each while a program of its name ran", () => {
    const kernels = events.filter(({ tid, ph }) => tid === 2 && ph === "X");
    const programs = events.filter(({ cat }) => cat === "program");
    expect(new Set(kernels.map(({ cat }) => cat))).toEqual(
      new Set(["base", "lora", "attention", "elementwise", "copies", "head", "other"]),
    );
    for (const { ts, dur, args } of kernels) {
      // The two clocks are aligned by the runs: to within what it takes to call the runtime, which is well under 50 ms.
      const inside = programs.some((run) => run.name === args?.["program"] && ts >= run.ts - 1 && ts + dur <= run.ts + run.dur + 50_000);
      expect(inside, JSON.stringify(args)).toBe(true);
    }
  });

  test("has its sums in the result, the record and the events, and the shares are all of an update", async () => {
    const { profile } = told.result;
    expect(profile).toMatchObject({ updates: 3, microSteps: 6, kernels: true, eventsLeftOut: 0, fault: null });
    expect((await readRunResult(told.result.run))?.profile).toEqual(profile);
    expect(told.events.filter(({ type }) => type === "profile")).toEqual([{ type: "profile", ...profile }]);
    expect(profile?.shares.reduce((sum, { seconds }) => sum + seconds, 0)).toBeCloseTo(profile?.secondsPerUpdate ?? 0, 9);
    for (const { name, share } of profile?.shares ?? []) expect(share, name).toBeGreaterThanOrEqual(0);
  });

  test("counts the operations that the plan does", async () => {
    // Packed, and enough of them: every row is full.
    workshop.write("many.jsonl", tinyRows(60));
    const values = {
      data: { packing: true, train: workshop.path("many.jsonl"), eval: {} },
      adapter: { modulesToSave: [] },
      training: { groups: [] },
    };
    const { profile } = (await workshop.train(values, { profile: true })).result;
    const { flops } = (await planRun(workshop.configure(values).config, { memoryBytes: 2 ** 30 })).update;
    const { base, lora, attention } = flops;
    expect(profile?.flopsByKind).toMatchObject({ base, lora, attention });
  });

  test("that is interrupted has told its sums, and when it is resumed writes a trace of its own", async () => {
    const stop = stopAfter(2);
    const seen: unknown[] = [];
    const onEvent: NonNullable<typeof stop.onEvent> = (event) => {
      if (event.type === "profile") seen.push(event.updates);
      stop.onEvent?.(event);
    };
    const error = await failure(workshop.train({}, { ...stop, onEvent, profile: true }));
    expect({ code: error.code, seen }).toEqual({ code: "INTERRUPTED", seen: [1] });
    const run = join(error.details["checkpoint"] as string, "..");
    const { result } = await workshop.resume(run, { profile: true });
    expect(result.profile?.file).toBe(join(run, "trace-2.json"));
    expect(readTrace(join(run, "trace.json")).length).toBeGreaterThan(20);
  });

  test("that fails before its first update leaves no trace, so that the same command can be given again", async () => {
    const path = workshop.path("again.json");
    const error = await failure(workshop.train({ data: { train: workshop.path("nothing.jsonl") } }, { profile: path }));
    expect(error.code).toBe("FILE_MISSING");
    expect(existsSync(path)).toBe(false);
  });

  test("is refused a file that is there", async () => {
    const path = workshop.write("mine.json", [{}]);
    expect(await failure(workshop.train({}, { profile: path }))).toMatchObject({ code: "OUTPUT_EXISTS" });
    expect(readFileSync(path, "utf8")).toBe("{}\n");
  });
});
