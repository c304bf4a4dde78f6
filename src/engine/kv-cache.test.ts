import { describe, expect, test } from "vitest";
import { openEngine, tinyExamples } from "./fixtures/tiny-engine.ts";
import { TINY_VOCAB } from "./fixtures/tiny-model.ts";
import { KvCache } from "./kv-cache.ts";

/** 2 layers of 2 key heads of 2: small enough to read. */
async function openCache(maxLength = 512): Promise<KvCache> {
  const { model } = await openEngine();
  const { spec } = model;
  await model.dispose();
  return new KvCache({ ...spec, layerCount: 2, kvHeadCount: 2, headDim: 2 }, maxLength);
}

function fill(cache: KvCache, slot: number, value: number, count: number): void {
  const rows = new Float32Array(2 * count * 2).fill(value);
  for (let layer = 0; layer < 2; layer++) cache.append(layer, rows, rows, { slot, row: 0, sequence: count, count });
  cache.commit(slot, count);
}

/** The values that a slot holds in its first rows, of both layers and heads. */
function held(cache: KvCache, slot: number, count: number): number[] {
  const found: number[] = [];
  for (let layer = 0; layer < 2; layer++) {
    const { k, v } = cache.view(layer, slot, 1);
    for (const array of [k, v])
      for (let head = 0; head < 2; head++) found.push(...array.subarray(head * cache.length * 2, (head * cache.length + count) * 2));
  }
  return found;
}

/** Runs with the allocation of floats number `failing` (from 0) refused, as when memory is short. */
function withFailingAllocation(failing: number, run: () => void): void {
  const real = globalThis.Float32Array;
  let seen = 0;
  globalThis.Float32Array = new Proxy(real, {
    construct(target, args, newTarget) {
      if (seen++ === failing) throw new RangeError("Array buffer allocation failed");
      return Reflect.construct(target, args, newTarget === globalThis.Float32Array ? target : newTarget) as Float32Array;
    },
  });
  try {
    run();
  } finally {
    globalThis.Float32Array = real;
  }
}

describe("a cache of keys and values", () => {
  test.each([0, 1, 2, 3])("stays as it was when it cannot grow: allocation %i fails", async (failing) => {
    const cache = await openCache();
    cache.add();
    cache.add();
    fill(cache, 0, 3, 5);
    fill(cache, 1, 4, 7);
    const { bytes } = cache;
    expect(() => withFailingAllocation(failing, () => void cache.add())).toThrow(RangeError);
    expect(() => withFailingAllocation(failing, () => void cache.reserve(0, 200))).toThrow(RangeError);
    expect([cache.streams, cache.length, cache.bytes]).toEqual([2, 128, bytes]);
    for (const [slot, value, count] of [[0, 3, 5] as const, [1, 4, 7] as const])
      expect(new Set(held(cache, slot, count))).toEqual(new Set([value]));
    expect(cache.add()).toBe(2);
    expect(new Set(held(cache, 1, 7))).toEqual(new Set([4]));
  });

  test("gives back slots that nobody uses and keeps what the others hold", async () => {
    const cache = await openCache();
    for (let slot = 0; slot < 8; slot++) cache.add();
    for (let slot = 0; slot < 8; slot++) fill(cache, slot, slot + 1, 4);
    const { bytes } = cache;
    for (const slot of [0, 0, 0, 0, 0]) cache.remove(slot);
    expect(cache.isFull).toBe(false);
    const before = [0, 1, 2].map((slot) => held(cache, slot, 4));
    expect(cache.trim()).toBe(true);
    expect(cache.bytes).toBe(bytes / 2);
    expect([0, 1, 2].map((slot) => held(cache, slot, 4))).toEqual(before);
    expect(cache.trim()).toBe(false);
  });

  test("holds nothing of a stream that has left or was cut, not even rows that were never committed", async () => {
    const cache = await openCache();
    cache.add();
    cache.add();
    fill(cache, 0, 1, 3);
    fill(cache, 1, 2, 3);
    const broken = new Float32Array(4 * 2 * 2).fill(Number.NaN);
    cache.append(0, broken, broken, { slot: 0, row: 0, sequence: 4, count: 4 });
    cache.remove(0);
    expect(new Set(held(cache, 0, 3))).toEqual(new Set([2]));
    expect(cache.add()).toBe(1);
    expect(new Set(held(cache, 1, 20))).toEqual(new Set([0]));
    fill(cache, 1, Number.NaN, 6);
    cache.truncate(1, 0);
    expect(new Set(held(cache, 1, 20))).toEqual(new Set([0]));
  });
});

test("a stream that overflowed leaves nothing to the next one in its slot", async () => {
  const { model } = await openEngine();
  const ids = Array.from(tinyExamples([12], 7)[0]?.inputIds ?? []);
  const fresh = model.decoder(128);
  const expected = (await fresh.extend(fresh.open(), ids))?.slice();
  const decoder = model.decoder(128);
  const other = decoder.open();
  await decoder.extend(other, ids);
  const damaged = decoder.open();
  const norm = model.weights.base.values("model.layers.0.input_layernorm.weight");
  const kept = norm.slice();
  norm.fill(Number.NaN);
  await decoder.extend(damaged, ids).catch(() => null);
  norm.set(kept);
  decoder.close(damaged);
  const logits = await decoder.extend(decoder.open(), ids);
  expect(logits?.length).toBe(TINY_VOCAB);
  expect(logits?.slice()).toEqual(expected);
  await model.dispose();
});
