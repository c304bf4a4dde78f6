import { crc32 as nodeCrc32 } from "node:zlib";
import { describe, expect, it } from "vitest";
import { type ByteSource, InternalError, memorySource } from "../core/index.ts";
import { joined } from "./fixtures/torch-files.ts";
import {
  encodeTorchFile,
  isTorchTensor,
  numpyArray,
  orderedDict,
  type PickleValue,
  pyFloat,
  pyTuple,
  readTorchFile,
  type TorchFileOptions,
  torchStorage,
  torchTensor,
  torchView,
  type ValueToSave,
} from "./index.ts";
import { crc32 } from "./torch-write-crc.ts";
import { torchPickle } from "./torch-write-pickle.ts";
import { readZipDirectory, zipDataStart } from "./torch-zip.ts";

const bytesOf = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => (i * 37 + 5) & 255);
const written = (value: ValueToSave, options?: TorchFileOptions) => joined(encodeTorchFile(value, options));
const sample = (): ValueToSave =>
  new Map([
    ["step", torchTensor("F32", [], bytesOf(4))],
    ["moment", torchTensor("BF16", [3, 5], bytesOf(30))],
  ] as const);

/** Bytes too many to hold: the small chunks, with zeros where the large ones were. */
async function sparse(chunks: AsyncIterable<Uint8Array>): Promise<ByteSource> {
  const kept: { readonly start: number; readonly bytes: Uint8Array }[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    if (chunk.byteLength <= 65_536) kept.push({ start: size, bytes: chunk.slice() });
    size += chunk.byteLength;
  }
  const read = (from: number, to: number): Uint8Array => {
    const out = new Uint8Array(to - from);
    for (const { start, bytes } of kept) {
      const [first, last] = [Math.max(from, start), Math.min(to, start + bytes.byteLength)];
      if (first < last) out.set(bytes.subarray(first - start, last - start), first - from);
    }
    return out;
  };
  return { name: "sparse", size, read: (from, to) => Promise.resolve(read(from, to)) };
}

describe("a torch file's archive", () => {
  it("has torch's records in torch's order, each at a multiple of 64 bytes", async () => {
    const source = memorySource(await written(sample(), { archiveName: "optimizer" }));
    const directory = await readZipDirectory(source);
    const names = [
      "data.pkl",
      ".format_version",
      ".storage_alignment",
      "byteorder",
      "data/0",
      "data/1",
      "version",
      ".data/serialization_id",
    ];
    expect([...directory.entries.keys()]).toEqual(names.map((name) => `optimizer/${name}`));
    const texts: string[] = [];
    for (const entry of directory.entries.values()) {
      const start = await zipDataStart(source, directory, entry);
      expect(start % 64, entry.name).toBe(0);
      texts.push(Buffer.from(await source.read(start, start + entry.size)).toString("latin1"));
    }
    expect([texts[1], texts[2], texts[3], texts[6]]).toEqual(["1", "64", "little", "3\n"]);
    expect(texts[7]).toMatch(/^\d{40}$/);
  });

  it("says checksum and size behind each record and again in the directory", async () => {
    const file = Buffer.from(await written(sample()));
    for (const data of [bytesOf(4), bytesOf(30)]) {
      const sum = nodeCrc32(data);
      const facts = Buffer.alloc(12);
      facts.writeUInt32LE(sum, 0);
      facts.writeUInt32LE(data.byteLength, 4);
      facts.writeUInt32LE(data.byteLength, 8);
      expect(file.includes(Buffer.concat([data, Buffer.from("PK\u0007\u0008", "latin1"), facts]))).toBe(true);
      const directory = file.subarray(file.indexOf("PK\u0001\u0002"));
      expect(directory.includes(facts)).toBe(true);
    }
  });

  it("needs no checksum but the one that it is given", async () => {
    expect(await written(sample(), { crc32: nodeCrc32 })).toEqual(await written(sample()));
    expect(await written(sample(), { crc32: (bytes, before) => Promise.resolve(nodeCrc32(bytes, before)) })).toEqual(
      await written(sample()),
    );
  });

  it("leaves an empty storage without checksum, as torch does", async () => {
    const { value } = await readTorchFile(memorySource(await written([torchTensor("F32", [0, 4], new Uint8Array(0))])));
    expect(value).toMatchObject([{ dtype: "F32", shape: [0, 4], source: { size: 0 } }]);
  });

  it("passes large data through uncopied, and puts small pieces together", async () => {
    const large = bytesOf(4_000_000);
    const many = Array.from({ length: 500 }, () => torchTensor("F32", [], bytesOf(4)));
    const chunks: Uint8Array[] = [];
    for await (const chunk of encodeTorchFile([torchTensor("U8", [large.byteLength], large), ...many])) chunks.push(chunk);
    const own = chunks.filter(({ buffer }) => buffer === large.buffer);
    expect(own.reduce((sum, { byteLength }) => sum + byteLength, 0)).toBe(
      Math.floor(4_000_000 / 1_048_576) * 1_048_576 + (4_000_000 % 1_048_576),
    );
    expect(chunks.length).toBeLessThan(12);
  });

  it("goes on beyond 4 GiB, with a tensor of more and one behind it", async () => {
    const count = 2 ** 32 + 64;
    const chunk = new Uint8Array(2 ** 26);
    const chunks = function* (): Generator<Uint8Array> {
      for (let left = count; left > 0; left -= chunk.byteLength) yield chunk.subarray(0, Math.min(left, chunk.byteLength));
    };
    const value = new Map([["a", torchTensor("U8", [count], chunks)] as const, ["b", torchTensor("F32", [3], bytesOf(12))] as const]);
    // The sum of four billion zeros would take seconds, and nothing here reads it.
    const source = await sparse(encodeTorchFile(value, { crc32: () => 0 }));
    const read = (await readTorchFile(source)).value as ReadonlyMap<string, PickleValue>;
    const [a, b] = [read.get("a"), read.get("b")];
    if (!isTorchTensor(a) || !isTorchTensor(b)) throw new TypeError("expected tensors");
    expect([a.source.size, source.size > 2 ** 32]).toEqual([count, true]);
    expect(await b.source.read(0, 12)).toEqual(bytesOf(12));
  });
});

