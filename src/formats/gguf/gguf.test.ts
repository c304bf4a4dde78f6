import { describe, expect, it } from "vitest";
import { type ByteSource, memorySource } from "../../core/index.ts";
import { joined } from "../fixtures/bytes.ts";
import { encodeGguf, type GgufValue, isGguf, planGguf, readGgufHeader } from "./index.ts";

/** Bytes of a header: numbers of 4 bytes, bigints of 8, texts with their length. */
function bytesOf(...parts: readonly (number | bigint | string)[]): Uint8Array {
  const out: number[] = [];
  for (const part of parts) {
    const bytes = new Uint8Array(typeof part === "number" ? 4 : 8);
    const view = new DataView(bytes.buffer);
    if (typeof part === "number") view.setUint32(0, part, true);
    else view.setBigUint64(0, typeof part === "bigint" ? part : BigInt(new TextEncoder().encode(part).length), true);
    out.push(...bytes, ...(typeof part === "string" ? new TextEncoder().encode(part) : []));
  }
  return Uint8Array.from(out);
}

const MAGIC = 0x46554747;
/** A file of some size with these bytes at its start. */
const fileOf = (size: number, ...parts: readonly (number | bigint | string)[]): ByteSource => {
  const head = bytesOf(...parts);
  const bytes = new Uint8Array(Math.max(size, head.length));
  bytes.set(head);
  return memorySource(bytes, "hostile.gguf");
};
/** A header with one tensor: its dimensions, type and offset. */
const oneTensor = (dimensions: readonly bigint[], type: number, offset: bigint, size = 4096): ByteSource =>
  fileOf(size, MAGIC, 3, 1n, 0n, "t", dimensions.length, ...dimensions, type, offset);

describe("hostile GGUF headers", () => {
  it.each<[what: string, source: ByteSource, code: string, says: RegExp]>([
    ["version 1", fileOf(64, MAGIC, 1, 0n, 0n), "GGUF_UNSUPPORTED", /version 1/],
    ["a version to come", fileOf(64, MAGIC, 4, 0n, 0n), "GGUF_UNSUPPORTED", /version 4/],
    ["a big-endian file", fileOf(64, MAGIC, 0x03000000, 0n, 0n), "GGUF_UNSUPPORTED", /big-endian/],
    ["another format", fileOf(64, 0x04034b50), "GGUF_INVALID", /GGUF/],
    ["too many tensors", fileOf(64, MAGIC, 3, 2n ** 40n, 0n), "GGUF_INVALID", /number of tensors/],
    ["too many metadata", fileOf(64, MAGIC, 3, 0n, 2n ** 63n), "GGUF_INVALID", /number of metadata/],
    ["a key of 4 GiB", fileOf(64, MAGIC, 3, 0n, 1n, 2n ** 32n), "GGUF_INVALID", /length of a metadata key/],
    ["a text longer than the file", fileOf(64, MAGIC, 3, 0n, 1n, "k", 8, 9_999n), "GGUF_TRUNCATED", /at least/],
    ["a type of metadata that is none", fileOf(64, MAGIC, 3, 0n, 1n, "k", 13), "GGUF_INVALID", /number 13/],
    ["an array beyond the limit", fileOf(64, MAGIC, 3, 0n, 1n, "k", 9, 0, 2n ** 40n), "GGUF_INVALID", /count of values/],
    ["an array longer than the file", fileOf(64, MAGIC, 3, 0n, 1n, "k", 9, 8, 1_000_000n), "GGUF_TRUNCATED", /at least/],
    [
      "arrays in arrays without end",
      fileOf(256, MAGIC, 3, 0n, 1n, "k", 9, 9, 1n, 9, 1n, 9, 1n, 9, 1n, 9, 1n, 9, 1n),
      "GGUF_INVALID",
      /deep/,
    ],
    ["a truth value of 2", fileOf(64, MAGIC, 3, 0n, 1n, "k", 7, 2), "GGUF_INVALID", /truth value/],
    ["a key twice", fileOf(64, MAGIC, 3, 0n, 2n, "k", 4, 1, "k", 4, 1), "GGUF_INVALID", /"?k"? twice|twice/],
    ["an alignment of 24", fileOf(96, MAGIC, 3, 0n, 1n, "general.alignment", 4, 24), "GGUF_INVALID", /power of two/],
    ["an alignment of 0", fileOf(96, MAGIC, 3, 0n, 1n, "general.alignment", 4, 0), "GGUF_INVALID", /power of two/],
    ["five dimensions", oneTensor([1n, 1n, 1n, 1n, 1n], 0, 0n), "GGUF_INVALID", /dimensions/],
    ["a dimension beyond what counts", oneTensor([2n ** 60n], 0, 0n), "GGUF_INVALID", /dimension/],
    ["a size that overflows", oneTensor([2n ** 50n, 2n ** 50n], 0, 0n), "GGUF_INVALID", /whole blocks/],
    ["an empty tensor", oneTensor([0n], 0, 0n), "GGUF_INVALID", /whole blocks/],
    ["half a block", oneTensor([48n], 2, 0n), "GGUF_INVALID", /whole blocks of Q4_0/],
    ["a type that was given up", oneTensor([32n], 4, 0n), "QUANTIZATION_UNSUPPORTED", /Q4_2/],
    ["a type that is not known", oneTensor([32n], 99, 0n), "QUANTIZATION_UNSUPPORTED", /type 99/],
    ["an offset off the alignment", oneTensor([8n], 0, 8n), "GGUF_INVALID", /multiple of 32/],
    ["an offset beyond the file", oneTensor([8n], 0, 1_048_576n), "GGUF_TRUNCATED", /expected \d+ bytes/],
    ["tensors that overlap", fileOf(4096, MAGIC, 3, 2n, 0n, "a", 1, 64n, 0, 0n, "b", 1, 8n, 0, 32n), "GGUF_INVALID", /b: overlaps a/],
    ["a tensor twice", fileOf(4096, MAGIC, 3, 2n, 0n, "a", 1, 8n, 0, 0n, "a", 1, 8n, 0, 32n), "GGUF_INVALID", /a twice/],
  ])("refuses %s by its own words", async (_what, source, code, says) => {
    await expect(readGgufHeader(source)).rejects.toMatchObject({ code, message: expect.stringMatching(says) as unknown });
  });

  it("reads version 2 like version 3", async () => {
    const { version, metadata } = await readGgufHeader(fileOf(64, MAGIC, 2, 0n, 1n, "k", 8, "v"));
    expect({ version, k: metadata.get("k") }).toEqual({ version: 2, k: { type: "STRING", value: "v" } });
  });

  it("refuses bytes that are no UTF-8", async () => {
    const bytes = bytesOf(MAGIC, 3, 0n, 1n, "kk", 8, "v");
    bytes[33] = 0xff;
    await expect(readGgufHeader(memorySource(bytes))).rejects.toMatchObject({ code: "GGUF_INVALID" });
  });

  it("names a Git LFS pointer", async () => {
    const pointer = new TextEncoder().encode(`version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 12\n`);
    await expect(readGgufHeader(memorySource(pointer))).rejects.toMatchObject({ code: "LFS_POINTER" });
  });
});

