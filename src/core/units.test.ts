import { expect, it } from "vitest";
import { formatCount } from "./units.ts";

it("groups the digits of a count by three, as PEFT prints it", () => {
  const counts = [0, 7, 999, 1_000, 167_772_160, 9_164_820_480, -1, -999, -1_000, -123_456, 2 ** 53, 1234.5, 0.49];
  expect(counts.map(formatCount)).toEqual(counts.map((count) => count.toLocaleString("en-US", { maximumFractionDigits: 0 })));
});
