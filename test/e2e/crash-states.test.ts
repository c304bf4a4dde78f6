// Every state that a crash can leave a run's folder in: resume goes on, or says what is wrong and what to do.
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inspectFinished } from "../../bench/crash/run-state.ts";
import { deadHolder, NONCE_A } from "../../src/runs/fixtures/lock-files.ts";
import { RunLock } from "../../src/runs/index.ts";
import { keptFiles } from "../../src/train/fixtures/run-files.ts";
import { failure, TinyWorkshop } from "../../src/train/fixtures/tiny-run.ts";
import { heirloom, isBuilt, writeRunFile } from "./fixtures/program.ts";

const VALUES = { checkpoints: { everySteps: 1 } };
const UUID = "aaaaaaaa-0000-4000-8000-000000000000";
let workshop: TinyWorkshop;
let whole: string;
let expected: Record<string, unknown>;

beforeAll(async () => {
  workshop = await TinyWorkshop.open();
  whole = (await workshop.train(VALUES)).result.run;
  expected = keptFiles(whole);
});
afterAll(() => workshop.close());

/** A copy of the finished run, to be spoilt. */
function copy(name: string): string {
  const run = workshop.path("runs", name);
  cpSync(whole, run, { recursive: true });
  return run;
}

/** Undoes the end of a run: as if it was killed after that checkpoint. */
function cutBack(run: string, step: number): void {
  for (const name of ["adapter", "result.json", ...[1, 2, 3, 4].filter((at) => at > step).map((at) => `checkpoint-${at}`)])
    rmSync(join(run, name), { recursive: true });
}

async function expectSameEnd(run: string): Promise<void> {
  await workshop.resume(run);
  expect(keptFiles(run)).toEqual(expected);
  expect(await inspectFinished(run)).toEqual([]);
}

/** What a crash leaves, and what resume makes of it: the bytes of a run that never crashed. */
const LEFT: readonly (readonly [string, (run: string) => void])[] = [
  [
    "half-written files and a half-written checkpoint under temporary names",
    (run) => {
      cutBack(run, 2);
      writeFileSync(join(run, `.run.json.${UUID}.tmp`), "{");
      cpSync(join(run, "checkpoint-2"), join(run, `.checkpoint-3.${UUID}.tmp`), { recursive: true });
      truncateSync(join(run, `.checkpoint-3.${UUID}.tmp`, "optimizer.pt"), 100);
    },
  ],
  [
    "its only checkpoint set aside for one that never came",
    (run) => {
      cutBack(run, 1);
      renameSync(join(run, "checkpoint-1"), join(run, `.checkpoint-1.${UUID}.old`));
    },
  ],
  [
    "a checkpoint set aside whose successor is there",
    (run) => {
      cutBack(run, 3);
      cpSync(join(run, "checkpoint-1"), join(run, `.checkpoint-3.${UUID}.old`), { recursive: true });
    },
  ],
  [
    "an event line that was cut short",
    (run) => {
      cutBack(run, 2);
      appendFileSync(join(run, "events.jsonl"), '{"time":"2026-01-01T00:00:00.000Z","type":"st');
    },
  ],
  [
    "a checkpoint that retention has taken the name of, and half of the files",
    (run) => {
      cutBack(run, 3);
      cpSync(join(run, "checkpoint-1"), join(run, `.checkpoint-0.${UUID}.tmp`), { recursive: true });
      rmSync(join(run, `.checkpoint-0.${UUID}.tmp`, "heirloom_state.json"));
    },
  ],
  [
    "the lock of a dead process",
    (run) => {
      cutBack(run, 2);
      writeFileSync(join(run, "run.lock"), deadHolder(NONCE_A));
    },
  ],
  [
    "a lock that was asked for by a process that died",
    (run) => {
      cutBack(run, 2);
      writeFileSync(join(run, `.run.lock.${UUID}.tmp`), deadHolder(UUID));
    },
  ],
  ["no final adapter after the last checkpoint", (run) => cutBack(run, 4)],
  [
    "a final adapter that is half there under a temporary name",
    (run) => {
      renameSync(join(run, "adapter"), join(run, `.adapter.${UUID}.tmp`));
      rmSync(join(run, `.adapter.${UUID}.tmp`, "adapter_config.json"));
      rmSync(join(run, "result.json"));
    },
  ],
  ["no result beside its final adapter", (run) => rmSync(join(run, "result.json"))],
];

