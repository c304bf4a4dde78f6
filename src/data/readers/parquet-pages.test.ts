import { describe, expect, test } from "vitest";
import { memorySource } from "../../core/index.ts";
import { type PageColumn, walkPages } from "./parquet-pages.ts";

/** A number as Thrift's compact protocol has it, seven bits a byte. */
function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value % 0x80) | 0x80, ...varint(Math.floor(value / 0x80))];
}
const i32 = (value: number): number[] => [0x15, ...varint(2 * value)];
const PLAIN = 0;
const DICTIONARY = 8;

/** A page of the first kind: the header, then definition levels after their length, then the values. */
function page(values: number, encoding: number, levels: readonly number[], body: readonly number[] = []): number[] {
  const content = [levels.length, 0, 0, 0, ...levels, ...body];
  return [...i32(0), ...i32(content.length), ...i32(content.length), 0x2c, ...i32(values), ...i32(encoding), 0, 0, ...content];
}

/** One of the second kind, whose levels have their lengths in the header. */
function pageV2(values: number, nulls: number, levels: readonly number[], body: readonly number[]): number[] {
  const size = levels.length + body.length;
  const counts = [values, nulls, values, DICTIONARY, levels.length, 0].flatMap(i32);
  return [...i32(3), ...i32(size), ...i32(size), 0x5c, ...counts, 0x12, 0, 0, ...levels, ...body];
}

/** So many times the same value. */
const run = (times: number, value = 1): number[] => [...varint(2 * times), value];
/** Eight values of one bit each. */
const packed = (bits: number): number[] => [3, bits];

async function walk(bytes: readonly number[], column: Partial<PageColumn> = {}): Promise<[number, number][]> {
  const own = { firstByte: 0, endByte: bytes.length, isBoolean: false, maxRepetitionLevel: 0, maxDefinitionLevel: 1 };
  return [...(await walkPages(memorySource(Uint8Array.from(bytes)), { ...own, decompress: (input) => input, ...column }))];
}

describe("the pages of a Parquet column", () => {
  test("are found with their headers, whatever their kind", async () => {
    const [first, second] = [page(3, PLAIN, run(3)), pageV2(10, 2, [...run(2, 0), ...packed(0xff)], [4, ...run(8, 5)])];
    expect(await walk([...first, ...second])).toEqual([
      [0, first.length],
      [first.length, first.length + second.length],
    ]);
  });

  test("store as many values as their levels say", async () => {
    // Five of eight are there: a run of five, and what follows it is none of the page's.
    const levels = packed(0b1011_0110);
    await walk(page(8, DICTIONARY, levels, [4, ...run(5), ...run(2 ** 27)]));
    await expect(walk(page(8, DICTIONARY, levels, [4, ...run(4), ...run(2 ** 27)]))).rejects.toThrow("found a run of 134217728");
  });

  test.each([
    ["of a run of levels", page(3, PLAIN, run(2 ** 27))],
    ["of a run of values", page(3, DICTIONARY, run(3), [4, ...run(2 ** 27)])],
    ["of a run of levels, second kind", pageV2(3, 0, run(2 ** 27), [4, ...run(3)])],
    ["of a run of values, second kind", pageV2(3, 0, run(3), [4, ...run(2 ** 27)])],
    ["of values", page(2 ** 27, PLAIN, run(3))],
    ["of nulls", pageV2(3, 4, run(3), [4, ...run(3)])],
  ])("are refused with an absurd number %s", async (_, bytes) => {
    await expect(walk(bytes)).rejects.toThrow(/found (a run of )?(134217728|4)/);
  });

  test("are refused where they end in the middle, or lie outside", async () => {
    const bytes = page(3, PLAIN, run(3));
    await expect(walk(bytes.slice(0, -1))).rejects.toThrow("bytes stored of a page");
    await expect(walk(bytes, { endByte: 1000 })).rejects.toThrow(`expected pages within ${bytes.length} bytes`);
  });
});
