import { describe, expect, it } from "vitest";
import { isHeirloomError } from "../../core/index.ts";
import { parseBanners } from "./index.ts";

const exact = (value: number) => ({ value, within: 0 });

describe("parseBanners", () => {
  it.each([
    [
      "trainable params: 1,134,559,232 || all params: 9,164,820,480 || trainable%: 12.3795",
      ["peft", exact(1134559232), exact(9164820480), { value: 12.3795, decimals: 4 }],
    ],
    ["trainable params: 167,772,160 (1.81%)", ["peft", exact(167772160), null, { value: 1.81, decimals: 2 }]],
    ["trainable params: 1,134,559,232 || trainable%: 12.38", ["peft", exact(1134559232), null, { value: 12.38, decimals: 2 }]],
    [
      "trainable params: 4194304 || all params: 6742609920 || trainable%: 0.06220594176090199",
      ["peft", exact(4194304), exact(6742609920), { value: 0.06220594176090199, decimals: 17 }],
    ],
    [
      "trainable params: 0 || all params: 9,164,820,480 || trainable%: 0.0000",
      ["peft", exact(0), exact(9164820480), { value: 0, decimals: 4 }],
    ],
    [
      ' "-____-"     Trainable parameters = 41,943,040 of 8,072,204,288 (0.52% trained)',
      ["unsloth", exact(41943040), exact(8072204288), { value: 0.52, decimals: 2 }],
    ],
    [
      "Trainable parameters = 41,943,040/8,072,204,288 (0.52% trained)",
      ["unsloth", exact(41943040), exact(8072204288), { value: 0.52, decimals: 2 }],
    ],
    ['"-____-"     Number of trainable parameters = 167,772,160', ["count", exact(167772160), null, null]],
    ["[INFO|trainer.py:2412] >>   Number of trainable parameters = 20,971,520", ["count", exact(20971520), null, null]],
    [
      "Trainable parameters: 0.042% (3.408M/8030.261M)",
      ["mlx-lm", { value: 3408000, within: 500 }, { value: 8030261000, within: 500 }, { value: 0.042, decimals: 3 }],
    ],
    ["\u001b[32mtrainable params: 1_000 || all params: 2_000\u001b[0m", ["peft", exact(1000), exact(2000), null]],
    ["167772160 9248706560", ["numbers", exact(167772160), exact(9248706560), null]],
    ["167,772,160 of 9,248,706,560 (1.81%)", ["numbers", exact(167772160), exact(9248706560), { value: 1.81, decimals: 2 }]],
    ["167,772,160, 9,248,706,560", ["numbers", exact(167772160), exact(9248706560), null]],
    ["167772160 1.81%", ["numbers", exact(167772160), null, { value: 1.81, decimals: 2 }]],
    ["41943040", ["numbers", exact(41943040), null, null]],
  ])("reads %j", (text, [form, trainable, all, percent]) => {
    expect(parseBanners(text)).toMatchObject([{ form, trainable, all, percent, line: 1 }]);
  });

  it("finds every banner of a log, with its line, whatever stands around it", () => {
    const log = [
      "2024-09-20 10:11:12 INFO loading",
      "trainable params: 1,134,559,232 || all params: 9,164,820,480 || trainable%: 12.3795",
      "  Number of trainable parameters = 1,134,559,232",
      "Non-trainable params: 8,030,261,248",
      "{'loss': 1.2345, 'epoch': 0.1}",
      "trainable params: 167,772,160 ||",
      "   all params: 9,248,706,560 || trainable%: 1.8140",
    ].join("\r\n");
    expect(parseBanners(log)).toMatchObject([
      { line: 2, trainable: exact(1134559232), all: exact(9164820480) },
      { line: 6, trainable: exact(167772160), all: exact(9248706560), percent: { value: 1.814, decimals: 4 } },
    ]);
  });

  it.each([
    ["", "no count of trainable parameters"],
    ["loss 0.5 at step 10", "no count of trainable parameters"],
    ["1.81%", "no count of trainable parameters"],
    ["trainable params: 1,67,772 || all params: 9", "expected a whole number"],
    ["trainable params: 12.5 || all params: 90", "expected a whole number"],
    ["trainable params: 99999999999999999999", "expected a whole number"],
    ["9248706560 167772160", "more is trained"],
    ["trainable params: 10 || all params: 20 || trainable%: 150.0", "at most 100 %"],
  ])("refuses %j as wrong usage and shows what it takes", (text, message) => {
    let thrown: unknown;
    try {
      parseBanners(text);
    } catch (error) {
      thrown = error;
    }
    expect(isHeirloomError(thrown) && thrown.problems[0]).toMatchObject({
      code: "USAGE",
      message: expect.stringContaining(message),
      hint: expect.any(String),
    });
  });

  it("stays quick on a long log without a banner", () => {
    const log = "trainable step 1,234 || 5.6% of ...\n".repeat(100_000);
    const start = performance.now();
    expect(() => parseBanners(log)).toThrow("no count");
    // Linear patterns take a fraction of a second on 3.6 MB; a runaway one would take hours.
    expect(performance.now() - start).toBeLessThan(5000);
  });
});
