import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseSetFlag } from "../config/index.ts";
import { HeirloomError } from "../core/index.ts";
import { TinyWorkshop } from "./fixtures/tiny-run.ts";
import { changedConfig, environmentNotes, scheduleNotes } from "./resume-changes.ts";

let workshop: TinyWorkshop;
beforeAll(async () => {
  workshop = await TinyWorkshop.open();
});
afterAll(() => workshop.close());

const flags = (...texts: string[]) => texts.map(parseSetFlag);

describe("a resumed run's configuration", () => {
  test("is the run's own, but for what is named", () => {
    const { config } = workshop.configure();
    expect(changedConfig(config, [])).toBe(config);
    const changed = changedConfig(config, flags("training.steps=9", "engine.threads=2"));
    expect(changed).toEqual({ ...config, training: { ...config.training, steps: 9 }, engine: { ...config.engine, threads: 2 } });
  });

  test("keeps what is absent absent", () => {
    const { config } = workshop.configure({ quantization: "none", fullParameter: true, adapter: "none", training: { groups: [] } });
    const changed = changedConfig(config, flags("training.steps=9"));
    expect(changed).toMatchObject({ adapter: null, quantization: null, training: { steps: 9 } });
  });

  test("refuses what would make it another run, all at once", () => {
    const { config } = workshop.configure();
    const change = () => changedConfig(config, flags("adapter.rank=8", "training.seed=1", "training.steps=9", "data.maxLength=8"));
    expect(change).toThrow(HeirloomError);
    try {
      change();
    } catch (error) {
      expect((error as HeirloomError).problems.map(({ code, message }) => `${code} ${message.split(" ")[0] ?? ""}`)).toEqual([
        "RESUME_CHANGED adapter.rank",
        "RESUME_CHANGED training.seed",
        "RESUME_CHANGED data.maxLength",
      ]);
    }
  });

  test("says what becomes of the schedule", () => {
    const { config } = workshop.configure({ training: { steps: 100, learningRate: 1e-3, groups: [] } });
    const longer = changedConfig(config, flags("training.steps=200"));
    expect(scheduleNotes({ config, steps: 100 }, { config: longer, steps: 200 }, 50)).toEqual([
      "the schedule is now linear over 200 updates, before it was linear over 100 updates: update 51 has rate 0.00075 instead of 0.0005",
    ]);
    expect(scheduleNotes({ config, steps: 100 }, { config, steps: 100 }, 50)).toEqual([]);
  });

  test("says what may change the last bits", () => {
    expect(environmentNotes({ threads: 1, cpu: "a" }, { threads: 1, cpu: "a" })).toEqual([]);
    expect(environmentNotes({ threads: 1, cpu: "a" }, { threads: 2, cpu: "a" })[0]).toMatch(/threads: 1 → 2$/);
  });
});
