import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { failure } from "../fixtures/tiny-run.ts";
import { ownSums, SumsThread } from "./sums.ts";

const threads: SumsThread[] = [];
const newThread = (): SumsThread => {
  const thread = new SumsThread();
  threads.push(thread);
  return thread;
};
afterEach(async () => {
  for (const thread of threads.splice(0)) await thread.close();
});

/** Halves of it are as much as makes a message of its own. */
const BYTES = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 31) % 251);
const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const shared = (bytes: Uint8Array): Uint8Array => {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.byteLength));
  copy.set(bytes);
  return copy;
};

describe("checksums", () => {
  test.each([
    ["this thread", () => ownSums],
    ["a thread of their own", newThread],
  ])("that %s takes are those of the bytes, of several files at a time and of memory of both kinds", async (_who, make) => {
    const sums = make();
    const [whole, parts] = [sums.sha256(), sums.sha256()];
    const own = BYTES.slice();
    parts.update(own.subarray(0, 300));
    // Memory that is not shared may change at once.
    own.fill(0);
    whole.update(shared(BYTES));
    parts.update(shared(BYTES).subarray(300));
    const half = await sums.crc32(BYTES.subarray(0, 150_000), 0);
    expect(await sums.crc32(shared(BYTES).subarray(150_000), half)).toBe(crc32(BYTES));
    expect([await whole.digest(), await parts.digest(), await sums.sha256().digest()]).toEqual([
      hashOf(BYTES),
      hashOf(BYTES),
      hashOf(new Uint8Array()),
    ]);
  });

  test("of a thread that has ended fail, those that were asked for and those that are asked for later", async () => {
    const thread = newThread();
    const hash = thread.sha256();
    hash.update(new Uint8Array(2 ** 24));
    const asked = hash.digest();
    await thread.close();
    expect(await failure(Promise.resolve(asked))).toMatchObject({ code: "INTERNAL" });
    hash.update(BYTES);
    expect(await failure(Promise.resolve(hash.digest()))).toMatchObject({ code: "INTERNAL" });
    expect(await failure(Promise.resolve(thread.crc32(BYTES, 0)))).toMatchObject({ code: "INTERNAL" });
  });
});
