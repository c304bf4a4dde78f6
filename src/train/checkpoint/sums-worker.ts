// The entry of the thread that takes checksums: by itself, so that starting it loads nothing of training.
import { createHash, type Hash } from "node:crypto";
import { parentPort } from "node:worker_threads";
import { crc32 } from "node:zlib";

/** What the thread is asked. */
export type SumsQuestion =
  | { readonly kind: "crc32"; readonly id: number; readonly bytes: Uint8Array; readonly before: number }
  | { readonly kind: "update"; readonly hash: number; readonly pieces: readonly Uint8Array[] }
  | { readonly kind: "digest"; readonly id: number; readonly hash: number };

/** What it answers. */
export interface SumsAnswer {
  readonly id: number;
  readonly value: number | string;
}

const hashes = new Map<number, Hash>();

function running(hash: number): Hash {
  const found = hashes.get(hash) ?? createHash("sha256");
  hashes.set(hash, found);
  return found;
}

const port = parentPort;
port?.on("message", (question: SumsQuestion) => {
  if (question.kind === "update") {
    for (const piece of question.pieces) running(question.hash).update(piece);
    return;
  }
  const value = question.kind === "crc32" ? crc32(question.bytes, question.before) : running(question.hash).digest("hex");
  port.postMessage({ id: question.id, value } satisfies SumsAnswer);
});