describe("a crash that left", () => {
  it.each(LEFT)("%s costs nothing: the run is resumed to the same bytes, and nothing is left over", async (what, spoil) => {
    const run = copy(what.replaceAll(/\W+/g, "-"));
    spoil(run);
    await expectSameEnd(run);
  });

  it("a user's own files with names like ours takes none of them away", async () => {
    const run = copy("own-files");
    cutBack(run, 2);
    writeFileSync(join(run, ".notes.old"), "mine");
    writeFileSync(join(run, ".draft.tmp"), "mine");
    await workshop.resume(run);
    expect(readdirSync(run).filter((name) => name.startsWith("."))).toEqual([".draft.tmp", ".notes.old"]);
  });
});

describe("what no crash leaves, but a hand or a disk may", () => {
  it("a run without its record is told, with the way on, and nothing in the folder is touched", async () => {
    const run = copy("no-record");
    rmSync(join(run, "run.json"));
    const before = readdirSync(run).sort();
    expect(await failure(workshop.resume(run))).toMatchObject({
      code: "RECORD_INVALID",
      message: expect.stringContaining("run.json") as unknown,
      hint: expect.stringContaining("heirloom continue") as unknown,
    });
    expect(readdirSync(run).sort()).toEqual(before);
  });

  it("an empty record is told", async () => {
    const run = copy("empty-record");
    writeFileSync(join(run, "run.json"), "");
    expect(await failure(workshop.resume(run))).toMatchObject({ code: "RECORD_INVALID", exitCode: 11 });
  });

  it("a checkpoint without its state is told; named, it is refused, and the run goes on from the one before it", async () => {
    const run = copy("no-state");
    cutBack(run, 3);
    rmSync(join(run, "checkpoint-3", "heirloom_state.json"));
    expect(await failure(workshop.resume(join(run, "checkpoint-3")))).toMatchObject({
      code: "CHECKPOINT_INVALID",
      message: expect.stringContaining("checkpoint-3") as unknown,
      hint: `an earlier checkpoint is whole: heirloom resume ${join(run, "checkpoint-2")}`,
    });
    await workshop.resume(run);
    expect(keptFiles(run)).toMatchObject({ "adapter/adapter_model.safetensors": expected["adapter/adapter_model.safetensors"] });
  });

  it("a run that was killed before its first checkpoint is told to start again", async () => {
    const run = copy("too-early");
    for (const name of readdirSync(run)) if (/^checkpoint|^adapter|^result/.test(name)) rmSync(join(run, name), { recursive: true });
    expect(await failure(workshop.resume(run))).toMatchObject({
      code: "CHECKPOINT_INVALID",
      hint: expect.stringContaining("heirloom train") as unknown,
    });
    expect(existsSync(join(run, "run.lock"))).toBe(false);
  });
});

describe.skipIf(!isBuilt)("a second process on a run", () => {
  it("is refused with the holder's pid and exit code 40, and touches nothing; once the holder is gone, it goes on", async () => {
    writeRunFile(workshop, "run.yaml");
    const run = copy("two-processes");
    cutBack(run, 2);
    mkdirSync(join(run, `.checkpoint-3.${UUID}.tmp`)); // the holder may be writing it
    const lock = RunLock.acquire(run, "0.0.0");
    const refused = await heirloom(["resume", run, "--json"], { folder: workshop.folder });
    expect(refused.code).toBe(40);
    expect(JSON.parse(refused.out)).toMatchObject({ error: { code: "RUN_LOCKED", problems: [{ details: { pid: process.pid } }] } });
    expect((await heirloom(["resume", run], { folder: workshop.folder })).err).toContain(`found process ${process.pid}`);
    expect(existsSync(join(run, `.checkpoint-3.${UUID}.tmp`))).toBe(true);
    lock.release();
    const resumed = await heirloom(["resume", run, "--quiet"], { folder: workshop.folder });
    expect({ code: resumed.code, err: resumed.err }).toEqual({ code: 0, err: "" });
    expect(readFileSync(join(run, "events.jsonl"), "utf8")).toContain('"type":"finished"');
  });
});
