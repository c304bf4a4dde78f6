import fc from "fast-check";
import { expect, it } from "vitest";
import { decodeToF32 } from "../../codecs/index.ts";
import { ChangeMeter } from "./tensor-change.ts";

/** The plain definition, one element at a time in fp64. */
function plainly(a: Float32Array, b: Float32Array, bitsA: Uint8Array, bitsB: Uint8Array) {
  const width = bitsA.byteLength / a.length;
  let changed = 0;
  let maxAbs = 0;
  let largest = 0;
  let notFinite = 0;
  for (const [i, x] of a.entries()) {
    const y = b[i] as number;
    if (Buffer.compare(bitsA.subarray(i * width, (i + 1) * width), bitsB.subarray(i * width, (i + 1) * width)) !== 0) changed++;
    if (Number.isNaN(x - y)) notFinite++;
    else maxAbs = Math.max(maxAbs, Math.abs(x - y));
    if (!Number.isNaN(x)) largest = Math.max(largest, Math.abs(x));
  }
  return { changed, maxAbs, largest, hasNaN: notFinite > 0 };
}

it("measures any bits as the plain definition does", () => {
  const dtype = fc.constantFrom("BF16" as const, "F16" as const, "F32" as const);
  const bytes = fc.uint8Array({ minLength: 44, maxLength: 44 });
  fc.assert(
    fc.property(dtype, bytes, bytes, fc.nat(44), (kind, left, right, equalUpTo) => {
      const a = left.slice();
      const b = right.slice();
      b.set(a.subarray(0, equalUpTo));
      const meter = new ChangeMeter(kind, kind, a.byteLength / (kind === "F32" ? 4 : 2));
      meter.add(a, b);
      const expected = plainly(decodeToF32(kind, a), decodeToF32(kind, b), a, b);
      const { changed, maxAbs, notFinite } = meter.result();
      expect({ changed, maxAbs, hasNaN: notFinite > 0 }).toEqual({
        changed: expected.changed,
        maxAbs: expected.maxAbs,
        hasNaN: expected.hasNaN,
      });
    }),
    { numRuns: 3000 },
  );
});
