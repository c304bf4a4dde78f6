/*
 * The 12 bytes of Q4_K and Q5_K: 8 scales and 8 minima of 6 bits. Scales 0 to 3 are the low
 * six bits of bytes 0 to 3, minima 0 to 3 those of bytes 4 to 7. Of scale and minimum 4 + j the
 * low four bits lie in byte 8 + j (scale in the low nibble), the high two in the top of byte j and 4 + j.
 */

/** Scale of one of the 8 groups of 32 values, 0 to 63. */
export function kScale(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return (bytes[at + group] as number) & 63;
  return ((bytes[at + 4 + group] as number) & 15) | (((bytes[at + group - 4] as number) >> 6) << 4);
}

/** Minimum of one of the 8 groups of 32 values, 0 to 63. */
export function kMinimum(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return (bytes[at + 4 + group] as number) & 63;
  return ((bytes[at + 4 + group] as number) >> 4) | (((bytes[at + group] as number) >> 6) << 4);
}
