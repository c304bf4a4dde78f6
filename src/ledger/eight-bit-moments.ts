import type { Role } from "./types.ts";

/** Values per scale of 8-bit moments (bitsandbytes' optimizers, block-wise). */
export const MOMENT_BLOCK = 256;
/** Tensors with fewer values keep fp32 moments (bitsandbytes' `min_8bit_size`). */
const SMALLEST = 4096;

/**
 * Whether an 8-bit optimizer keeps a tensor's moments in 8 bits. Small tensors have fp32 ones, as in bitsandbytes; and
 * so has LoRA B, which is held transposed: the blocks of its moments would not be those of its file.
 */
export function hasEightBitMoments({ role, parameters }: { readonly role: Role; readonly parameters: number }): boolean {
  return parameters >= SMALLEST && role !== "lora_B";
}
