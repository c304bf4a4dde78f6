import { expect, test } from "vitest";
import { failure } from "../fixtures/tiny-run.ts";
import { benchMachine } from "./index.ts";

test("measures this machine, and ends at once when it is told to stop", { timeout: 120_000 }, async () => {
  const told: string[] = [];
  const result = await benchMachine({ memoryBytes: 2 ** 34, threads: null }, { onEvent: ({ message }) => told.push(message) });
  expect(told).toHaveLength(3);
  const { gemm, rates, step, machine, copiedBytesPerSecond, models } = result;
  for (const rate of [...gemm.map(({ flopsPerSecond }) => flopsPerSecond), ...Object.values(rates), copiedBytesPerSecond])
    expect(rate).toBeGreaterThan(1e6);
  expect(["avoided", "ordinary"]).toContain(machine["outputCopy"]);
  expect(step.efficiency).toBeGreaterThan(0);
  expect(models).toHaveLength(20);

  const controller = new AbortController();
  const stopped = benchMachine({ memoryBytes: 2 ** 34, threads: null }, { signal: controller.signal, onEvent: () => controller.abort() });
  expect((await failure(stopped)).code).toBe("INTERRUPTED");
});
