import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { HeirloomError, InternalError } from "../core/index.ts";
import type { EncodedBatch, RecordBatch } from "./encode-batch.ts";
import type { EncodeAnswer } from "./encode-worker.ts";
import type { BatchEncoder, EncoderSetup } from "./encoder.ts";

type Encoded = EncodedBatch & { readonly usedClock: boolean };

interface Waiting {
  readonly resolve: (encoded: Encoded) => void;
  readonly reject: (error: Error) => void;
}

/** Beside the source stands the source, in the package what was compiled from it. */
const ENTRY = new URL(`./encode-worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);

/** Batches that lie ready for each worker while it works, so that it never waits for the reader. */
const BATCHES_AHEAD = 2;

/** One thread; it answers in the order in which it is asked. */
class EncodeThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;
  #failure: Error | undefined;

  constructor(setup: EncoderSetup) {
    this.#worker = new Worker(ENTRY, { workerData: setup });
    // A process that is done otherwise does not stay for a thread without work.
    this.#worker.unref();
    this.#worker.on("message", (answer: EncodeAnswer) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if (this.#waiting.size === 0) this.#worker.unref();
      if ("encoded" in answer) waiting?.resolve(answer.encoded);
      else waiting?.reject(new InternalError(`a thread could not tokenize a batch: ${answer.failure}`));
    });
    this.#worker.on("error", (error: Error & { readonly code?: string }) => {
      const isMemory = error.code === "ERR_WORKER_OUT_OF_MEMORY";
      this.#fail(
        isMemory
          ? new HeirloomError("COMPUTE_FAILED", "a thread ran out of memory while it tokenized", {
              hint: "use fewer threads, or part very long rows",
              cause: error,
            })
          : new InternalError(`a thread that tokenizes ended: ${error.message}`, { cause: error }),
      );
    });
    this.#worker.on("exit", (code) => this.#fail(new InternalError(`a thread that tokenizes ended with code ${code}`)));
  }

  get load(): number {
    return this.#waiting.size;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }

  encode(batch: RecordBatch): Promise<Encoded> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const id = this.#next++;
    this.#worker.ref();
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, batch });
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

/**
 * An encoder on several threads. What it gives is what one thread gives: a batch depends on nothing but itself, and
 * `encodeFile` takes the batches in order.
 */
export function encoderPool(setup: EncoderSetup, threads: number): BatchEncoder {
  const pool = Array.from({ length: threads }, () => new EncodeThread(setup));
  return {
    capacity: threads * BATCHES_AHEAD,
    encode: (batch) => pool.reduce((least, thread) => (thread.load < least.load ? thread : least)).encode(batch),
    close: async () => {
      await Promise.all(pool.map((thread) => thread.close()));
    },
  };
}
