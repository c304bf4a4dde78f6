import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NF4_CODEBOOK } from "../formats/index.ts";
import { dequantizeNf4, dequantizeNf4Blocks, type Nf4Tensor, quantizeNf4 } from "./index.ts";

/** Below 1e-38 a block's divisor is no longer its scale (see the degenerate vectors). */
const values = fc
  .float32Array({ minLength: 1, maxLength: 700, noNaN: true, min: -1000, max: 1000 })
  .map((array) => array.map((x) => (Math.abs(x) < 1e-30 ? 0 : x)));

function dequantized(tensor: Nf4Tensor, length: number): Float32Array {
  const out = new Float32Array(length);
  dequantizeNf4(tensor, out);
  return out;
}

/** Half of the widest gap between codes (−1 and −0.696). */
const HALF_GAP = (1 - 0.6961928009986877) / 2;

describe("NF4", () => {
  it("errs by at most half the widest gap times the block's scale", () => {
    fc.assert(
      fc.property(values, (input) => {
        const tensor = quantizeNf4(input);
        const output = dequantized(tensor, input.length);
        // 1e-6: the fp32 rounding of x/scale and of code*scale.
        const worst = input.reduce((most, value, i) => {
          const scale = Math.max(tensor.absmax[Math.floor(i / 64)] as number, 1e-38);
          return Math.max(most, Math.abs((output[i] as number) - value) / scale);
        }, 0);
        expect(worst).toBeLessThanOrEqual(HALF_GAP + 1e-6);
      }),
      { numRuns: 200 },
    );
  });

  it("gives the same codes for values that it gave itself", () => {
    fc.assert(
      fc.property(values, (input) => {
        const once = quantizeNf4(input);
        const again = quantizeNf4(dequantized(once, input.length));
        // A block whose largest value went to a smaller code does not exist: it is 1 or −1.
        expect(again.absmax).toEqual(once.absmax);
        expect(again.packed).toEqual(once.packed);
      }),
      { numRuns: 200 },
    );
  });

  it("takes the code of the nearest value", () => {
    fc.assert(
      fc.property(fc.float({ min: -1, max: 1, noNaN: true }), (x) => {
        const block = new Float32Array(64).fill(x);
        block[0] = 1;
        const code = (quantizeNf4(block).packed[1] as number) & 15;
        const distance = Math.abs((NF4_CODEBOOK[code] as number) - x);
        // 1e-7: the midpoints are rounded to fp32.
        expect(distance).toBeLessThanOrEqual(Math.min(...NF4_CODEBOOK.map((other) => Math.abs(other - x))) + 1e-7);
      }),
      { numRuns: 2000 },
    );
  });

  it("dequantizes alike at any alignment, whole or by blocks, and touches nothing beyond", () => {
    fc.assert(
      fc.property(values, fc.boolean(), fc.nat(12), (input, doubleQuant, first) => {
        const tensor = quantizeNf4(input, { doubleQuant });
        const whole = dequantized(tensor, input.length);
        const odd = new Float32Array(input.length + 2).fill(9).subarray(1);
        dequantizeNf4(tensor, odd);
        expect(odd.subarray(0, input.length)).toEqual(whole);
        expect(odd[input.length]).toBe(9);
        const block = first % tensor.absmax.length;
        const part = new Float32Array(input.length + 1).fill(9);
        const count = dequantizeNf4Blocks(tensor, block, 3, part);
        expect(part.subarray(0, count)).toEqual(whole.subarray(64 * block, 64 * block + count));
        expect(part[count]).toBe(9);
      }),
      { numRuns: 200 },
    );
  });

  it("refuses NaN and infinity, and says where", () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const input = new Float32Array(200);
      input[130] = bad;
      expect(() => quantizeNf4(input)).toThrow(expect.objectContaining({ code: "TENSOR_NOT_FINITE", details: { index: 130 } }));
    }
  });

  it("restores double-quantized scales within half a step of their 8 bits", () => {
    fc.assert(
      fc.property(values, (input) => {
        const plain = quantizeNf4(input).absmax;
        const { absmax, nested } = quantizeNf4(input, { doubleQuant: true });
        absmax.forEach((scale, i) => {
          // The widest gap of the 8-bit map is 0.0141 (from 0.9789 down, then 0.993 to 1: half of it on each side).
          const bound = (nested?.nestedAbsmax[Math.floor(i / 256)] ?? 0) * 0.0071 + Math.abs(nested?.offset ?? 0) * 1e-6;
          expect(Math.abs(scale - (plain[i] as number))).toBeLessThanOrEqual(bound);
        });
      }),
      { numRuns: 200 },
    );
  });
});
