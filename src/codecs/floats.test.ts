import { describe, expect, it } from "vitest";
import { bf16ToF32, decodeToF32, encodeFromF32, f16ToF32, f32ToBf16, f32ToF16, firstNotFinite } from "./index.ts";

const bits = (...words: number[]): Float32Array => new Float32Array(Uint32Array.from(words).buffer);
const all = Uint16Array.from({ length: 65_536 }, (_, i) => i);

describe("bf16", () => {
  it("survives the way to fp32 and back in all 65,536 values, NaN as NaN", () => {
    const back = f32ToBf16(bf16ToF32(all));
    const wrong = all.filter((unit) => ((unit & 0x7fff) > 0x7f80 ? back[unit] !== 0x7fc0 : back[unit] !== unit));
    expect([...wrong]).toEqual([]);
  });

  it("rounds to nearest, ties to even, and overflows to infinity", () => {
    expect([...f32ToBf16(bits(0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0x7f7fffff, 0x80000000, 0x00008001))]).toEqual([
      0x3f80, 0x3f82, 0x3f81, 0x3f80, 0x7f80, 0x8000, 0x0001,
    ]);
  });
});

describe("fp16", () => {
  it("survives the way to fp32 and back in all 65,536 values, NaN as NaN", () => {
    const back = f32ToF16(f16ToF32(all));
    const wrong = all.filter((unit) => ((unit & 0x7fff) > 0x7c00 ? back[unit] !== 0x7e00 : back[unit] !== unit));
    expect([...wrong]).toEqual([]);
  });

  it("has the values of IEEE 754 binary16", () => {
    expect([...f16ToF32(Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x7c00))]).toEqual([
      1,
      -2,
      65504,
      2 ** -14,
      2 ** -24,
      Number.POSITIVE_INFINITY,
    ]);
  });

  it("rounds to nearest, ties to even, across the subnormals and at the end", () => {
    const values = [1 + 2 ** -11, 1 + 3 * 2 ** -11, 65519.99, 65520, 2 ** -25, 2 ** -25 * 1.001, 3 * 2 ** -25, 2 ** -14 - 2 ** -26, -1e-10];
    expect([...f32ToF16(Float32Array.from(values))]).toEqual([0x3c00, 0x3c02, 0x7bff, 0x7c00, 0x0000, 0x0001, 0x0002, 0x0400, 0x8000]);
  });

  it("rounds every value between two neighbours to the nearer one", () => {
    const table = f16ToF32(all);
    const wrong: number[] = [];
    for (let unit = 0; unit < 0x7bff; unit++) {
      const [low, high] = [table[unit] as number, table[unit + 1] as number];
      const [near, far] = f32ToF16(Float32Array.of(low + (high - low) / 4, low + ((high - low) * 3) / 4));
      if (near !== unit || far !== unit + 1) wrong.push(unit);
    }
    expect(wrong).toEqual([]);
  });
});

describe("decodeToF32", () => {
  it("decodes each float dtype, at any alignment", () => {
    const values = Float32Array.of(1, -0.5, 0, 3);
    for (const dtype of ["F32", "F16", "BF16", "F64"] as const) {
      const encoded = encodeFromF32(dtype, values);
      const shifted = new Uint8Array(encoded.byteLength + 1);
      shifted.set(encoded, 1);
      expect(decodeToF32(dtype, encoded)).toEqual(values);
      expect(decodeToF32(dtype, shifted.subarray(1))).toEqual(values);
      expect(decodeToF32(dtype, Buffer.from(shifted).subarray(1))).toEqual(values);
    }
  });

  it("refuses other dtypes by name", () => {
    expect(() => decodeToF32("I64", new Uint8Array(8), "model.safetensors, x")).toThrow(
      expect.objectContaining({
        code: "TENSOR_DTYPE",
        message: "model.safetensors, x: expected a dtype of F64, F32, F16 or BF16, found I64",
      }),
    );
  });
});

it("finds the first value that is not finite", () => {
  expect(firstNotFinite(Float32Array.of(1, -3.4e38, 1e-45))).toBe(-1);
  expect(firstNotFinite(Float32Array.of(1, Number.NEGATIVE_INFINITY, Number.NaN))).toBe(1);
});
