import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { HeirloomError, InternalError, isHeirloomError, type Problem } from "../errors.ts";

/**
 * Jobs run in a worker thread because a running ONNX session blocks its thread:
 * progress, signals and the UI stay alive on the caller's side.
 *
 * A job is one module, `x-worker.ts`, that exports `defineJob(import.meta.url, body)`.
 * Whoever imports it gets the typed job to hand to {@link runJob}; loaded as the
 * worker's entry, the same line serves the request. (Workers inherit the loader
 * with which the tests run TypeScript on Node 20.)
 */

/** What a running job may do besides computing. */
export interface JobContext<Event> {
  /** Reports something to the caller; must be structured-cloneable. */
  readonly emit: (event: Event) => void;
  /** True once the caller's AbortSignal fired; a job asks at its safe points and then ends by itself. */
  readonly stopRequested: () => boolean;
}

/** The work itself. Request, events and result are structured-cloneable. */
export type JobBody<Request, Event, Result> = (request: Request, context: JobContext<Event>) => Promise<Result>;

/** A job that {@link runJob} can run: made by {@link defineJob}, one per module. */
export interface Job<Request, Event, Result> {
  /** `import.meta.url` of the module that defines it, which is the worker's entry. */
  readonly module: string;
  readonly body: JobBody<Request, Event, Result>;
}

/** How a job is run, and who hears of it. */
export interface RunJobOptions<Event> {
  /** Called in order for each event. If it throws, the job is asked to stop and `runJob` rejects with that error. */
  readonly onEvent?: (event: Event) => void;
  /** Aborting asks the job to stop; what it then returns is still the result. */
  readonly signal?: AbortSignal;
  /** Runs the body on the caller's thread instead, which it then blocks; all else is the same. @defaultValue false */
  readonly inline?: boolean;
}

/** An error on its way between threads. */
export type Failure =
  | { readonly heirloom: true; readonly internal: boolean; readonly problems: readonly [Problem, ...Problem[]]; readonly stack: string }
  | { readonly heirloom: false; readonly message: string; readonly stack: string };

type Message =
  | { readonly kind: "event"; readonly event: unknown }
  | { readonly kind: "result"; readonly result: unknown }
  | { readonly kind: "failure"; readonly failure: Failure };

/** Tells our workers from others (test runners run modules in workers, too). */
const MARKER = "heirloom-job";

interface WorkerInput {
  readonly marker: typeof MARKER;
  readonly module: string;
  readonly request: unknown;
  /** One Int32, non-zero when the caller wants a stop: seen at once, even by a thread that never returns to its event loop. */
  readonly stop: SharedArrayBuffer;
}

function isOurInput(value: unknown): value is WorkerInput {
  return typeof value === "object" && value !== null && "marker" in value && value.marker === MARKER;
}

/**
 * Defines the job of a module, and serves it if that module is the entry of a
 * worker that {@link runJob} started.
 *
 * @example
 * ```ts no-run
 * export const trainJob = defineJob<TrainRequest, TrainEvent, TrainResult>(import.meta.url, async (request, { emit, stopRequested }) => { … });
 * ```
 */
export function defineJob<Request, Event, Result>(module: string, body: JobBody<Request, Event, Result>): Job<Request, Event, Result> {
  if (!isMainThread && isOurInput(workerData) && workerData.module === module) {
    void serve(workerData, body as JobBody<unknown, unknown, unknown>);
  }
  return Object.freeze({ module, body });
}

async function serve(input: WorkerInput, body: JobBody<unknown, unknown, unknown>): Promise<void> {
  const post = (message: Message): void => parentPort?.postMessage(message);
  const stop = new Int32Array(input.stop);
  const context: JobContext<unknown> = {
    emit: (event) => post({ kind: "event", event }),
    stopRequested: () => Atomics.load(stop, 0) !== 0,
  };
  try {
    post({ kind: "result", result: await body(input.request, context) });
  } catch (error) {
    post({ kind: "failure", failure: describeFailure(error) });
  }
}

