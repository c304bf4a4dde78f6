import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { alphaFor } from "./alpha.ts";
import { transposeBytes } from "./transpose.ts";

describe("conversion", () => {
  test("transposes twice to the same bytes, for 2 and 4 bytes an element", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom(2, 4),
        fc.infiniteStream(fc.nat(255)),
        (rows, columns, width, stream) => {
          const bytes = Uint8Array.from({ length: rows * columns * width }, () => stream.next().value as number);
          expect(transposeBytes(transposeBytes(bytes, rows, columns), columns, rows)).toEqual(bytes);
        },
      ),
    );
  });

  test("finds an alpha whose quotient by the rank is the scale, for every scale that came from an alpha", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 512 }), fc.double({ min: 1e-6, max: 1e6, noNaN: true }), fc.boolean(), (rank, alpha, isRs) => {
        const scale = isRs ? alpha / Math.sqrt(rank) : alpha / rank;
        // rsLoRA's scale need not be a quotient of any number by the rank: then the nearest, within a unit in the last place.
        const found = alphaFor(scale, rank) / rank;
        if (isRs) expect(Math.abs(found - scale)).toBeLessThanOrEqual(scale * 2 ** -52);
        else expect(found).toBe(scale);
      }),
    );
  });
});
