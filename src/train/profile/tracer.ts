import type { KernelTimes, ProgramWork, SpanKind, Trace, TraceArguments } from "../../core/index.ts";
import type { ProfileSummary } from "../../runs/index.ts";
import { summarize, Tally } from "./tally.ts";
import type { TraceEvent, TraceFile } from "./trace-file.ts";

/** Rows of the trace: what training does, and the kernels inside. */
const TRACKS = { training: 1, kernels: 2 } as const;

interface OpenSpan {
  readonly name: string;
  readonly kind: SpanKind;
  readonly start: number;
  args: TraceArguments;
  /** Time of the spans inside. */
  inner: number;
  program: ProgramWork | null;
}

/** Where a tracer's time and memory figures come from; replaced by tests only. */
export interface Gauges {
  now(): number;
  memory(): { readonly rss: number; readonly heapUsed: number };
}

const PROCESS: Gauges = { now: () => performance.now(), memory: () => process.memoryUsage() };

/** Writes what training does to a trace, and adds up where an update's time goes. */
export class Tracer implements Trace {
  readonly isOn = true;
  readonly #file: TraceFile;
  readonly #gauges: Gauges;
  readonly #origin: number;
  readonly #open: OpenSpan[] = [];
  readonly #first = new Tally();
  readonly #others = new Tally();
  readonly #outside = new Tally();
  readonly #kernels = new Map<ProgramWork, ReadonlyMap<string, number>>();
  readonly #pending: (() => Promise<void>)[] = [];
  /** Of the update that is open; null between updates. */
  #update: Tally | null = null;
  /** Of a pure Gemm of the model's shapes; asked of the machine before the first update. */
  gemmFlopsPerSecond = Number.POSITIVE_INFINITY;

  constructor(file: TraceFile, gauges: Gauges = PROCESS) {
    this.#file = file;
    this.#gauges = gauges;
    this.#origin = gauges.now();
    for (const [name, tid] of Object.entries(TRACKS)) this.#add({ name: "thread_name", ph: "M", tid, args: { name } });
  }

  now(): number {
    return this.#gauges.now();
  }

  #add(event: TraceEvent): void {
    this.#file.add(event);
  }

  /** Microseconds since the trace began, to the nanosecond. */
  #time(ms: number): number {
    return Math.round((ms - this.#origin) * 1e6) / 1000;
  }

  span<T>(name: string, kind: SpanKind, args: TraceArguments, work: () => T): T {
    const span: OpenSpan = { name, kind, start: this.now(), args, inner: 0, program: null };
    this.#open.push(span);
    if (kind === "update") this.#update = new Tally();
    let result: T;
    try {
      result = work();
    } catch (error) {
      this.#end(span);
      throw error;
    }
    if (!(result instanceof Promise)) {
      this.#end(span);
      return result;
    }
    return result.finally(() => this.#end(span)) as T;
  }

  say(args: TraceArguments): void {
    const span = this.#open.at(-1);
    if (span !== undefined) span.args = { ...span.args, ...args };
  }

  ran(program: ProgramWork): void {
    const span = this.#open.at(-1);
    if (span !== undefined) span.program = program;
  }

  #end(span: OpenSpan): void {
    const end = this.now();
    const took = end - span.start;
    const at = this.#open.lastIndexOf(span);
    if (at >= 0) this.#open.splice(at, 1);
    const outer = this.#open[at - 1];
    if (outer !== undefined) outer.inner += took;
    const { name, kind, start, program } = span;
    const args = program === null ? span.args : { ...span.args, ...rates(program, took) };
    this.#add({ name, cat: kind, ph: "X", tid: TRACKS.training, ts: this.#time(start), dur: Math.round(took * 1e6) / 1000, args });
    const tally = this.#update ?? this.#outside;
    tally.spend(kind, took - span.inner);
    if (program !== null) tally.ran(program, took);
    if (kind === "micro-step") {
      tally.microSteps++;
      this.#countMemory(end);
    }
    if (kind === "update") this.#endUpdate(took);
  }

  #endUpdate(took: number): void {
    if (this.#update === null) return;
    this.#update.updates = 1;
    this.#update.total = took;
    (this.#first.updates === 0 ? this.#first : this.#others).add(this.#update);
    this.#update = null;
  }

  #countMemory(at: number): void {
    const { rss, heapUsed } = this.#gauges.memory();
    const counter = { ph: "C", tid: TRACKS.training, ts: this.#time(at) } as const;
    this.#add({ name: "resident set", ...counter, args: { MiB: Math.round(rss / 2 ** 20) } });
    this.#add({ name: "JavaScript heap", ...counter, args: { MiB: Math.round(heapUsed / 2 ** 20) } });
  }

  kernels(program: ProgramWork, { kernels, runs }: KernelTimes): void {
    const times = new Map<string, number>();
    for (const { name, kind, start, end, args } of kernels) {
      times.set(kind, (times.get(kind) ?? 0) + end - start);
      const dur = Math.round((end - start) * 1e6) / 1000;
      this.#add({ name, cat: kind, ph: "X", tid: TRACKS.kernels, ts: this.#time(start), dur, args: { program: program.name, ...args } });
    }
    if (runs > 0) this.#kernels.set(program, new Map([...times].map(([kind, ms]) => [kind, ms / runs])));
  }

  beforeEnd(work: () => Promise<void>): void {
    this.#pending.push(work);
  }

  /** Has everything told that was still to be. */
  async settle(): Promise<void> {
    for (const work of this.#pending.splice(0)) await work();
  }

  /** Ends the trace; what it came to. One without an update tells nothing and is taken away: null. */
  close(): ProfileSummary | null {
    const summary = summarize({
      first: this.#first,
      others: this.#others,
      outside: this.#outside,
      kernels: this.#kernels,
      gemmFlopsPerSecond: this.gemmFlopsPerSecond,
    });
    if (summary === null) {
      this.#file.discard();
      return null;
    }
    this.#file.add({ name: "summary", ph: "i", tid: TRACKS.training, ts: this.#time(this.now()), args: { ...summary } }, true);
    this.#file.close();
    const { path: file, events, leftOut: eventsLeftOut, fault } = this.#file;
    return { file, events, eventsLeftOut, fault, ...summary };
  }
}

/** What a run of a compiled graph says of itself. */
function rates({ flops }: ProgramWork, took: number): TraceArguments {
  const total = Object.values(flops).reduce((sum, own) => sum + own, 0);
  return { flops: total, "GFLOP/s": Math.round(total / took / 1e4) / 100, ...flops };
}