/** Makes an error ready for another thread. */
export function describeFailure(error: unknown): Failure {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  if (!isHeirloomError(error)) return { heirloom: false, message: error instanceof Error ? error.message : String(error), stack };
  // Through JSON, which `problems` promises to survive: a detail that cannot be cloned must not hide the error.
  const problems = JSON.parse(JSON.stringify(error.problems)) as [Problem, ...Problem[]];
  return { heirloom: true, internal: error.name === "InternalError", problems, stack };
}

/** The error again that {@link describeFailure} described; INTERNAL for one that was not ours. */
export function rebuildFailure(failure: Failure): HeirloomError {
  if (!failure.heirloom) return new InternalError(failure.message, { details: { stack: failure.stack } });
  const plain = HeirloomError.of(failure.problems);
  const error = failure.internal ? Object.assign(new InternalError(""), { message: plain.message, problems: plain.problems }) : plain;
  error.stack = failure.stack; // where it happened, not where it was rebuilt
  return error;
}

/**
 * Runs a job, by default in a worker thread of its own.
 *
 * @returns what the job's body returned
 * @throws the job's own {@link HeirloomError}, with code and problems; INTERNAL
 *   (with the stack in `details`) for any other error and when the worker ends
 *   without a result; COMPUTE_FAILED when it ran out of memory
 */
export async function runJob<Request, Event, Result>(
  job: Job<Request, Event, Result>,
  request: Request,
  options: RunJobOptions<Event> = {},
): Promise<Result> {
  const stop = new SharedArrayBuffer(4);
  const requestStop = (): void => void Atomics.store(new Int32Array(stop), 0, 1);
  let listenerFailure: { readonly error: unknown } | undefined;
  const onEvent = (event: unknown): void => {
    try {
      options.onEvent?.(event as Event);
    } catch (error) {
      listenerFailure ??= { error };
      requestStop();
    }
  };
  if (options.signal?.aborted) requestStop();
  options.signal?.addEventListener("abort", requestStop);
  try {
    const input: WorkerInput = { marker: MARKER, module: job.module, request, stop };
    const result = await (options.inline
      ? runInline(job.body as JobBody<unknown, unknown, unknown>, input, onEvent)
      : runWorker(input, onEvent));
    if (listenerFailure) throw listenerFailure.error;
    return result as Result;
  } catch (error) {
    throw listenerFailure ? listenerFailure.error : error;
  } finally {
    options.signal?.removeEventListener("abort", requestStop);
  }
}

async function runInline(
  body: JobBody<unknown, unknown, unknown>,
  input: WorkerInput,
  onEvent: (event: unknown) => void,
): Promise<unknown> {
  const stop = new Int32Array(input.stop);
  const context: JobContext<unknown> = {
    emit: (event) => onEvent(structuredClone(event)),
    stopRequested: () => Atomics.load(stop, 0) !== 0,
  };
  try {
    return structuredClone(await body(structuredClone(input.request), context));
  } catch (error) {
    throw isHeirloomError(error) ? error : rebuildFailure(describeFailure(error));
  }
}

function runWorker(input: WorkerInput, onEvent: (event: unknown) => void): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(input.module), { workerData: input });
    let outcome: (() => void) | undefined;
    worker.on("message", (message: Message) => {
      if (message.kind === "event") return onEvent(message.event);
      outcome ??= message.kind === "result" ? () => resolve(message.result) : () => reject(rebuildFailure(message.failure));
      // Sessions, timers or handles that the job left open must not keep the thread.
      void worker.terminate();
    });
    worker.on("messageerror", (error) => {
      outcome ??= () => reject(rebuildFailure(describeFailure(error)));
    });
    worker.on("error", (error) => {
      outcome ??= () => reject(workerError(error));
    });
    worker.on("exit", (exitCode) => {
      if (outcome) outcome();
      else reject(new InternalError(`the worker ended with exit code ${exitCode} before its job did`, { where: input.module }));
    });
  });
}

/** What a worker's `error` event means. */
export function workerError(error: unknown): HeirloomError {
  if (error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY") {
    return new HeirloomError("COMPUTE_FAILED", "the worker thread ran out of JavaScript memory", {
      hint: "give Node more, for example NODE_OPTIONS=--max-old-space-size=8192",
      cause: error,
    });
  }
  return rebuildFailure(describeFailure(error));
}
