// The built program is killed at random moments; see bench/crash for how, and bench/results/crash.md for two hundred of them.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Kill, killOften, type Reference, referenceRun, writeScene } from "../../bench/crash/kill-chain.ts";
import { RandomStream } from "../../src/core/index.ts";
import { TinyWorkshop } from "../../src/train/fixtures/tiny-run.ts";
import { isBuilt } from "./fixtures/program.ts";

/** Other moments each time: what holds of one must hold of all. */
const SEED = Number(process.env["HEIRLOOM_TEST_SEED"] ?? Date.now() % 1_000_000);
const KILLS = 24;
/** A checkpoint every third update, written while training goes on; on a slow disk the next one waits for it. */
const MOST_LOST = 6;

describe.skipIf(!isBuilt)(`a run that is killed again and again (HEIRLOOM_TEST_SEED=${SEED})`, () => {
  let workshop: TinyWorkshop;
  let reference: Reference;

  beforeAll(async () => {
    workshop = await TinyWorkshop.open();
    writeScene(workshop);
    reference = await referenceRun(workshop.folder);
  });
  afterAll(() => workshop.close());

  it(`survives ${KILLS} kills: each time it goes on from its last whole checkpoint, and ends in the bytes of a run that never was killed`, async () => {
    const scene = { folder: workshop.folder, reference, random: new RandomStream(SEED, "kills") };
    const { kills, faults } = await killOften(scene, { kills: KILLS, perRun: 8 });
    expect(faults, JSON.stringify(kills)).toEqual([]);
    expect(kills.length).toBeGreaterThanOrEqual(KILLS);
    expect(Math.max(...kills.map(({ lost }: Kill) => lost))).toBeLessThanOrEqual(MOST_LOST);
  });
});
