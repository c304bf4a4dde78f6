import { parentPort, workerData } from "node:worker_threads";
import { isHeirloomError } from "../core/index.ts";
import type { RecordBatch } from "./encode-batch.ts";
import { type EncoderSetup, encoderHere } from "./encoder.ts";

// The entry of a worker thread of `encoder-pool.ts`: batches in, encoded batches out, in order.

/** What a worker answers to a batch. */
export type EncodeAnswer =
  | { readonly id: number; readonly encoded: Awaited<ReturnType<ReturnType<typeof encoderHere>["encode"]>> }
  | { readonly id: number; readonly failure: string };

const port = parentPort;
if (port !== null) {
  const encoder = encoderHere(workerData as EncoderSetup);
  port.on("message", ({ id, batch }: { readonly id: number; readonly batch: RecordBatch }) => {
    encoder.encode(batch).then(
      (encoded) => port.postMessage({ id, encoded } satisfies EncodeAnswer, [encoded.words.buffer as ArrayBuffer]),
      (error: unknown) => {
        const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
        port.postMessage({ id, failure: isHeirloomError(error) ? error.message : stack } satisfies EncodeAnswer);
      },
    );
  });
}
