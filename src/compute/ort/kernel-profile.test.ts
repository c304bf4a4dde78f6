import { existsSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { expect, test } from "vitest";
import { type KernelTimes, NO_TRACE, type Trace } from "../../core/index.ts";
import { gemm, graph, input } from "../graph/index.ts";
import { profilePrefix, takeProfile } from "./kernel-profile.ts";
import { loadRuntime } from "./runtime.ts";

/** As onnxruntime 1.30 writes them, less what is not read. */
const EVENTS = [
  { cat: "Session", name: "session_initialization", ts: 100, dur: 900 },
  { cat: "Node", name: "Gemm_0_kernel_time", ts: 2000, dur: 500, args: { op_name: "Gemm" } },
  { cat: "Node", name: "Add_1_kernel_time", ts: 2500, dur: 250, args: { op_name: "Add" } },
  { cat: "Session", name: "SequentialExecutor::Execute", ts: 1990, dur: 800 },
  { cat: "Session", name: "model_run", ts: 1950, dur: 900 },
  { cat: "Session", name: "model_run", ts: 4000, dur: 100 },
];

/** What is read of a profiler's file with this text. */
async function readBack(text: string): Promise<Awaited<ReturnType<typeof takeProfile>>> {
  const prefix = profilePrefix();
  writeFileSync(`${prefix}_2026.json`, text);
  const runs = await takeProfile(prefix);
  expect(existsSync(dirname(prefix))).toBe(false);
  return runs;
}

test("puts the kernels of a profile into the runs that they belong to, and takes the file away", async () => {
  expect(await readBack(JSON.stringify(EVENTS))).toEqual([
    {
      start: 1.95,
      end: 2.85,
      kernels: [
        { node: "Gemm_0", op: "Gemm", start: 2, end: 2.5 },
        { node: "Add_1", op: "Add", start: 2.5, end: 2.75 },
      ],
    },
    { start: 4, end: 4.1, kernels: [] },
  ]);
});

test("gives no kernels for a profile that cannot be read", async () => {
  expect(await readBack("[{")).toBeNull();
});

test("a trace hears of each run of a program, its operations by kind, and its kernels before it ends", async () => {
  const heard: string[] = [];
  const told: KernelTimes[] = [];
  const ends: (() => Promise<void>)[] = [];
  const trace: Trace = {
    ...NO_TRACE,
    isOn: true,
    now: () => performance.now(),
    span(name, kind, _args, work) {
      heard.push(`${kind} ${name}`);
      return work();
    },
    ran: ({ flops }) => heard.push(JSON.stringify(flops)),
    kernels: (_program, times) => told.push(times),
    beforeEnd: (work) => ends.push(work),
  };
  const y = gemm(input("x", [4, 8]), input("w", [16, 8]), { transB: true });
  const program = await (await loadRuntime({ trace })).compile(graph({ outputs: { y } }), { name: "small", kinds: () => () => "product" });
  const began = performance.now();
  const run = (): Promise<void> => program.run({ x: new Float32Array(32), w: new Float32Array(128) }, { y: new Float32Array(64) });
  await run();
  await run();
  const ended = performance.now();
  for (const end of ends) await end();
  // 2·4·16·8
  expect(heard.slice(0, 5)).toEqual(["compile compile small", "program small", '{"product":1024}', "program small", '{"product":1024}']);
  const kernels = (told[0]?.kernels ?? []).filter(({ kind }) => kind === "product");
  expect(kernels.map(({ name }) => name)).toEqual(["Gemm", "Gemm"]);
  for (const { start, end } of kernels) {
    expect(start).toBeGreaterThanOrEqual(began);
    expect(end).toBeGreaterThan(start);
  }
  expect(kernels[0]?.end).toBeLessThan(ended);
  expect(told[0]?.runs).toBeLessThan(ended - began);
  await program.dispose();
  await program.dispose();
});
