import { describe, expect, it } from "vitest";
import { InternalError, memorySource } from "../core/index.ts";
import { countingSource, hugeSource, joined, safetensorsBytes } from "./fixtures/bytes.ts";
import { encodeSafetensors, openSafetensors, planSafetensors, readSafetensorsHeader } from "./index.ts";

const twoTensors = { a: { dtype: "F32", shape: [2, 3], data_offsets: [0, 24] }, b: { dtype: "U8", shape: [], data_offsets: [24, 25] } };
const read = (header: string | object, dataBytes: number) =>
  readSafetensorsHeader(memorySource(safetensorsBytes(header, new Uint8Array(dataBytes)), "x.safetensors"));

describe("readSafetensorsHeader", () => {
  it("reads null metadata, which MLX writes, as none", async () => {
    const header = await read({ __metadata__: null, ...twoTensors }, 25);
    expect([header.metadata, [...header.tensors.keys()]]).toEqual([{}, ["a", "b"]]);
  });

  it("gives names, dtypes, shapes, absolute offsets and metadata", async () => {
    const header = await read({ __metadata__: { format: "pt" }, ...twoTensors }, 25);
    expect(header.metadata).toEqual({ format: "pt" });
    const start = header.tensors.get("a")?.start ?? 0;
    expect([...header.tensors.values()]).toEqual([
      { name: "a", dtype: "F32", shape: [2, 3], start, end: start + 24 },
      { name: "b", dtype: "U8", shape: [], start: start + 24, end: start + 25 },
    ]);
  });

  it("reads a usual header in one request and a long one in two", async () => {
    const small = countingSource(safetensorsBytes(twoTensors, new Uint8Array(25)));
    await readSafetensorsHeader(small);
    expect(small.reads).toEqual([[0, small.size]]);
    const many = Object.fromEntries(
      Array.from({ length: 2000 }, (_, i) => [`tensor.${i}`, { dtype: "U8", shape: [1], data_offsets: [i, i + 1] }]),
    );
    const large = countingSource(safetensorsBytes(many, new Uint8Array(2000)));
    const header = await readSafetensorsHeader(large);
    expect(large.reads).toEqual([
      [0, 16_384],
      [16_384, large.size - 2000],
    ]);
    expect(header).toMatchObject({ bytesRead: large.size - 2000 });
    expect(header.tensors.size).toBe(2000);
  });

  it("accepts what the library accepts: no tensors, zero sizes, sub-byte dtypes, any order in the header", async () => {
    expect((await read("{}      ", 0)).tensors.size).toBe(0);
    expect(
      (await read({ z: { dtype: "F32", shape: [0, 7], data_offsets: [0, 0] }, a: { dtype: "F4", shape: [3, 2], data_offsets: [0, 3] } }, 3))
        .tensors.size,
    ).toBe(2);
    expect([...(await read({ b: twoTensors.b, a: twoTensors.a }, 25)).tensors.keys()]).toEqual(["a", "b"]);
  });

  const tensor = (dtype: unknown, shape: unknown, offsets: unknown) => ({ t: { dtype, shape, data_offsets: offsets } });
  it.each([
    ["an unknown dtype", tensor("F33", [1], [0, 4]), 4, /expected a dtype of .*found "F33"/],
    ["an inherited name as dtype", tensor("constructor", [1], [0, 4]), 4, /expected a dtype/],
    ["a size that is not shape times dtype", tensor("F32", [2], [0, 4]), 4, /expected 8 bytes for F32 \[2\], found data_offsets of 4/],
    ["a negative size", tensor("F32", [-1], [0, 4]), 4, /expected a shape of whole numbers/],
    ["a fractional size", tensor("F32", [1.5], [0, 6]), 6, /expected a shape of whole numbers/],
    ["a size beyond 2^53", tensor("U8", [2 ** 30, 2 ** 30], [0, 4]), 4, /expected a size in whole bytes/],
    ["an overflow hidden behind a zero", tensor("U8", [2 ** 50, 2 ** 50, 0], [0, 0]), 0, /expected a size in whole bytes/],
    ["half a byte", tensor("F4", [3], [0, 1]), 1, /expected a size in whole bytes/],
    ["too many dimensions", tensor("U8", Array(65).fill(1), [0, 1]), 1, /at most 64 dimensions/],
    ["reversed offsets", tensor("U8", [0], [4, 0]), 4, /data_offsets of -4/],
    ["one offset", tensor("U8", [4], [4]), 4, /expected two data_offsets/],
    ["a tensor that is no object", { t: 3 }, 0, /t: expected an object, found 3/],
    ["metadata that is not text", { __metadata__: { step: 3 } }, 0, /__metadata__: expected an object of strings/],
    ["an overlap", { a: tensor("U8", [4], [0, 4]).t, b: tensor("U8", [4], [2, 6]).t }, 6, /b: .*overlaps/],
    ["a hole", { a: tensor("U8", [4], [0, 4]).t, b: tensor("U8", [4], [6, 10]).t }, 10, /b: .*hole/],
    ["a hole at the start", tensor("U8", [4], [2, 6]), 6, /hole/],
    ["bytes after the last tensor", tensor("U8", [4], [0, 4]), 5, /found 1 more bytes/],
    [
      "duplicate names",
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
      1,
      /expected each key once/,
    ],
    ["NaN", '{"a":NaN}', 0, /expected a JSON value/],
    ["deep nesting", `{"a":${"[".repeat(5000)}`, 0, /at most 100 levels/],
    ["a header that is no object", '["a"]', 0, /expected the header to begin with "\{"/],
    ["a header of no bytes", "", 0, /at least 2 bytes/],
  ])("refuses %s", async (_, header, dataBytes, message) => {
    await expect(read(header, dataBytes)).rejects.toMatchObject({ code: "SAFETENSORS_INVALID", message: expect.stringMatching(message) });
  });

  it.each<[string, string | Uint8Array, RegExp]>([
    ["a web page", "<!DOCTYPE html><html>", /an HTML page/],
    ["JSON", '{"abcd":{"e": 1}, "f": 2}', /JSON text/],
    ["GGUF", "GGUF\u0003\0\0\0\0\0\0\0\0\0\0\0", /a GGUF file/],
    ["a pickle", "\u0002\0\0\0\0\0\0\0x", /something else/],
    ["a download that was never filled", new Uint8Array(100), /nothing but zeros/],
  ])("says that %s is no safetensors file", async (_, content, message) => {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    await expect(readSafetensorsHeader(memorySource(bytes))).rejects.toMatchObject({
      code: "SAFETENSORS_INVALID",
      message: expect.stringMatching(message) as unknown,
    });
  });

  it("takes a header of 640 bytes for one, though it begins like a pickle", async () => {
    const text = JSON.stringify({ ...tensor("U8", [4], [0, 4]) }).padEnd(640);
    expect((await readSafetensorsHeader(memorySource(safetensorsBytes(text, new Uint8Array(4))))).tensors.size).toBe(1);
  });

  it("reports several faults at once, each with its tensor", async () => {
    const bad = { a: { dtype: "X", shape: [], data_offsets: [0, 1] }, b: { dtype: "U8", shape: [2], data_offsets: [0, 1] }, c: 1 };
    await expect(read(bad, 1)).rejects.toMatchObject({ problems: { length: 3 } });
  });

  it("tells a file that was cut short from a malformed one", async () => {
    await expect(read(twoTensors, 20)).rejects.toMatchObject({ code: "SAFETENSORS_TRUNCATED" });
    await expect(readSafetensorsHeader(memorySource(new Uint8Array(0)))).rejects.toMatchObject({ code: "SAFETENSORS_TRUNCATED" });
  });

  it.each([2n ** 64n - 1n, 2n ** 63n, 2n ** 53n, 40_000_001n])("allocates nothing for a claimed header of %s bytes", async (length) => {
    const head = safetensorsBytes("{", new Uint8Array(0), length);
    await expect(readSafetensorsHeader(hugeSource(head, Number.MAX_SAFE_INTEGER))).rejects.toMatchObject({ code: "SAFETENSORS_INVALID" });
  });

  it("says TRUNCATED for a claimed header within the limit but beyond the file", async () => {
    await expect(readSafetensorsHeader(memorySource(safetensorsBytes("{", undefined, 39_999_999n)))).rejects.toMatchObject({
      code: "SAFETENSORS_TRUNCATED",
    });
  });

  it.each([
    ["a zip archive", "PK\u0003\u0004\u0000\u0000\u0008\u0008\u0000\u0000data"],
    ["a GGUF file", "GGUF\u0003\u0000\u0000\u0000\u0001\u0000\u0000\u0000"],
    ["an HTML page", "<!DOCTYPE html><html>"],
    ["JSON text", '{"weight_map": {}}'],
  ])("says that it found %s", async (what, text) => {
    await expect(readSafetensorsHeader(memorySource(new TextEncoder().encode(text)))).rejects.toThrow(what);
  });

  it("recognizes a Git LFS pointer in place of weights", async () => {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 52231312\n`;
    await expect(readSafetensorsHeader(memorySource(new TextEncoder().encode(pointer)))).rejects.toMatchObject({ code: "LFS_POINTER" });
  });

  it("never prints a tensor's control characters", async () => {
    await expect(read({ "\u001b[31m": { dtype: "X", shape: [], data_offsets: [0, 0] } }, 0)).rejects.toThrow(
      "\\u001b[31m: expected a dtype",
    );
  });
});

describe("openSafetensors", () => {
  it("reads only the bytes that were asked for", async () => {
    const source = countingSource(
      safetensorsBytes(
        twoTensors,
        Uint8Array.from({ length: 25 }, (_, i) => i),
      ),
    );
    const file = await openSafetensors(source);
    const start = source.size - 25;
    expect(await file.read("b")).toEqual(Uint8Array.of(24));
    expect(await file.readRange("a", 4, 8)).toEqual(Uint8Array.of(4, 5, 6, 7));
    expect(source.reads.slice(1)).toEqual([
      [start + 24, start + 25],
      [start + 4, start + 8],
    ]);
    await expect(file.readRange("a", 4, 25)).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
  });

  it("names the nearest tensor when one is missing", async () => {
    const file = await openSafetensors(
      memorySource(safetensorsBytes({ "lm_head.weight": { dtype: "U8", shape: [1], data_offsets: [0, 1] } }, new Uint8Array(1))),
    );
    await expect(file.read("lm_head.wieght")).rejects.toMatchObject({ code: "TENSOR_MISSING", hint: "the nearest name is lm_head.weight" });
  });
});

describe("encodeSafetensors", () => {
  const write = (name: string, dtype: "F32" | "BF16" | "I64" | "U8", shape: number[], bytes: Uint8Array) => ({
    name,
    dtype,
    shape,
    chunks: () => [bytes],
  });

  it("orders by dtype, then by name as Rust compares, and pads the header to 8 bytes", async () => {
    const tensors = [
      write("\u{1f600}", "U8", [1], Uint8Array.of(4)),
      write("\uffee", "U8", [1], Uint8Array.of(3)),
      write("b", "BF16", [1], Uint8Array.of(2, 2)),
      write("a", "I64", [1], new Uint8Array(8).fill(1)),
    ];
    const bytes = await joined(encodeSafetensors(tensors, { z: "1", a: "é\u007f\n" }));
    const headerLength = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
    expect(headerLength % 8).toBe(0);
    expect([...bytes.subarray(8 + headerLength)]).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4]);
    expect(new TextDecoder().decode(bytes.subarray(8, 8 + headerLength))).toMatch(
      /^\{"__metadata__":\{"z":"1","a":"é\u007f\\n"\},"a":\{"dtype":"I64","shape":\[1\],"data_offsets":\[0,8\]\},"b"/,
    );
    expect(planSafetensors(tensors, { z: "1", a: "é\u007f\n" }).bytes).toBe(bytes.byteLength);
    expect((await openSafetensors(memorySource(bytes))).tensors.size).toBe(4);
  });

  it("refuses names twice and data of the wrong size as faults of the caller", async () => {
    expect(() => encodeSafetensors([write("a", "U8", [1], Uint8Array.of(1)), write("a", "U8", [1], Uint8Array.of(1))])).toThrow(
      InternalError,
    );
    expect(() => encodeSafetensors([write("__metadata__", "U8", [1], Uint8Array.of(1))])).toThrow(InternalError);
    await expect(joined(encodeSafetensors([write("a", "F32", [2], new Uint8Array(4))]))).rejects.toThrow(
      /expected 8 bytes to write, got 4/,
    );
  });
});
