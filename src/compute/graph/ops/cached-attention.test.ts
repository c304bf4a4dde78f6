import { describe, expect, test } from "vitest";
import { RandomStream } from "../../../core/index.ts";
import { evaluateReference } from "../../reference/index.ts";
import { attention, cachedAttention, elementCount, graph, input } from "../index.ts";

const [BATCH, HEADS, KV_HEADS, WIDTH] = [1, 4, 2, 4];
/** float64 sums of a few terms of order 1 in another order. */
const TOLERANCE = 1e-12;

function random(name: string, shape: readonly number[]): { shape: readonly number[]; data: number[] } {
  const stream = new RandomStream(5, name);
  return { shape, data: Array.from({ length: elementCount(shape) }, () => stream.nextNormal()) };
}

/** Positions `from` to `to` of heads [1,H,L,d]. */
function rows(x: { shape: readonly number[]; data: readonly number[] }, from: number, to: number) {
  const [batch, heads, length, width] = x.shape as [number, number, number, number];
  const data = x.data.filter((_, i) => {
    const position = Math.floor(i / width) % length;
    return position >= from && position < to;
  });
  return { shape: [batch, heads, to - from, width], data };
}

describe("cached attention", () => {
  test.each([
    [0, null],
    [1, null],
    [5, null],
    [6, null],
    [5, 3],
    [6, 1],
  ])("of the positions from %i on equals those of attention over the whole (window %s)", (from, window) => {
    const length = 7;
    const [q, k, v] = [
      random("q", [BATCH, HEADS, length, WIDTH]),
      random("k", [BATCH, KV_HEADS, length, WIDTH]),
      random("v", [BATCH, KV_HEADS, length, WIDTH]),
    ];
    const options = { scale: 0.5, window };
    const whole = attention(
      input("q", q.shape),
      input("k", k.shape),
      input("v", v.shape),
      input("segments", [BATCH, length], "int32"),
      options,
    );
    const expected = evaluateReference(graph({ outputs: { whole } }), {
      q,
      k,
      v,
      segments: { shape: [1, length], data: new Array(length).fill(1) },
    });

    // An empty cache is one free slot.
    const cached = Math.max(1, from);
    const feeds = {
      q: rows(q, from, length),
      k: rows(k, from, length),
      v: rows(v, from, length),
      kCache: rows(k, 0, cached),
      vCache: rows(v, 0, cached),
      positions: { shape: [1, length - from], data: Array.from({ length: length - from }, (_, i) => from + i) },
      cachePositions: { shape: [1, cached], data: from === 0 ? [-1] : Array.from({ length: from }, (_, i) => i) },
    };
    const of = (name: "k" | "v" | "kCache" | "vCache") => input(name, feeds[name].shape);
    const keys = {
      k: of("k"),
      v: of("v"),
      kCache: of("kCache"),
      vCache: of("vCache"),
      positions: input("positions", feeds.positions.shape, "int32"),
      cachePositions: input("cachePositions", feeds.cachePositions.shape, "int32"),
    };
    const part = cachedAttention(input("q", feeds.q.shape), keys, options);
    const found = evaluateReference(graph({ outputs: { part } }), feeds)["part"]?.data ?? [];
    const { data } = rows({ shape: q.shape, data: Array.from(expected["whole"]?.data ?? []) }, from, length);
    expect(found).toHaveLength(data.length);
    for (const [i, x] of data.entries()) expect(Math.abs(x - (found[i] as number))).toBeLessThan(TOLERANCE);
  });

  test("refuses a cache of other heads and positions of another length", () => {
    const x = (name: string, ...shape: number[]) => input(name, shape);
    const keys = {
      k: x("k", 1, 2, 1, 4),
      v: x("v", 1, 2, 1, 4),
      kCache: x("kCache", 1, 2, 3, 4),
      vCache: x("vCache", 1, 2, 3, 4),
      positions: input("positions", [1, 1], "int32"),
      cachePositions: input("cachePositions", [1, 3], "int32"),
    };
    const build = (changes: Partial<typeof keys>) => () =>
      cachedAttention(x("q", 1, 4, 1, 4), { ...keys, ...changes }, { scale: 1, window: null });
    expect(build({})).not.toThrow();
    expect(build({ kCache: x("kCache", 1, 4, 3, 4) })).toThrow("kCache must be [1,2,3,4]");
    expect(build({ vCache: x("vCache", 1, 2, 2, 4) })).toThrow("vCache must be [1,2,3,4]");
    expect(build({ positions: input("positions", [1, 2], "int32") })).toThrow("positions must be [1,1]");
    expect(build({ cachePositions: input("cachePositions", [1, 3]) })).toThrow("cachePositions must be int32");
  });
});
