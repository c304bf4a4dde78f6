import { formatBytes, HeirloomError } from "../core/index.ts";
import { availableMemory, kvCacheBytes } from "../engine/index.ts";
import type { ModelSpec } from "../model/index.ts";
import { mostSlots } from "./most-slots.ts";

/** Of the machine's memory, for keys and values: weights and the rest of the machine need the other half. */
const DEFAULT_SHARE = 0.5;
/** A context that is cut to fit in memory is not cut below this: shorter ones hold no conversation. */
const LEAST_CONTEXT = 512;

/** What an engine holds beside its weights. */
export interface CachePlan {
  readonly contextLength: number;
  readonly bytes: number;
  /** What was decided on the way, for people to read. */
  readonly notes: readonly string[];
}

/**
 * How long contexts are, and what all of them take: known before anything is allocated. A context that was not asked for is
 * cut to what fits, and a note says so.
 *
 * @throws CACHE_TOO_LARGE if what was asked for does not fit, CONFIG_INVALID if the model has no such positions
 */
export function planCache(
  spec: ModelSpec,
  asked: { readonly slots: number; readonly models: number; readonly contextLength?: number; readonly memoryLimit?: number },
): CachePlan {
  const limit = asked.memoryLimit ?? Math.floor(DEFAULT_SHARE * availableMemory());
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
  const bytes = kvCacheBytes(spec, slots, wanted);
  if (bytes <= limit) return { contextLength: wanted, bytes, notes: [] };
  const fitting = Math.floor(limit / kvCacheBytes(spec, slots, 1));
  if (asked.contextLength !== undefined || fitting < Math.min(LEAST_CONTEXT, spec.maxPositions)) {
    throw new HeirloomError(
      "CACHE_TOO_LARGE",
      `keys and values of ${asked.slots} slots of ${wanted} tokens take ${formatBytes(bytes)}, and may take ${formatBytes(limit)}`,
      { where: "contextLength", hint: `take fewer slots, or a context of at most ${fitting} tokens`, details: { bytes, limit, fitting } },
    );
  }
  return {
    contextLength: fitting,
    bytes: kvCacheBytes(spec, slots, fitting),
    notes: [`the context is cut from ${wanted} to ${fitting} tokens, so that ${asked.slots} of them fit into ${formatBytes(limit)}`],
  };
}
