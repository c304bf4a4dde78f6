// NF4 → fp32. A codebook of 16 fp32 values is read as four planes of 16 bytes, so that one byte shuffle looks up one
// byte of 16 values at once.

/** Codes in one 16-byte load. */
const CODES: i32 = 32;

/**
 * Dequantizes whole blocks: value = codebook[code] · scale of its block, one rounding.
 *
 * @param planes four times 16 bytes: byte 0 of every codebook value, then byte 1, 2 and 3
 * @param packed two codes a byte, the first in the high nibble
 * @param scales fp32, one per block
 * @param out fp32, `blocks · blockSize`
 * @param blockSize a multiple of 32
 */
export function dequantizeNf4(planes: usize, packed: usize, scales: usize, out: usize, blocks: i32, blockSize: i32): void {
  const p0 = v128.load(planes);
  const p1 = v128.load(planes, 16);
  const p2 = v128.load(planes, 32);
  const p3 = v128.load(planes, 48);
  const low = i8x16.splat(15);
  const loads = blockSize / CODES;
  for (let block = 0; block < blocks; block++) {
    const scale = f32x4.splat(load<f32>(scales));
    scales += 4;
    for (let i = 0; i < loads; i++) {
      const codes = v128.load(packed);
      packed += 16;
      const first = v128.shr<u8>(codes, 4);
      const second = v128.and(codes, low);
      const a = v128.shuffle<u8>(first, second, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const b = v128.shuffle<u8>(first, second, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      store16(a, out, scale, p0, p1, p2, p3);
      store16(b, out + 64, scale, p0, p1, p2, p3);
      out += 128;
    }
  }
}

/** Looks up 16 codes, scales them and stores 16 fp32 values. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function store16(codes: v128, out: usize, scale: v128, p0: v128, p1: v128, p2: v128, p3: v128): void {
  const b0 = v128.swizzle(p0, codes);
  const b1 = v128.swizzle(p1, codes);
  const b2 = v128.swizzle(p2, codes);
  const b3 = v128.swizzle(p3, codes);
  const low01 = v128.shuffle<u8>(b0, b1, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const high01 = v128.shuffle<u8>(b0, b1, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  const low23 = v128.shuffle<u8>(b2, b3, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const high23 = v128.shuffle<u8>(b2, b3, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  v128.store(out, f32x4.mul(v128.shuffle<u16>(low01, low23, 0, 8, 1, 9, 2, 10, 3, 11), scale));
  v128.store(out, f32x4.mul(v128.shuffle<u16>(low01, low23, 4, 12, 5, 13, 6, 14, 7, 15), scale), 16);
  v128.store(out, f32x4.mul(v128.shuffle<u16>(high01, high23, 0, 8, 1, 9, 2, 10, 3, 11), scale), 32);
  v128.store(out, f32x4.mul(v128.shuffle<u16>(high01, high23, 4, 12, 5, 13, 6, 14, 7, 15), scale), 48);
}
