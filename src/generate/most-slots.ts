import { cacheSlots } from "../engine/index.ts";

/** Slots that are held at most: every model has a cache of its own, whose slots are a power of two. */
export function mostSlots(slots: number, models: number): number {
  let most = Array.from({ length: slots + 1 }, (_, n) => (n === 0 ? 0 : cacheSlots(n)));
  for (let model = 1; model < models; model++) {
    const others = most;
    most = Array.from({ length: slots + 1 }, (_, n) =>
      Array.from({ length: n + 1 }, (__, own) => (own === 0 ? 0 : cacheSlots(own)) + (others[n - own] as number)).reduce(
        (a, b) => Math.max(a, b),
        0,
      ),
    );
  }
  return most[slots] as number;
}
