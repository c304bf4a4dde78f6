// fp32 → bf16 by stochastic rounding; the words and what is done with them are those of src/codecs/stochastic.ts.

// @ts-ignore: a decorator of AssemblyScript
@inline
function mix(x: v128): v128 {
  x = i32x4.mul(v128.xor(x, v128.shr<u32>(x, 16)), i32x4.splat(0x7feb352d));
  x = i32x4.mul(v128.xor(x, v128.shr<u32>(x, 15)), i32x4.splat(<i32>0x846ca68b));
  return v128.xor(x, v128.shr<u32>(x, 16));
}

/** Rounded bits of four values in the low halves of the lanes. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function round4(u: v128, random: v128): v128 {
  const cut = v128.shr<u32>(u, 16);
  const size = v128.and(u, i32x4.splat(0x7fffffff));
  const rounded = v128.shr<u32>(i32x4.add(u, random), 16);
  // Beyond the largest bf16 the only neighbour above is infinity.
  const overflows = i32x4.eq(v128.and(rounded, i32x4.splat(0x7fff)), i32x4.splat(0x7f80));
  const infinite = i32x4.eq(size, i32x4.splat(0x7f800000));
  const finite = v128.bitselect(cut, rounded, v128.or(overflows, infinite));
  const nan = i32x4.gt_s(size, i32x4.splat(0x7f800000));
  return v128.bitselect(i32x4.splat(0x7fc0), finite, nan);
}

/**
 * Rounds `count` values (a multiple of 8).
 *
 * @param values fp32, `out` 16 bits each
 * @param pair half of the index of the first value in its tensor, which is even
 */
export function roundToBf16(values: usize, out: usize, count: i32, key0: i32, key1: i32, pair: i32): void {
  const first = i32x4.splat(key0);
  const second = i32x4.splat(key1);
  let pairs = i32x4.add(i32x4.splat(pair), i32x4(0, 1, 2, 3));
  for (let i = 0; i < count; i += 8) {
    const words = mix(i32x4.add(mix(v128.xor(pairs, first)), second));
    const low = v128.and(words, i32x4.splat(0xffff));
    const high = v128.shr<u32>(words, 16);
    const a = round4(v128.load(values), v128.shuffle<i32>(low, high, 0, 4, 1, 5));
    const b = round4(v128.load(values, 16), v128.shuffle<i32>(low, high, 2, 6, 3, 7));
    v128.store(out, v128.shuffle<i16>(a, b, 0, 2, 4, 6, 8, 10, 12, 14));
    values += 32;
    out += 16;
    pairs = i32x4.add(pairs, i32x4.splat(4));
  }
}
