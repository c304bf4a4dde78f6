import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BatchSource, evalBatches, planEpoch } from "./batch-source.ts";
import { countLabels, type Example, NO_LABEL } from "./example.ts";
import type { MicroBatch } from "./micro-batch.ts";
import { packFirstFit } from "./pack.ts";

const MAX_LENGTH = 40;

/** Examples whose ids tell which example and place they are: id = example × 64 + place. */
const examplesArbitrary = fc
  .array(fc.tuple(fc.integer({ min: 1, max: MAX_LENGTH }), fc.integer()), { minLength: 1, maxLength: 60 })
  .map((rows) =>
    rows.map(([length, bits], e): Example => {
      const inputIds = Int32Array.from({ length }, (_, i) => e * 64 + i);
      return {
        inputIds,
        labels: inputIds.map((id, i) => (((bits >>> (i % 32)) & 1) === 1 ? id : NO_LABEL)),
        row: e + 1,
        source: "generated",
      };
    }),
  );
const optionsArbitrary = fc.record({
  batchSize: fc.integer({ min: 1, max: 5 }),
  maxLength: fc.constant(MAX_LENGTH),
  packing: fc.boolean(),
  seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  padId: fc.constant(-7),
});

/** What a batch holds, read back from its arrays alone. */
function readBack({ batch, sequence, inputIds, labels, positions, segments }: MicroBatch): { ids: number[]; labels: number[] }[] {
  const found: { ids: number[]; labels: number[] }[] = [];
  for (let r = 0; r < batch; r++) {
    for (let s = 0; s < sequence; s++) {
      const at = r * sequence + s;
      if (segments[at] === 0) {
        expect([inputIds[at], labels[at], positions[at]]).toEqual([-7, NO_LABEL, 0]);
        continue;
      }
      const starts = s === 0 || segments[at] !== segments[at - 1];
      if (starts) {
        expect(positions[at]).toBe(0);
        expect(labels[at]).toBe(NO_LABEL);
        expect(segments[at]).toBe(s === 0 ? 1 : (segments[at - 1] as number) + 1);
        found.push({ ids: [], labels: [] });
      } else expect(positions[at]).toBe((positions[at - 1] as number) + 1);
      found.at(-1)?.ids.push(inputIds[at] as number);
      found.at(-1)?.labels.push(labels[at] as number);
    }
  }
  return found;
}

function takeEpoch(source: BatchSource): MicroBatch[] {
  const { epoch } = source.position;
  return Array.from({ length: source.batchCount(epoch) }, () => source.next());
}

function expectEachExampleOnce(batches: readonly MicroBatch[], examples: readonly Example[]): void {
  const found = batches.flatMap(readBack);
  expect(found.length).toBe(examples.length);
  for (const { ids, labels } of found) {
    const example = examples[(ids[0] as number) >> 6] as Example;
    expect(ids).toEqual(Array.from(example.inputIds));
    expect(labels.slice(1)).toEqual(Array.from(example.labels.subarray(1)));
  }
  expect(new Set(found.map(({ ids }) => ids[0])).size).toBe(examples.length);
}

