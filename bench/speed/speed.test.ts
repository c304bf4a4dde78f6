import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { modelParameters, parseModelConfig } from "../../src/model/index.ts";
import { stepFlops, stepProducts } from "../steps/step-products.ts";
import { boundShare, fitLine, rateRatio, rssRatio } from "./figures.ts";
import { SPEED_ROWS } from "./index.ts";
import { speedReport, toMarkdown } from "./report.ts";
import { isMet, type SpeedRow } from "./row.ts";
import { settingsOf } from "./settings.ts";

const specOf = (name: string) => {
  const path = `bench/configs/${name}.json`;
  return parseModelConfig(JSON.parse(readFileSync(path, "utf8")), path);
};
const result = (tokensPerSecond: number, peakRssMib: number, output: Record<string, unknown> = {}) => ({
  tokensPerSecond,
  peakRssMib,
  observedPeakRssMib: null,
  othersCores: 0.01,
  wallSeconds: 1,
  output,
});

describe("the products of a step", () => {
  const elements = (name: string, kinds: readonly string[]) =>
    modelParameters(specOf(name))
      .filter(({ kind, name: path }) => kinds.includes(kind) || path === "lm_head.weight")
      .reduce((sum, { shape }) => sum + shape.reduce((n, size) => n * size, 1), 0);

  it("are 4 FLOPs per weight and token, 6 for blocks that are computed again", () => {
    const spec = specOf("llama-3.1-8b");
    const [blocks, head] = [elements("llama-3.1-8b", ["linear"]) - 128256 * 4096, 128256 * 4096];
    const shape = { tokens: 512, labelled: 512, trainsBelow: true };
    expect(stepFlops(stepProducts(spec, { ...shape, recomputes: false }))).toBe(4 * 512 * (blocks + head));
    expect(stepFlops(stepProducts(spec, { ...shape, recomputes: true }))).toBe(512 * (6 * blocks + 4 * head));
  });

  it("leave out the input gradients that lead nowhere, and rows of the head without a label", () => {
    const spec = specOf("smollm2-135m");
    const shape = { tokens: 1024, trainsBelow: false, recomputes: false };
    const [all, some] = [1024, 512].map((labelled) => stepFlops(stepProducts(spec, { ...shape, labelled })));
    expect((all as number) - (some as number)).toBe(4 * 512 * 49152 * 576);
    const below = stepFlops(stepProducts(spec, { ...shape, labelled: 1024, trainsBelow: true }));
    expect(below - (all as number)).toBe(2 * 1024 * 576 * (576 + 192 + 192));
  });
});

describe("figures", () => {
  it("are ratios of medians", () => {
    const [ours, theirs] = [{ results: [result(3, 10), result(5, 30), result(4, 20)] }, { results: [result(2, 40)] }];
    expect([rateRatio(ours, theirs), rssRatio(ours, theirs)]).toEqual([2, 0.5]);
  });

  it("say what part of a step its products are", () => {
    const output = { step_s: [4, 5, 6], bound: { seconds: [4, 4, 9] } };
    expect(boundShare({ results: [result(1, 1, output)] })).toBe(0.8);
  });

  it("find a line, and how far the farthest point is from it", () => {
    const line = fitLine([256, 512, 1024].map((x) => [x, 3 + 2 * x] as const));
    expect(line.perUnit).toBeCloseTo(2, 9);
    expect(line.constant).toBeCloseTo(3, 6);
    expect(line.largestDeviation).toBe(0);
    expect(fitLine([[1, 1], [2, 2], [3, 4]]).largestDeviation).toBeGreaterThan(0.05); // biome-ignore format: points
  });

  it("meet a target at its limit", () => {
    expect(isMet({ better: "more" }, 2, 2) && isMet({ better: "less" }, 2, 2) && isMet({ better: "equal" }, 2, 2)).toBe(true);
    expect(isMet({ better: "more" }, 1, 2) || isMet({ better: "less" }, 3, 2) || isMet({ better: "equal" }, 3, 2)).toBe(false);
  });
});

describe("a row's settings", () => {
  it("are the common ones, its own, and then the flags", () => {
    expect(settingsOf({ seq: 256, steps: 3 }, ["--steps", "1", "--bound-mib", "64"])).toMatchObject({
      seq: 256,
      steps: 1,
      boundMib: 64,
      batch: 2,
    });
  });

  it("refuse a flag that there is not, and a number that is none", () => {
    expect(() => settingsOf({}, ["--stepps", "1"])).toThrow(/expected one of --python/);
    expect(() => settingsOf({}, ["--steps", "x"])).toThrow(/whole number/);
    expect(() => settingsOf({}, ["--steps"])).toThrow(/a value/);
  });
});

it("names every row once", () => {
  const names = SPEED_ROWS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toContain("step-135m-2x512");
});

it("reports figures against what is asked, without the places of the machine", () => {
  const row: SpeedRow = {
    name: "some-row",
    title: "Some row",
    minutes: 1,
    defaults: {},
    targets: [
      { figure: "ratio", better: "more", asked: 2, stretch: 4 },
      { figure: "bf16", better: "more", asked: 1 },
    ],
    measure: () => Promise.reject(new Error("not called")),
  };
  const side = { command: ["/usr/bin/node", "--model", "/somewhere/model"], results: [result(5, 100, { versions: { a: 1 } })] };
  const measured = { figures: { ratio: 3, bf16: null, other: 7 }, sides: { heirloom: side }, method: "By hand.", notes: ["A note."] };
  const report = speedReport(row, settingsOf({}, []), measured);
  expect(report.targets.map(({ met }) => met)).toEqual([true, null]);
  const page = toMarkdown(report);
  expect(page).toContain("| ratio | 3 | ≥ 2 | ≥ 4 | yes |");
  expect(page).toContain("| bf16 | – | ≥ 1 | – | not measured |");
  expect(page).toContain("| other | 7 |");
  expect(page).toContain("- heirloom: `node --model model`");
  expect(JSON.stringify(report)).not.toContain("/somewhere");
});
