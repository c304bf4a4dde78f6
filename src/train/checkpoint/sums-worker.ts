// The entry of the thread that takes checksums: by itself, so that starting it loads nothing of training.
import { parentPort } from "node:worker_threads";
import { InternalError } from "../../core/index.ts";
import { ownSums, type RunningHash, type SumsAnswer, type SumsQuestion } from "./sums.ts";

const port = parentPort;
if (port === null) throw new InternalError("sums-worker.ts is the entry of a thread");

const hashes = new Map<number, RunningHash>();

function running(hash: number): RunningHash {
  const found = hashes.get(hash) ?? ownSums.sha256();
  hashes.set(hash, found);
  return found;
}

port.on("message", async (question: SumsQuestion) => {
  if (question.kind === "update") {
    for (const piece of question.pieces) running(question.hash).update(piece);
    return;
  }
  const value = await (question.kind === "crc32" ? ownSums.crc32(question.bytes, question.before) : running(question.hash).digest());
  port.postMessage({ id: question.id, value } satisfies SumsAnswer);
});
