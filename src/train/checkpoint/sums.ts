import { createHash } from "node:crypto";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { crc32 } from "node:zlib";
import { InternalError } from "../../core/index.ts";
import type { SumsAnswer, SumsQuestion } from "./sums-worker.ts";

/** The SHA-256 of a file in the making. */
export interface RunningHash {
  /** The bytes may be changed once the digest is there; those that are not shared memory, at once. */
  update(bytes: Uint8Array): void;
  /** In lower-case hex. */
  digest(): string | Promise<string>;
}

/** Takes the checksums of files, on this thread or on another. */
export interface Sums {
  /** The CRC-32 that was `before`, continued over more bytes. */
  crc32(bytes: Uint8Array, before: number): number | Promise<number>;
  sha256(): RunningHash;
}

/** Sums that are taken at once, on the thread that asks. */
export const ownSums: Sums = {
  crc32: (bytes, before) => crc32(bytes, before),
  sha256() {
    const hash = createHash("sha256");
    return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex") };
  },
};

/**
 * What a message costs (50 µs, measured) pays for the CRC-32 of so many bytes; and
 * so many are put into one message where nobody waits for the answer.
 */
const SMALL_BYTES = 128 * 1024;

const ENTRY = new URL(`./sums-worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);

interface Waiting {
  resolve(value: never): void;
  reject(error: unknown): void;
}

/** Bytes as another thread can have them: shared memory as it is; of other memory a copy, which a message does not copy with all that it lies in. */
function forThread(bytes: Uint8Array): Uint8Array {
  return bytes.buffer instanceof SharedArrayBuffer ? bytes : new Uint8Array(bytes);
}

/** Sums that a thread of their own takes, so that this one is free: half a second for each GiB of a checkpoint. */
export class SumsThread implements Sums {
  #worker: Worker | null = null;
  readonly #waiting = new Map<number, Waiting>();
  #failure: InternalError | null = null;
  #last = 0;

  /** Started when it is first asked: training waits for the copy, not for a thread. */
  #start(): Worker {
    const worker = new Worker(ENTRY);
    worker.on("message", ({ id, value }: SumsAnswer) => {
      this.#waiting.get(id)?.resolve(value as never);
      this.#waiting.delete(id);
    });
    worker.on("error", (error) => this.#fail(String(error)));
    worker.on("exit", () => this.#fail("it ended"));
    return worker;
  }

  crc32(bytes: Uint8Array, before: number): number | Promise<number> {
    if (bytes.byteLength <= SMALL_BYTES) return ownSums.crc32(bytes, before);
    return this.#ask<number>((id) => ({ kind: "crc32", id, bytes: forThread(bytes), before }));
  }

  sha256(): RunningHash {
    const hash = ++this.#last;
    let pieces: Uint8Array[] = [];
    let size = 0;
    const flush = (): void => {
      this.#post({ kind: "update", hash, pieces });
      pieces = [];
      size = 0;
    };
    return {
      update(bytes) {
        pieces.push(forThread(bytes));
        size += bytes.byteLength;
        if (size > SMALL_BYTES) flush();
      },
      digest: () => {
        flush();
        return this.#ask<string>((id) => ({ kind: "digest", id, hash }));
      },
    };
  }

  /** Ends the thread; what was asked and not answered fails. */
  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #ask<Value>(question: (id: number) => SumsQuestion): Promise<Value> {
    const id = ++this.#last;
    const answer = new Promise<Value>((resolve, reject) => {
      if (this.#failure !== null) reject(this.#failure);
      else this.#waiting.set(id, { resolve, reject });
    });
    // A file that cannot be written is given up while sums of it are still being taken.
    answer.catch(() => undefined);
    this.#post(question(id));
    return answer;
  }

  #post(question: SumsQuestion): void {
    this.#worker ??= this.#start();
    this.#worker.postMessage(question);
  }

  #fail(why: string): void {
    this.#failure ??= new InternalError(`the thread that takes a checkpoint's checksums failed: ${why}`);
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }
}
