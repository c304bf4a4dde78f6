import { expect, it } from "vitest";
import { runJob } from "../../core/node/index.ts";
import { job } from "./fixtures/run-job.ts";

it("computes in a worker thread, which ends cleanly with its session open, and in the next one stops between two runs", async () => {
  const runs: number[] = [];
  expect(await runJob(job, { runs: 4 }, { onEvent: ({ run }) => runs.push(run) })).toEqual([16, 32, 48]);
  expect(runs).toEqual([1, 2, 3, 4]);

  const controller = new AbortController();
  const stopped = await runJob(job, { runs: 1_000_000 }, { onEvent: () => controller.abort(), signal: controller.signal });
  expect(stopped[0]).toBeGreaterThanOrEqual(2);
});
