import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { interrupt, losses, results, TinyWorkshop } from "./fixtures/tiny-run.ts";

type Values = Readonly<Record<string, unknown>>;
let workshop: TinyWorkshop;

beforeAll(async () => {
  workshop = await TinyWorkshop.open();
});
afterAll(() => workshop.close());

const CASES: readonly (readonly [string, Values, number])[] = [
  ["an adapter with full copies, in its warm-up", { training: { warmupSteps: 2 } }, 1],
  [
    "dropout, packing, accumulation and bf16 copies, between two epochs",
    {
      adapter: { dropout: 0.2, fullCopyDtype: "bf16" },
      training: { batchSize: 1, accumulation: 2, weightDecay: 0.01 },
      data: { maxLength: 32 },
    },
    2,
  ],
  [
    "unpacked batches and recomputation",
    { data: { packing: false }, training: { batchSize: 5, accumulation: 2 }, engine: { activations: "recompute" } },
    3,
  ],
  ["all weights of the base", { quantization: "none", fullParameter: true, adapter: "none", training: { groups: [] } }, 2],
];

describe("a resumed run", () => {
  test.each(CASES)("ends in the same bytes as one that was never interrupted: %s", async (_what, values, step) => {
    const whole = await workshop.train(values);
    const first = await interrupt(workshop, values, step);
    const rest = await workshop.resume(first.checkpoint);
    expect([...first.losses, ...losses(rest.events)]).toEqual(losses(whole.events));
    expect(rest.result.tokens).toBe(whole.result.tokens);
    expect(results(rest)).toEqual(results(whole));
  });
});
