import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { isHeirloomError } from "../core/index.ts";
import { deadHolder, holder, NONCE_A, NONCE_B } from "./fixtures/lock-files.ts";
import { RunLock } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "heirloom-lock-"));
afterAll(() => rmSync(folder, { recursive: true }));

const VERSION = "0.0.0-test";
/** A run folder with these files. */
function runWith(name: string, files: Readonly<Record<string, string>> = {}): string {
  const run = join(folder, name);
  mkdirSync(run, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(run, file), text);
  return run;
}

function refusalOf(run: string): { code: string; exitCode: number; message: string; hint: string | undefined; details: unknown } {
  try {
    RunLock.acquire(run, VERSION).release();
  } catch (error) {
    if (isHeirloomError(error))
      return { code: error.code, exitCode: error.exitCode, message: error.message, hint: error.hint, details: error.details };
    throw error;
  }
  return expect.unreachable("the lock should be refused");
}

describe("a run's lock", () => {
  test("says who holds it, refuses a second process of the same thread too, and is gone when released", () => {
    const run = join(folder, "new", "run");
    const lock = RunLock.acquire(run, VERSION);
    expect(JSON.parse(readFileSync(join(run, "run.lock"), "utf8"))).toMatchObject({
      schemaVersion: 1,
      pid: process.pid,
      heirloom: VERSION,
    });
    expect(readdirSync(run)).toEqual(["run.lock"]);
    expect(lock.note).toBeNull();
    const refusal = refusalOf(run);
    expect(refusal).toMatchObject({ code: "RUN_LOCKED", exitCode: 40, details: { pid: process.pid } });
    expect(refusal.message).toContain(`process ${process.pid}`);
    expect(refusal.hint).toContain(`kill -INT ${process.pid}`);
    writeFileSync(join(run, "run.json"), "{}");
    lock.release();
    lock.release();
    expect(readdirSync(run)).toEqual(["run.json"]);
  });

  test("takes the folders that it made away again if nothing was written there", () => {
    RunLock.acquire(join(folder, "made", "by", "it"), VERSION).release();
    expect(existsSync(join(folder, "made"))).toBe(false);
    const { id, lock } = RunLock.acquireNew(join(folder, "store"), new Date(), VERSION);
    expect(readdirSync(join(folder, "store"))).toEqual([id]);
    lock.release();
    expect(existsSync(join(folder, "store"))).toBe(false);
  });

  test("of new runs that start in the same second lies in folders of their own", () => {
    const output = join(folder, "same-second");
    const taken = Array.from({ length: 50 }, () => RunLock.acquireNew(output, new Date(0), VERSION));
    expect(new Set(taken.map(({ id }) => id)).size).toBe(50);
    for (const { lock } of taken) lock.release();
  });

  test.each([
    ["whose number nobody has", { pid: 2 ** 22 + 1 }],
    // This process has the number, but was started at another time.
    ["whose number another process was given", { started: "some-boot:1" }],
  ])("of a dead process %s is taken over, and said", (name, values) => {
    const run = runWith(name, { "run.lock": holder(values) });
    const lock = RunLock.acquire(run, VERSION);
    expect(lock.note).toContain("its lock was taken over");
    expect(readdirSync(run)).toEqual(["run.lock"]);
    expect(refusalOf(run)).toMatchObject({ details: { pid: process.pid } });
    lock.release();
  });

  test("is not judged from another machine; the file to delete is named", () => {
    const run = runWith("elsewhere", { "run.lock": holder({ host: "0123456789abcdef" }) });
    expect(refusalOf(run)).toMatchObject({
      code: "RUN_LOCKED",
      hint: expect.stringContaining(`delete ${join(run, "run.lock")}`) as unknown,
    });
  });

  test("that cannot be read is not taken for a dead one", () => {
    for (const [name, text] of [
      ["empty", ""],
      ["no JSON", "{"],
      ["no holder", "{}"],
      ["a name that leads elsewhere", holder({ nonce: "../../x" })],
    ] as const)
      expect(refusalOf(runWith(name, { "run.lock": text }))).toMatchObject({ code: "RUN_LOCKED" });
  });

  test("of a process that died while it took over from a dead one is taken over in turn", () => {
    const run = runWith("chain", { "run.lock": deadHolder(NONCE_A), [`run.lock.${NONCE_A}`]: deadHolder(NONCE_B) });
    const lock = RunLock.acquire(run, VERSION);
    expect(readdirSync(run)).toEqual(["run.lock"]);
    lock.release();
  });

  test("of a dead process that a living one is taking over is that one's", () => {
    const run = runWith("claimed", { "run.lock": deadHolder(NONCE_A), [`run.lock.${NONCE_A}`]: holder({ nonce: NONCE_B }) });
    expect(refusalOf(run)).toMatchObject({ code: "RUN_LOCKED", details: { pid: process.pid } });
  });
});
