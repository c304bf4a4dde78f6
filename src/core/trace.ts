/** What a span is spent on; the summary of a profile adds up times by it. */
export type SpanKind =
  | "update"
  | "micro-step"
  | "data"
  | "embedding"
  | "blocks"
  | "head"
  | "program"
  | "compile"
  | "weights"
  | "gradients"
  | "clipping"
  | "optimizer"
  | "proof"
  | "checkpoint"
  | "evaluation"
  | "tracing"
  | "kernel";

/** What is said beside a span's name. */
export type TraceArguments = Readonly<Record<string, string | number>>;

/** A piece of work whose beginning and end are known already; milliseconds of the trace's clock. */
export interface TimedWork {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly args: TraceArguments;
}

/** What a compiled graph is made of: products' operations by what they are for. */
export interface ProgramWork {
  readonly name: string;
  /** FLOPs (2mnk of every product) by kind of work. */
  readonly flops: Readonly<Record<string, number>>;
}

/** What one run of a compiled graph spent its time on, as the runtime's own profiler has it. */
export interface KernelTimes {
  readonly kernels: readonly (TimedWork & { /** Kind of work, as in {@link ProgramWork}. */ readonly kind: string })[];
  /** Of all runs that the kernels are of, in milliseconds. */
  readonly runs: number;
}

/**
 * Hears of work while it is done. Whoever does some is given one; {@link NO_TRACE} hears nothing.
 * Spans nest in the order of calls: what is awaited inside `work` is inside its span.
 */
export interface Trace {
  /** False: nobody listens, so nothing needs to be prepared for it. */
  readonly isOn: boolean;
  /** Milliseconds. */
  now(): number;
  /** Does `work`, and notes how long that took (if it gives a promise, until that is settled). */
  span<T>(name: string, kind: SpanKind, args: TraceArguments, work: () => T): T;
  /** Adds to the arguments of the span that is open. */
  say(args: TraceArguments): void;
  /** Notes that the open span ran a compiled graph. */
  ran(program: ProgramWork): void;
  /** Notes what kernels of a compiled graph took. */
  kernels(program: ProgramWork, times: KernelTimes): void;
  /** Has `work` done before the trace ends: something that is still to be told. */
  beforeEnd(work: () => Promise<void>): void;
}

/** A trace that nobody asked for. */
export const NO_TRACE: Trace = Object.freeze({
  isOn: false,
  now: () => 0,
  span: <T>(_name: string, _kind: SpanKind, _args: TraceArguments, work: () => T): T => work(),
  say: () => undefined,
  ran: () => undefined,
  kernels: () => undefined,
  beforeEnd: () => undefined,
});
