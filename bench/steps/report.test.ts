import { expect, it } from "vitest";
import { measureProcess, observeProcess } from "./measured-process.ts";
import { peakOf, spread } from "./report.ts";

const node = (script: string) => measureProcess([process.execPath, "-e", script]);

it("takes the middle value of an odd count and the mean of the two middle ones of an even count", () => {
  expect(spread([9, 1, 5])).toEqual({ median: 5, min: 1, max: 9, each: [9, 1, 5] });
  expect(spread([4, 1, 2, 9]).median).toBe(3);
});

it("takes the larger of a process's own peak and the kernel's", () => {
  const result = { othersCores: null, wallSeconds: 1, output: {} };
  expect(peakOf({ ...result, peakRssMib: 100, observedPeakRssMib: 120 })).toBe(120);
  expect(peakOf({ ...result, peakRssMib: 150, observedPeakRssMib: null })).toBe(150);
});

it("reads the JSON at the end of what a process prints, over several lines too", async () => {
  const measured = await node(
    'console.log("loading {");console.log(JSON.stringify({tokens_per_s:{real_tokens:7,all_positions:9},peak_rss_mib:5,versions:{a:1}},null,2))',
  );
  expect(measured).toMatchObject({ tokensPerSecond: 7, peakRssMib: 5, output: { versions: { a: 1 } } });
});

it("refuses a process that fails, prints no JSON or states no rate", async () => {
  await expect(node("process.exit(3)")).rejects.toThrow(/ended with 3/);
  await expect(node('console.log("done")')).rejects.toThrow(/expected a JSON object/);
  await expect(node("console.log('{\"peak_rss_mib\":5}')")).rejects.toThrow(/tokens_per_s/);
});

it("observes a process that states no rate", async () => {
  const observed = await observeProcess([process.execPath, "-e", "console.log('{\"seconds\":2}')"]);
  expect(observed.output).toEqual({ seconds: 2 });
});
