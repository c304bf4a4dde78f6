import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { describeFailure } from "../core/node/index.ts";
import { EngineHost, type FromHost, type HostOptions, type ToHost } from "./engine-host.ts";

/** This module's address, which is its worker's entry. */
const ENTRY = import.meta.url;

/** Tells our workers from others (test runners run modules in workers, too). */
const MARKER = "heirloom-engine";

interface WorkerInput {
  readonly marker: typeof MARKER;
  readonly options: HostOptions;
}

function isOurInput(value: unknown): value is WorkerInput {
  return typeof value === "object" && value !== null && "marker" in value && value.marker === MARKER;
}

/** Starts a thread that opens the models and then answers messages. */
export function startEngineWorker(options: HostOptions): Worker {
  const input: WorkerInput = { marker: MARKER, options };
  return new Worker(new URL(ENTRY), { workerData: input });
}

async function serve({ options }: WorkerInput): Promise<void> {
  const post = (message: FromHost): void => parentPort?.postMessage(message);
  try {
    const host = await EngineHost.open(options, post);
    parentPort?.on("message", (message: ToHost) => host.handle(message));
  } catch (error) {
    post({ kind: "failure", id: null, failure: describeFailure(error) });
  }
}

if (!isMainThread && isOurInput(workerData)) void serve(workerData);
