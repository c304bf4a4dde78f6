import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parsePeftConfig } from "../formats/index.ts";
import { failure, TinyWorkshop, type Told } from "./fixtures/tiny-run.ts";

const PATTERNS = {
  rank: 4,
  alpha: 8,
  rankPattern: { q_proj: 6, "layers.1.mlp.down_proj": 2 },
  alphaPattern: { q_proj: 3 },
  rslora: true,
};

let workshop: TinyWorkshop;
let parent: Told;
let adapter: string;

beforeAll(async () => {
  workshop = await TinyWorkshop.open();
  parent = await workshop.train({ adapter: PATTERNS });
  adapter = parent.result.adapter as string;
});
afterAll(() => workshop.close());

const read = (folder: string, file: string): unknown => JSON.parse(readFileSync(join(folder, file), "utf8"));
const peftOf = (folder: string) => parsePeftConfig(read(folder, "adapter_config.json"), folder);

describe("an adapter with ranks and alphas by pattern", () => {
  test("is trained and keeps its patterns in PEFT's file", () => {
    expect(peftOf(adapter)).toMatchObject({
      r: 4,
      loraAlpha: 8,
      rankPattern: PATTERNS.rankPattern,
      alphaPattern: PATTERNS.alphaPattern,
      useRslora: true,
    });
  });

  test("is continued as what it was, from the loss that its parent ended with", async () => {
    const { result } = await workshop.continue(adapter);
    expect(result.evaluations[0]?.before).toBeCloseTo(parent.result.evaluations[0]?.after as number, 5);
    const { raw: _, ...before } = peftOf(adapter);
    expect(peftOf(result.adapter as string)).toMatchObject(before);
  });

  test("is continued without a word about the same ranks in other words", async () => {
    const ranks = { "^.*q_proj": 6, "model.layers.1.mlp.down_proj": 2 };
    const { result } = await workshop.continue(adapter, { adapter: { rankPattern: ranks } });
    expect(peftOf(result.adapter as string)).toMatchObject({ rankPattern: ranks });
    expect(await failure(workshop.continue(adapter, { adapter: { rankPattern: { q_proj: 5 } } }))).toMatchObject({
      code: "CONTINUE_CHANGED",
      message: expect.stringContaining("adapter.rankPattern"),
    });
  });

  test("may grow, but not change what it computes without a word", async () => {
    const growth = { rankPattern: { ...PATTERNS.rankPattern, q_proj: 8 } };
    expect(await failure(workshop.continue(adapter, { adapter: growth }, ["rankPattern"]))).toMatchObject({
      code: "CONTINUE_CHANGE_INVALID",
      message: expect.stringContaining("from 3/√6 into 3/√8"),
    });
    const alphaPattern = { q_proj: 3 * Math.sqrt(8 / 6) };
    const { result } = await workshop.continue(adapter, { adapter: { ...growth, alphaPattern } }, ["rankPattern", "alphaPattern"]);
    expect(result.evaluations[0]?.before).toBeCloseTo(parent.result.evaluations[0]?.after as number, 5);
    // A new rank changes the modules without a pattern only; down_proj has a rank of its own and alpha's default.
    expect(await failure(workshop.continue(adapter, {}, ["rank=8"]))).toMatchObject({
      code: "CONTINUE_CHANGE_INVALID",
      message: expect.stringContaining("model.layers.1.mlp.down_proj"),
    });
  });
});

describe("a whole block as a copy", () => {
  test("is trained, saved and continued", async () => {
    const block = { targetModules: ["q_proj", "v_proj"], modulesToSave: ["layers.1.mlp"] };
    const trained = await workshop.train({ adapter: block, training: { groups: [] } });
    const { result } = await workshop.continue(trained.result.adapter as string);
    expect(result.evaluations[0]?.before).toBeCloseTo(trained.result.evaluations[0]?.after as number, 5);
  });
});
