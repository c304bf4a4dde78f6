// Processes of our own that race for one lock: every interleaving that the machine comes up with has exactly one winner.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { Child } from "./fixtures/child.ts";
import { deadHolder, NONCE_A, NONCE_B } from "./fixtures/lock-files.ts";
import { RunLock } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "heirloom-lock-race-"));
afterAll(() => rmSync(folder, { recursive: true }));

const PROCESSES = 5;
const ROUNDS = 60;

test("a lock is had by exactly one of several that take over from a dead one at once, every time", async () => {
  const children = Array.from({ length: PROCESSES }, () => new Child("lock-process.ts"));
  const pids = await Promise.all(children.map(async (child) => (await child.answer())["pid"]));
  for (let round = 0; round < ROUNDS; round++) {
    const run = join(folder, `race-${round}`);
    mkdirSync(run);
    // Free, held by a dead process, or half taken over by one that died in the middle of it.
    if (round % 3 > 0) writeFileSync(join(run, "run.lock"), deadHolder(NONCE_A));
    if (round % 3 > 1) writeFileSync(join(run, `run.lock.${NONCE_A}`), deadHolder(NONCE_B));
    const answers = await Promise.all(children.map((child) => child.ask(`take ${run}`)));
    const winners = answers.flatMap(({ took }, i) => (took === true ? [i] : []));
    expect(winners, `round ${round}`).toHaveLength(1);
    const [winner = -1] = winners;
    for (const { took, code, pid } of answers) if (took === false) expect({ code, pid }).toEqual({ code: "RUN_LOCKED", pid: pids[winner] });
    await children[winner]?.ask("release");
    expect(readdirSync(run)).toEqual([]);
  }
  for (const child of children) child.tell("end");
  await Promise.all(children.map((child) => child.ended()));
});

test("a lock is refused while its holder lives, released when it exits, and taken over when it was killed", async () => {
  const run = join(folder, "processes");
  mkdirSync(run);
  writeFileSync(join(run, "run.json"), "{}");
  const child = new Child("lock-process.ts");
  const { pid } = await child.answer();
  expect(await child.ask(`take ${run}`)).toMatchObject({ took: true });
  expect(() => RunLock.acquire(run, "0.0.0")).toThrow(`process ${String(pid)}`);
  child.tell("exit");
  expect(await child.ended()).toBe(3);
  expect(readdirSync(run)).toEqual(["run.json"]);

  const killed = new Child("lock-process.ts");
  const { pid: killedPid } = await killed.answer();
  expect(await killed.ask(`take ${run}`)).toMatchObject({ took: true, recovered: null });
  await killed.kill();
  const lock = RunLock.acquire(run, "0.0.0");
  expect(lock.recovered?.pid).toBe(killedPid);
  lock.release();
});
