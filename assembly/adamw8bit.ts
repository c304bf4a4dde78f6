// AdamW whose moments are kept in 8 bits, block by block (bitsandbytes' AdamW8bit): each block of 256 values has a scale,
// its largest magnitude, and codes into a map of 256 values from −1 (or 0) to 1.

/** Values per scale. */
const BLOCK: i32 = 256;
/** Positions in [−1, 1] at which the code is known. */
const LAST_POSITION: f32 = 65535;

/** Code of the position that a value in units of the scale rounds to. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function codeOf(value: f32, table: usize): u8 {
  const clamped = max<f32>(-1, min<f32>(1, value));
  const position = <i32>((clamped + 1) * 0.5 * LAST_POSITION + 0.5);
  return load<u8>(table + <usize>position);
}

/** Four values by their codes. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function look4(codes: usize, map: usize): v128 {
  let x = f32x4.splat(load<f32>(map + (<usize>load<u8>(codes) << 2)));
  x = f32x4.replace_lane(x, 1, load<f32>(map + (<usize>load<u8>(codes, 1) << 2)));
  x = f32x4.replace_lane(x, 2, load<f32>(map + (<usize>load<u8>(codes, 2) << 2)));
  return f32x4.replace_lane(x, 3, load<f32>(map + (<usize>load<u8>(codes, 3) << 2)));
}

/** Writes the codes of a block's values and its scale; a block of zeros has code 0. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function quantize(values: usize, count: i32, largest: f32, table: usize, codes: usize, scale: usize): void {
  store<f32>(scale, largest);
  if (largest == 0) {
    memory.fill(codes, 0, count);
    return;
  }
  const inverse: f32 = 1 / largest;
  for (let i = 0; i < count; i++) store<u8>(codes + i, codeOf(load<f32>(values + (<usize>i << 2)) * inverse, table));
}

/**
 * One update of `count` values in place; every operation is rounded to fp32. `count` is a multiple of 4 (the caller pads
 * with zeros, which change nothing).
 *
 * @param w fp32 values, `g` their gradients
 * @param codes1 codes of the first moment, with `scales1` and the signed `map1`; `codes2` … of the second, unsigned
 * @param table1 code at each of 65,536 positions for `map1`; `table2` for `map2`
 * @param temporary 2 × 256 fp32
 * @param scalars fp32: gradientScale, β₁, 1 − β₁, β₂, 1 − β₂, 1/√(1 − β₂ᵗ), ε, 1 − lr·λ, lr/(1 − β₁ᵗ)
 */
export function adamw8bit(
  w: usize,
  g: usize,
  codes1: usize,
  scales1: usize,
  map1: usize,
  table1: usize,
  codes2: usize,
  scales2: usize,
  map2: usize,
  table2: usize,
  temporary: usize,
  scalars: usize,
  count: i32,
): void {
  const gradientScale = f32x4.splat(load<f32>(scalars));
  const beta1 = f32x4.splat(load<f32>(scalars, 4));
  const rest1 = f32x4.splat(load<f32>(scalars, 8));
  const beta2 = f32x4.splat(load<f32>(scalars, 12));
  const rest2 = f32x4.splat(load<f32>(scalars, 16));
  const rootScale = f32x4.splat(load<f32>(scalars, 20));
  const epsilon = f32x4.splat(load<f32>(scalars, 24));
  const decay = f32x4.splat(load<f32>(scalars, 28));
  const size = f32x4.splat(load<f32>(scalars, 32));
  const means = temporary;
  const squares = temporary + (BLOCK << 2);
  for (let done = 0; done < count; done += BLOCK) {
    const length = min(BLOCK, count - done);
    const scale1 = f32x4.splat(load<f32>(scales1));
    const scale2 = f32x4.splat(load<f32>(scales2));
    let largest1 = f32x4.splat(0);
    let largest2 = f32x4.splat(0);
    for (let i = 0; i < length; i += 4) {
      const at = <usize>i << 2;
      const gradient = f32x4.mul(v128.load(g + at), gradientScale);
      const m = f32x4.add(f32x4.mul(f32x4.mul(look4(codes1 + i, map1), scale1), beta1), f32x4.mul(gradient, rest1));
      const v = f32x4.add(
        f32x4.mul(f32x4.mul(look4(codes2 + i, map2), scale2), beta2),
        f32x4.mul(f32x4.mul(gradient, gradient), rest2),
      );
      const divisor = f32x4.add(f32x4.mul(f32x4.sqrt(v), rootScale), epsilon);
      v128.store(w + at, f32x4.sub(f32x4.mul(v128.load(w + at), decay), f32x4.div(f32x4.mul(m, size), divisor)));
      v128.store(means + at, m);
      v128.store(squares + at, v);
      largest1 = f32x4.max(largest1, f32x4.abs(m));
      largest2 = f32x4.max(largest2, v);
    }
    quantize(means, length, largestOf(largest1), table1, codes1, scales1);
    quantize(squares, length, largestOf(largest2), table2, codes2, scales2);
    w += <usize>length << 2;
    g += <usize>length << 2;
    codes1 += length;
    codes2 += length;
    scales1 += 4;
    scales2 += 4;
  }
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function largestOf(x: v128): f32 {
  const low = max(f32x4.extract_lane(x, 0), f32x4.extract_lane(x, 1));
  return max(low, max(f32x4.extract_lane(x, 2), f32x4.extract_lane(x, 3)));
}