describe("reading and laying out GGUF", () => {
  it("reads the header of a large vocabulary in few requests, and none of the data", async () => {
    const tokens = Array.from({ length: 150_000 }, (_, i) => `token ${i}`);
    const metadata = new Map<string, GgufValue>([["tokens", { type: "ARRAY", elementType: "STRING", values: tokens }]]);
    const bytes = new Uint8Array(64 << 20);
    const plan = planGguf(metadata, [{ name: "t", type: "F32", shape: [8_000_000] }]);
    bytes.set(plan.header);
    const reads: [number, number][] = [];
    const inner = memorySource(bytes);
    const source: ByteSource = {
      ...inner,
      read(start, end) {
        reads.push([start, end]);
        return inner.read(start, end);
      },
    };
    const header = await readGgufHeader(source);
    expect(header.metadata.get("tokens")).toMatchObject({ values: { length: 150_000 } });
    expect(reads).toEqual([
      [0, 1_048_576],
      [1_048_576, 4_194_304],
    ]);
    expect(header.tensors.get("t")).toMatchObject({ start: plan.tensors[0]?.start, end: (plan.tensors[0]?.start ?? 0) + 32_000_000 });
  });

  it("tells a GGUF file by its first bytes", async () => {
    const bytes = await joined(encodeGguf(new Map(), []));
    expect([isGguf(bytes), isGguf(bytes.subarray(0, 3)), isGguf(new Uint8Array(8))]).toEqual([true, false, false]);
  });

  it("refuses to write data of another size than the shape says", async () => {
    const short = [{ name: "t", type: "F32" as const, shape: [4], chunks: () => [new Uint8Array(8)] }];
    await expect(joined(encodeGguf(new Map(), short))).rejects.toMatchObject({ code: "INTERNAL" });
    expect(() => planGguf(new Map(), [{ name: "t", type: "Q4_0", shape: [31] }])).toThrow("whole number of blocks");
  });
});
