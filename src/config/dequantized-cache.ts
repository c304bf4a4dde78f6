/**
 * Share of the machine's memory that `dequantizedCache: auto` lets dequantized
 * weights take; the rest is for activations, copies and optimizer state.
 */
export const DEQUANTIZED_CACHE_SHARE = 0.35;