describe("CRC-32", () => {
  it("is Node's wherever the bytes begin, however many there are and however they are cut", () => {
    const bytes = bytesOf(1000);
    for (let start = 0; start < 9; start++)
      for (let end = start; end < start + 40; end++)
        expect(crc32(bytes.subarray(start, end), 0)).toBe(nodeCrc32(bytes.subarray(start, end)));
    for (const cut of [0, 1, 7, 500, 1000]) expect(crc32(bytes.subarray(cut), crc32(bytes.subarray(0, cut), 0))).toBe(nodeCrc32(bytes));
  });
});

describe("a torch file's pickle", () => {
  it.each<[string, ValueToSave, string]>([
    ["a small int", 5, "K\u0005"],
    ["an int of two bytes", 256, "M\0\u0001"],
    ["a negative int", -1, "J\u00ff\u00ff\u00ff\u00ff"],
    ["an int of more than 32 bits", 2 ** 31, "\u008a\u0005\0\0\0\u0080\0"],
    ["a float of a whole value", pyFloat(1), "G\u003f\u00f0\0\0\0\0\0\0"],
    ["no tuple", pyTuple(), ")"],
    ["a pair", pyTuple(1, true), "K\u0001\u0088\u0086q\0"],
    ["a text that is there twice", ["a", "a"], "]q\0(X\u0001\0\0\0aq\u0001h\u0001e"],
    ["an OrderedDict", orderedDict(new Map([["a", null]])), "ccollections\nOrderedDict\nq\0)Rq\u0001X\u0001\0\0\0aq\u0002Ns"],
  ])("writes %s as Python does", (_, value, opcodes) => {
    expect(Buffer.from(torchPickle(value).bytes).toString("latin1")).toBe(`\u0080\u0002${opcodes}.`);
  });

  it("writes an object that is there twice once", async () => {
    const tensor = torchTensor("F32", [2], bytesOf(8));
    const { value } = await readTorchFile(memorySource(await written([tensor, tensor])));
    const [first, second] = value as readonly PickleValue[];
    expect(first).toBe(second);
  });

  it.each<[string, () => unknown]>([
    ["a fraction that is no float", () => torchPickle(0.5)],
    ["values nested without end", () => torchPickle(Array.from({ length: 70 }).reduce<ValueToSave>((inner) => [inner], null))],
    ["a view beyond its storage", () => torchView(torchStorage("F32", 16, bytesOf(16)), [5])],
    ["a storage of half an element", () => torchStorage("F32", 6, bytesOf(6))],
    ["a tensor of another size than its data", () => torchTensor("F32", [2], bytesOf(4))],
    ["an array of another size than its data", () => numpyArray("u4", [2], bytesOf(4))],
    ["an archive's name with a slash", () => encodeTorchFile(null, { archiveName: "a/b" })],
  ])("is not made of %s", (_, make) => {
    expect(make).toThrow(InternalError);
  });

  it("is not made of data that end early", async () => {
    await expect(written(torchTensor("F32", [2], () => [bytesOf(4)]))).rejects.toThrow("expected 8 bytes to write, got 4");
  });

  it("is not made of half a character", async () => {
    await expect(written(["\ud800"])).rejects.toMatchObject({ code: "TORCH_FILE_INVALID" });
  });
});
