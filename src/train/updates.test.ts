import { describe, expect, test } from "vitest";
import { BatchSource, type Example } from "../data/index.ts";
import { countUpdates, positionAfter, takeUpdate } from "./updates.ts";

function source(examples: number, options: { batchSize?: number; packing?: boolean } = {}): BatchSource {
  const rows: Example[] = Array.from({ length: examples }, (_, row) => {
    const inputIds = new Int32Array(3 + (row % 5)).fill(1 + row);
    return { inputIds, labels: inputIds.slice(), row: row + 1, source: "test" };
  });
  return new BatchSource(rows, { batchSize: options.batchSize ?? 1, maxLength: 8, packing: options.packing ?? false, seed: 3 });
}

describe("an update's micro-batches", () => {
  test("never cross the end of an epoch: its last update takes what is left", () => {
    const batches = source(7);
    const sizes = Array.from({ length: 6 }, () => takeUpdate(batches, 3).length);
    expect(sizes).toEqual([3, 3, 1, 3, 3, 1]);
    expect(batches.position).toEqual({ epoch: 2, index: 0 });
  });

  test.each([
    [7, 3, {}],
    [8, 2, {}],
    [11, 2, { batchSize: 2, packing: true }],
  ])("leave the data where they are found without making them: %i examples, %i accumulated", (examples, accumulation, options) => {
    const batches = source(examples, options);
    for (let updates = 0; updates < 12; updates++) {
      expect(positionAfter(source(examples, options), updates, accumulation)).toEqual(batches.position);
      takeUpdate(batches, accumulation);
    }
  });

  test("hold every example of an epoch exactly once", () => {
    const batches = source(11, { batchSize: 2, packing: true });
    const seen: number[] = [];
    for (let update = countUpdates(batches, { steps: null, epochs: 1, accumulation: 2 }); update > 0; update--)
      for (const batch of takeUpdate(batches, 2)) seen.push(...batch.examples.flat());
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 11 }, (_, i) => i));
  });
});

describe("the updates of a run", () => {
  test("are the steps given, whatever the data", () => {
    expect(countUpdates(source(7), { steps: 40, epochs: null, accumulation: 3 })).toBe(40);
  });

  test("are those of every epoch, counted with packing as it falls", () => {
    const batches = source(23, { packing: true });
    const counted = countUpdates(batches, { steps: null, epochs: 3, accumulation: 4 });
    let made = 0;
    while (batches.position.epoch < 3) {
      takeUpdate(batches, 4);
      made++;
    }
    expect(counted).toBe(made);
  });

  test("of a part of an epoch are rounded up, but not for a fraction that only floating point has", () => {
    const count = (epochs: number) => countUpdates(source(10), { steps: null, epochs, accumulation: 1 });
    expect(count(0.25)).toBe(3);
    expect(count(0.5)).toBe(5);
    // 1.1 − 1 is 0.10000000000000009; transformers' ceil(1.1 · 10) is 11.
    expect(count(1.1)).toBe(11);
    expect(count(2.3)).toBe(23);
    expect(count(1e-9)).toBe(1);
  });
});
