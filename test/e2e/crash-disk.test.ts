// A disk that fails at one call, and a disk that is full: every run ends with a typed error, the checkpoint before it is whole, and resume goes on.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { inspectFinished, inspectKilled } from "../../bench/crash/run-state.ts";
import { type DiskCall, observeDisk } from "../../src/core/fixtures/disk-calls.mjs";
import { callsOf, type SeenCall } from "../../src/core/fixtures/faulty-disk.ts";
import { type HeirloomError, isHeirloomError, shuffledIndices } from "../../src/core/index.ts";
import { keptFiles } from "../../src/train/fixtures/run-files.ts";
import { TinyWorkshop, type Told } from "../../src/train/fixtures/tiny-run.ts";

/** Two checkpoints, the first taken away for the second, and a final adapter. */
const VALUES = { training: { steps: 2 }, checkpoints: { everySteps: 1, keepLast: 1, keepBest: false } };
const SEED = Number(process.env["HEIRLOOM_TEST_SEED"] ?? 1);
/** Calls that fail, of all that a run makes; all of them with HEIRLOOM_TEST_RUNS=1000. */
const FAILING_CALLS = Number(process.env["HEIRLOOM_TEST_RUNS"] ?? 40);

let workshop: TinyWorkshop;
let expected: Record<string, unknown>;
let calls: readonly SeenCall[];
/** Whether the last run said that its log lacks its end. */
let noted = false;

const stores = (): string[] => (existsSync(workshop.output) ? readdirSync(workshop.output) : []);
const onlyRun = (): string | null => (stores()[0] === undefined ? null : workshop.path("runs", stores()[0] ?? ""));
const plain = (path: string): string => path.replace(/^.*\/runs\/?[^/]*\/?/, "").replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "*");

/** The error of a run; null if it ended all the same, without a word or with a note. */
async function outcome(run: Promise<Told>): Promise<HeirloomError | null> {
  noted = false;
  try {
    const { events } = await run;
    noted = events.some((event) => event.type === "note" && event.message.includes("could not be completed"));
    return null;
  } catch (error) {
    if (isHeirloomError(error)) return error;
    throw error;
  }
}

beforeAll(async () => {
  workshop = await TinyWorkshop.open();
  calls = (await callsOf(() => workshop.train(VALUES))).filter(({ path }) => path.startsWith(workshop.output));
  expected = keptFiles(onlyRun() ?? "");
});
afterEach(() => {
  observeDisk(null);
  rmSync(workshop.output, { recursive: true, force: true });
});
afterAll(() => workshop.close());

/** What fails of a call: a full disk takes half of what is written, and a failing one shows at the end of the call or at once. */
function faultOf(call: DiskCall): { code: string; when: "before" | "half" | "after" } {
  if (call === "write") return { code: "ENOSPC", when: "half" };
  return { code: call === "open" || call === "mkdir" ? "ENOSPC" : "EIO", when: call === "close" ? "after" : "before" };
}

/** The run goes on from what it has, and ends in the bytes that it would have had. */
async function expectResumed(what: string): Promise<void> {
  const run = onlyRun();
  if (run === null) return; // it ended before it was one, and left nothing
  const { checkpoint, faults } = await inspectKilled(run);
  expect(faults, what).toEqual([]);
  if (checkpoint === null) return;
  await workshop.resume(run);
  const found = keptFiles(run);
  for (const [name, bytes] of Object.entries(expected)) expect(found[name], `${what}: ${name}`).toEqual(bytes);
  expect(await inspectFinished(run), what).toEqual([]);
}

describe("a disk that fails", () => {
  // A lock that cannot be taken away is valid as long as its process lives: here, to the end of the test.
  const isUnlocking = ({ call, path }: SeenCall): boolean => call === "rm" && path.includes("run.lock");
  const places = (): number[] => {
    const order = Array.from(shuffledIndices(calls.length, SEED, "failing calls"));
    return order.filter((place) => !isUnlocking(calls[place] as SeenCall)).slice(0, FAILING_CALLS);
  };

  it(
    `at any one call (seed ${SEED}) is a typed error with exit code 40; the checkpoint before is whole, and the run resumes to the same bytes`,
    async () => {
      const untold: string[] = [];
      for (const place of places()) {
        const { call, path } = calls[place] as SeenCall;
        const { code, when } = faultOf(call);
        const what = `${code} ${when} ${call} ${plain(path)} (call ${place})`;
        let count = -1;
        observeDisk((seen, at) => {
          if (!at.startsWith(workshop.output) || ++count !== place) return undefined;
          return {
            when,
            act() {
              throw Object.assign(new Error(code), { code, syscall: seen, path: at });
            },
          };
        });
        const error = await outcome(workshop.train(VALUES));
        observeDisk(null);
        const wanted = [40, code === "ENOSPC" ? "DISK_FULL" : "WRITE_FAILED"];
        if (error !== null) expect([error.exitCode, error.code], `${what}: ${error.message}`).toEqual(wanted);
        else if (!noted) untold.push(what);
        await expectResumed(what);
        rmSync(workshop.output, { recursive: true, force: true });
      }
      // Clearing away what is not needed any more may fail: nothing is lost by it.
      expect(untold.filter((what) => !what.includes(" rm"))).toEqual([]);
    },
    FAILING_CALLS * 5000,
  );
});

const canMount = ((): boolean => {
  try {
    mkdirSync("/tmp/heirloom-tmpfs-probe", { recursive: true });
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", "/tmp/heirloom-tmpfs-probe"], { stdio: "ignore" });
    execFileSync("umount", ["/tmp/heirloom-tmpfs-probe"]);
    return true;
  } catch {
    return false; // not root, or no mounts here
  }
})();

describe.skipIf(!canMount)("a real disk that is full (tmpfs)", () => {
  const mount = (options: string): void => void execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", workshop.output]);

  it.each([8, 40, 100, 200, 300, 400, 500])(
    "at %s KiB ends a run with DISK_FULL; with more room it resumes to the same bytes",
    async (kib) => {
      mkdirSync(workshop.output);
      mount(`size=${kib}k`);
      try {
        const error = await outcome(workshop.train(VALUES));
        expect(error === null ? "done" : [error.code, error.exitCode]).toEqual(["DISK_FULL", 40]);
        mount("remount,size=16m");
        await expectResumed(`${kib} KiB`);
      } finally {
        execFileSync("umount", [workshop.output]);
      }
    },
  );

  it("from the first byte leaves no run", async () => {
    mkdirSync(workshop.output);
    mount("size=4k,nr_inodes=1");
    try {
      expect(await outcome(workshop.train(VALUES))).toMatchObject({ code: "DISK_FULL", exitCode: 40 });
      expect(stores()).toEqual([]);
    } finally {
      execFileSync("umount", [workshop.output]);
    }
  });
});

describe("a checkpoint", () => {
  it("that could not be written is no reason to lose the one before", async () => {
    observeDisk((call, at) => {
      return call === "rename" && at.endsWith("checkpoint-2")
        ? {
            when: "before",
            act() {
              throw Object.assign(new Error("EIO"), { code: "EIO" });
            },
          }
        : undefined;
    });
    const error = await outcome(workshop.train(VALUES));
    observeDisk(null);
    expect(error).toMatchObject({ code: "WRITE_FAILED", message: expect.stringContaining("checkpoint-2") as unknown });
    expect(readdirSync(onlyRun() ?? "").sort()).toEqual(["checkpoint-1", "events.jsonl", "run.json"]);
    await expectResumed("rename");
  });
});
