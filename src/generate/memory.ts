import { formatBytes, HeirloomError } from "../core/index.ts";
import { kvCacheBytes, memoryBudget } from "../engine/index.ts";
import type { ModelSpec } from "../model/index.ts";
import { mostSlots } from "./most-slots.ts";

/** Of the memory that the process can have, for keys, values and runs: weights and the rest of the machine need the other half. */
const DEFAULT_SHARE = 0.5;
/** A context that is cut to fit in memory is not cut below this: shorter ones hold no conversation. */
const LEAST_CONTEXT = 512;

/** What an engine holds beside its weights. */
export interface CachePlan {
  readonly contextLength: number;
  /** Of the keys and values of all slots. */
  readonly bytes: number;
  /** What was decided on the way, for people to read. */
  readonly notes: readonly string[];
}

/** What decides a {@link CachePlan}. */
export interface CacheWish {
  readonly slots: number;
  readonly models: number;
  readonly contextLength?: number;
  /** @defaultValue half of the memory that the process can have, as far as it can be had now */
  readonly memoryLimit?: number;
  /** What runs hold besides keys and values, with contexts of so many tokens. Does not fall as they grow. */
  runBytes(contextLength: number): number;
}

/** The most tokens, below `tooMany`, for which `fits`; 0: none. */
function mostTokens(tooMany: number, fits: (tokens: number) => boolean): number {
  let [most, least] = [0, tooMany];
  while (least - most > 1) {
    const middle = (most + least) >> 1;
    if (fits(middle)) most = middle;
    else least = middle;
  }
  return most;
}

/**
 * How long contexts are, and what all of them take: known before anything is allocated, and after the weights are there. A
 * context that was not asked for is cut to what fits, and a note says so.
 *
 * @throws CACHE_TOO_LARGE if what was asked for does not fit, CONFIG_INVALID if the model has no such positions
 */
export function planCache(spec: ModelSpec, asked: CacheWish): CachePlan {
  const limit = asked.memoryLimit ?? memoryBudget(DEFAULT_SHARE);
  const slots = mostSlots(asked.slots, asked.models);
  const wanted = asked.contextLength ?? spec.maxPositions;
  if (wanted > spec.maxPositions || wanted < 1 || !Number.isInteger(wanted)) {
    throw new HeirloomError(
      "CONFIG_INVALID",
      `expected 1 to ${spec.maxPositions} tokens, the positions that the model has, found ${wanted}`,
      {
        where: "contextLength",
      },
    );
  }
  const total = (length: number): number => kvCacheBytes(spec, slots, length) + asked.runBytes(length);
  if (total(wanted) <= limit) return { contextLength: wanted, bytes: kvCacheBytes(spec, slots, wanted), notes: [] };
  const fitting = mostTokens(wanted, (length) => total(length) <= limit);
  if (asked.contextLength !== undefined || fitting < Math.min(LEAST_CONTEXT, spec.maxPositions)) {
    throw new HeirloomError(
      "CACHE_TOO_LARGE",
      `${asked.slots} slots of ${wanted} tokens take ${formatBytes(total(wanted))}, ${formatBytes(kvCacheBytes(spec, slots, wanted))} of it for keys and values, and may take ${formatBytes(limit)}`,
      {
        where: "contextLength",
        hint: `take fewer slots${fitting < 1 ? "" : `, or a context of at most ${fitting} tokens`}`,
        details: { bytes: total(wanted), limit, fitting },
      },
    );
  }
  return {
    contextLength: fitting,
    bytes: kvCacheBytes(spec, slots, fitting),
    notes: [`the context is cut from ${wanted} to ${fitting} tokens, so that ${asked.slots} of them fit into ${formatBytes(limit)}`],
  };
}
