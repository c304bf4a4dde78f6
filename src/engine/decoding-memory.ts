import type { ModelSpec } from "../model/index.ts";
import { cacheSlots } from "./kv-cache.ts";

/** Most rows of a prompt in one run: beyond some hundred, larger products are no faster, and other streams wait meanwhile. */
export const PREFILL_ROWS = 256;
/** Shorter rests of a prompt are padded to a power of two from here. */
export const SMALLEST_PREFILL = 8;
/** Most that the scores of one run over a prompt's rows may take. With 32 heads, rows are halved from a cache of 8,192 positions on. */
const MAX_SCORE_BYTES = 512 * 2 ** 20;
/** Scores with their masks added, and their softmax, beside the scores themselves. */
const COPIES_OF_SCORES = 3;

/** Bytes of the attention's scores, in fp32: `rows` rows of each of `batch` streams against caches of `cache` positions and themselves. */
function scoreBytes(spec: ModelSpec, batch: number, rows: number, cache: number): number {
  return COPIES_OF_SCORES * 4 * batch * spec.headCount * rows * (cache + rows);
}

/** Rows of a prompt that one run reads with a cache of `cache` positions: {@link PREFILL_ROWS}, fewer where their scores would be too large. */
export function prefillRows(spec: ModelSpec, cache: number): number {
  let rows = PREFILL_ROWS;
  while (rows > SMALLEST_PREFILL && scoreBytes(spec, 1, rows, cache) > MAX_SCORE_BYTES) rows /= 2;
  return rows;
}

/** Bytes of scores that the largest run takes: of a prompt's rows, or of a step of `slots` streams, with contexts of up to `tokens`. */
export function decodingRunBytes(spec: ModelSpec, slots: number, tokens: number): number {
  // Rows are halved before they take more than the most, unless the fewest do.
  const prompt = Math.min(scoreBytes(spec, 1, PREFILL_ROWS, tokens), MAX_SCORE_BYTES);
  return Math.max(prompt, scoreBytes(spec, 1, SMALLEST_PREFILL, tokens), scoreBytes(spec, cacheSlots(slots), 1, tokens));
}
