import { describe, expect, it } from "vitest";
import { memorySource } from "../core/index.ts";
import { type JsonlRow, readJsonl } from "./index.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

async function rows(source: Parameters<typeof readJsonl>[0]): Promise<JsonlRow[]> {
  const all: JsonlRow[] = [];
  for await (const row of readJsonl(source, "train.jsonl")) all.push(row);
  return all;
}

describe("readJsonl", () => {
  it("numbers rows as lines of the file, and passes over blank ones", async () => {
    expect(await rows(memorySource(bytes('\ufeff{"a":1}\r\n\n  \n{"a":2}')))).toEqual([
      { row: 1, value: { a: 1 } },
      { row: 4, value: { a: 2 } },
    ]);
  });

  it("gives the same rows however the bytes are cut, within characters too", async () => {
    const text = bytes('{"t":"é漢😀"}\n{"t":"x"}\n[]\n');
    const whole = await rows([text]);
    expect(whole).toHaveLength(3);
    for (let size = 1; size <= text.byteLength; size++) {
      const chunks = Array.from({ length: Math.ceil(text.byteLength / size) }, (_, i) => text.subarray(i * size, (i + 1) * size));
      expect(await rows(chunks)).toEqual(whole);
    }
  });

  it("leaves a chunk's memory to its owner", async () => {
    const buffer = new Uint8Array(4);
    function* reused(): Generator<Uint8Array> {
      for (const part of ['{"a"', ":12,", '"b":', "3}\n "]) {
        buffer.set(bytes(part));
        yield buffer;
      }
    }
    expect(await rows(reused())).toEqual([{ row: 1, value: { a: 12, b: 3 } }]);
  });

  it("collects faulty rows and throws once, with row and column", async () => {
    const seen: number[] = [];
    const read = async (): Promise<void> => {
      for await (const { row } of readJsonl([bytes('{"a":1}\n{"a":}\n{"a":2}\n"\u0007"\n')], "train.jsonl")) seen.push(row);
    };
    await expect(read()).rejects.toMatchObject({
      code: "JSONL_INVALID",
      problems: [
        {
          where: "train.jsonl",
          message: 'row 2: column 6: expected a JSON value, found "}"',
          hint: expect.stringContaining("2 faulty rows"),
          details: { faultyRows: 2, stopped: false },
        },
        { message: expect.stringContaining("row 4: column 2") },
      ],
    });
    expect(seen).toEqual([1, 3]);
  });

  it("stops at twenty faulty rows", async () => {
    await expect(rows([bytes("x\n".repeat(1000))])).rejects.toMatchObject({ problems: { length: 20 }, details: { stopped: true } });
  });

  it("refuses bytes that are not UTF-8 by row", async () => {
    await expect(rows([Uint8Array.of(0x31, 0x0a, 0xff, 0x0a)])).rejects.toThrow("row 2: expected UTF-8 text");
  });

  it("recognizes a Git LFS pointer", async () => {
    await expect(rows([bytes(`version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 1\n`)])).rejects.toMatchObject(
      { code: "LFS_POINTER" },
    );
  });

  it("refuses a row beyond 64 MiB without holding the rest of the file", async () => {
    let given = 0;
    function* endless(): Generator<Uint8Array> {
      const chunk = new Uint8Array(8 * 1024 * 1024).fill(0x20);
      for (;;) {
        given++;
        yield chunk;
      }
    }
    await expect(rows(endless())).rejects.toThrow(/row 1: expected at most 67108864 bytes/);
    expect(given).toBe(9);
  });
});
