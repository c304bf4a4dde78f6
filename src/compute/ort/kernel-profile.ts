import { mkdtempSync, rmSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";

/** A kernel as the runtime's profiler timed it, in milliseconds of the profiler's clock. */
export interface TimedKernel {
  /** Of the ONNX node, which the runtime may have fused from several. */
  readonly node: string;
  readonly op: string;
  readonly start: number;
  readonly end: number;
}

/** One run of a session, in milliseconds of the profiler's clock. */
export interface TimedRun {
  readonly start: number;
  readonly end: number;
  readonly kernels: readonly TimedKernel[];
}

const KERNEL = "_kernel_time";

interface ProfilerEvent {
  readonly cat?: unknown;
  readonly name?: unknown;
  readonly ts?: unknown;
  readonly dur?: unknown;
  readonly args?: { readonly op_name?: unknown };
}

/** The runs in a file of onnxruntime's profiler, whose event of a run comes after those of its kernels. */
function readRuns(text: string): TimedRun[] {
  const events = JSON.parse(text) as readonly ProfilerEvent[];
  const runs: TimedRun[] = [];
  let kernels: TimedKernel[] = [];
  for (const { cat, name, ts, dur, args } of events) {
    const span = { start: Number(ts) / 1000, end: (Number(ts) + Number(dur)) / 1000 };
    if (cat === "Node" && typeof name === "string" && name.endsWith(KERNEL)) {
      kernels.push({ node: name.slice(0, -KERNEL.length), op: typeof args?.op_name === "string" ? args.op_name : "", ...span });
    } else if (cat === "Session" && name === "model_run") {
      runs.push({ ...span, kernels });
      kernels = [];
    }
  }
  return runs;
}

/** A new folder for the profiler's files, gone with the last of them. */
export function profilePrefix(): string {
  return join(mkdtempSync(join(tmpdir(), "heirloom-kernels-")), "kernels");
}

/** Reads what the profiler wrote under a prefix, and removes it and its folder; null if it wrote nothing that can be read. */
export async function takeProfile(prefix: string): Promise<TimedRun[] | null> {
  const folder = dirname(prefix);
  try {
    const name = (await readdir(folder)).find((file) => file.startsWith(basename(prefix)));
    return name === undefined ? null : readRuns(await readFile(join(folder, name), "utf8"));
  } catch {
    return null; // a trace without kernels is still one
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Removes a prefix's folder at once. */
export function dropProfile(prefix: string): void {
  rmSync(dirname(prefix), { recursive: true, force: true });
}
