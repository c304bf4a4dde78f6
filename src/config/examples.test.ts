import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { learningRateGroups, resolveConfig } from "./index.ts";

const presets = readdirSync("presets").filter((name) => name.endsWith(".yaml"));
const examples = readdirSync("examples").filter((name) => name.endsWith(".yaml"));
const given = { name: "adapter /a", values: { base: "/m" } };

describe("presets", () => {
  it.each(presets)("%s resolves when base and data are given", (name) => {
    const preset = { path: `preset ${name}`, text: readFileSync(`presets/${name}`, "utf8") };
    const flags = [
      { key: "base", value: "m", flag: "--base" },
      { key: "data.train", value: "rows.jsonl", flag: "--set data.train" },
    ];
    const { provenance } = resolveConfig({ preset, flags, folder: "/work" });
    expect(provenance["training.learningRate"]).toBe("preset");
    expect(provenance["data.train"]).toBe("flag");
  });

  it("start with the command that uses them", () => {
    for (const name of presets)
      expect(readFileSync(`presets/${name}`, "utf8")).toContain(`heirloom train --preset ${name.replace(".yaml", "")} `);
  });

  it("give the full copies of qlora-embeddings a tenth of the rate", () => {
    const preset = { path: "preset", text: readFileSync("presets/qlora-embeddings.yaml", "utf8") };
    const { config } = resolveConfig({ preset, inherited: { name: "test", values: { base: "/m", data: { train: "a" } } } });
    expect(learningRateGroups(config.training)[0]?.learningRate).toBeCloseTo(2e-5, 12);
  });
});

describe("examples", () => {
  it.each(examples)("%s resolves (what a continuation inherits aside)", (name) => {
    const file = { path: `/work/examples/${name}`, text: readFileSync(`examples/${name}`, "utf8") };
    const { config } = resolveConfig(name.startsWith("continue") ? { file, inherited: given } : { file });
    expect(config.output).toBe("/work/runs");
    expect(config.data.train[0]).toMatch(/^\/work\/assets\//);
  });
});