describe("a batch source", () => {
  test("gives every example exactly once an epoch, whole, with its labels, in its own segment", () => {
    fc.assert(
      fc.property(examplesArbitrary, optionsArbitrary, (examples, options) => {
        const source = new BatchSource(examples, options);
        for (let epoch = 0; epoch < 2; epoch++) {
          expect(source.position).toEqual({ epoch, index: 0 });
          expectEachExampleOnce(takeEpoch(source), examples);
        }
        expectEachExampleOnce(evalBatches(examples, options), examples);
      }),
    );
  });

  test("counts tokens without padding, and labels after the shift", () => {
    fc.assert(
      fc.property(examplesArbitrary, optionsArbitrary, (examples, options) => {
        const batches = takeEpoch(new BatchSource(examples, options));
        const total = (pick: (batch: MicroBatch) => number): number => batches.reduce((sum, batch) => sum + pick(batch), 0);
        expect(total((batch) => batch.tokenCount)).toBe(examples.reduce((sum, { inputIds }) => sum + inputIds.length, 0));
        expect(total((batch) => batch.labelTokenCount)).toBe(examples.reduce((sum, { labels }) => sum + countLabels(labels), 0));
        for (const batch of batches) {
          expect(batch.tokenCount).toBe(batch.segments.filter((segment) => segment > 0).length);
          expect(batch.labelTokenCount).toBe(batch.labels.filter((label) => label !== NO_LABEL).length);
        }
      }),
    );
  });

  test("fills batches up to the last, and knows few sequence lengths", () => {
    fc.assert(
      fc.property(examplesArbitrary, optionsArbitrary, (examples, options) => {
        const batches = takeEpoch(new BatchSource(examples, options));
        expect(batches.slice(0, -1).every(({ batch }) => batch === options.batchSize)).toBe(true);
        for (const { sequence } of batches) expect([16, 24, 40]).toContain(sequence);
      }),
    );
  });

  test("goes on from any position as if it had never stopped", () => {
    fc.assert(
      fc.property(examplesArbitrary, optionsArbitrary, fc.nat(200), (examples, options, steps) => {
        const whole = new BatchSource(examples, options);
        for (let i = 0; i < steps; i++) whole.next();
        const resumed = new BatchSource(examples, options);
        resumed.position = structuredClone(whole.position);
        for (let i = 0; i < 5; i++) {
          expect(resumed.next()).toEqual(whole.next());
          expect(resumed.position).toEqual(whole.position);
        }
      }),
      { numRuns: 50 },
    );
  });

  test("gives the rows of weighted sources as often as they say, to one, and goes on exactly", () => {
    const weights = fc.array(fc.constantFrom(0.25, 0.5, 1, 1.5, 2, 3.3), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(examplesArbitrary, optionsArbitrary, weights, fc.nat(60), (examples, options, given, steps) => {
        const size = Math.ceil(examples.length / given.length);
        const parts = given
          .map((weight, p) => ({ start: p * size, count: Math.max(0, Math.min(size, examples.length - p * size)), weight }))
          .filter(({ count }) => count > 0);
        fc.pre(parts.some(({ count, weight }) => count * weight >= 1));
        const seen = new Float64Array(examples.length);
        for (let epoch = 0; epoch < 4; epoch++)
          for (const index of planEpoch(examples, { ...options, parts }, epoch).flat(2)) seen[index] = (seen[index] as number) + 1;
        for (const { start, count, weight } of parts)
          for (let i = start; i < start + count; i++) expect(Math.abs((seen[i] as number) - 4 * weight)).toBeLessThanOrEqual(1);
        const whole = new BatchSource(examples, { ...options, parts });
        for (let i = 0; i < steps; i++) whole.next();
        const resumed = new BatchSource(examples, { ...options, parts });
        resumed.position = structuredClone(whole.position);
        for (let i = 0; i < 4; i++) expect(resumed.next()).toEqual(whole.next());
      }),
      { numRuns: 60 },
    );
  });

  test("is the same with all weights at 1 as without any", () => {
    fc.assert(
      fc.property(examplesArbitrary, optionsArbitrary, fc.nat(3), (examples, options, epoch) => {
        const half = Math.floor(examples.length / 2);
        const parts = [
          { start: 0, count: half, weight: 1 },
          { start: half, count: examples.length - half, weight: 1 },
        ];
        expect(planEpoch(examples, { ...options, parts }, epoch)).toEqual(planEpoch(examples, options, epoch));
      }),
    );
  });

  test("depends on seed and epoch, and on nothing else", () => {
    const examples = Array.from(
      { length: 64 },
      (_, e): Example => ({ inputIds: Int32Array.of(e * 64, e * 64 + 1), labels: Int32Array.of(e, e), row: e, source: "x" }),
    );
    const options = { batchSize: 4, maxLength: MAX_LENGTH, packing: true, seed: 1 };
    expect(planEpoch(examples, options, 0)).toEqual(planEpoch(examples, options, 0));
    expect(planEpoch(examples, options, 0)).not.toEqual(planEpoch(examples, options, 1));
    expect(planEpoch(examples, options, 0)).not.toEqual(planEpoch(examples, { ...options, seed: 2 }, 0));
  });

  test("refuses a position that the data do not have", () => {
    const source = new BatchSource([{ inputIds: Int32Array.of(1, 2), labels: Int32Array.of(1, 2), row: 1, source: "x" }], {
      batchSize: 1,
      maxLength: 8,
      packing: false,
      seed: 0,
    });
    for (const position of [
      { epoch: 0, index: 2 },
      { epoch: -1, index: 0 },
      { epoch: 0, index: 0.5 },
    ]) {
      expect(() => {
        source.position = position;
      }).toThrow(expect.objectContaining({ code: "CHECKPOINT_INVALID" }));
    }
    source.position = { epoch: 3, index: 1 };
    expect(source.position).toEqual({ epoch: 4, index: 0 });
  });

  test("refuses weights that leave an epoch without a row", () => {
    const examples = [{ inputIds: Int32Array.of(1, 2), labels: Int32Array.of(1, 2), row: 1, source: "x" }];
    const options = { batchSize: 1, maxLength: 8, packing: false, seed: 0, parts: [{ start: 0, count: 1, weight: 0.5 }] };
    expect(() => new BatchSource(examples, options)).toThrow(expect.objectContaining({ code: "DATA_EMPTY" }));
  });

  test("refuses to start without examples", () => {
    expect(() => new BatchSource([], { batchSize: 1, maxLength: 8, packing: true, seed: 0 })).toThrow(
      expect.objectContaining({ code: "DATA_EMPTY" }),
    );
  });
});

describe("first-fit packing", () => {
  test("equals the plain search for the first row with room, and never exceeds a row", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 120 }), (lengths) => {
        const free: number[] = [];
        const expected: number[][] = [];
        for (const [item, length] of lengths.entries()) {
          let row = free.findIndex((room) => room >= length);
          if (row === -1) {
            row = free.length;
            free.push(30);
            expected.push([]);
          }
          free[row] = (free[row] as number) - length;
          (expected[row] as number[]).push(item);
        }
        const packed = packFirstFit(
          lengths.map((_, i) => i),
          lengths,
          30,
        );
        expect(packed).toEqual(expected);
        for (const row of packed) expect(row.reduce((sum, item) => sum + (lengths[item] as number), 0)).toBeLessThanOrEqual(30);
      }),
    );
  });

  test("refuses an item that is longer than a row", () => {
    expect(() => packFirstFit([0], [31], 30)).toThrow(/internal error/);
  });
});
