import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isHeirloomError, memorySource } from "../../core/index.ts";
import { joined } from "../fixtures/bytes.ts";
import { encodeGguf, GGML_TYPES, type GgmlType, type GgufMetadata, type GgufValue, readGgufHeader } from "./index.ts";

const text = (value: string): GgufValue => ({ type: "STRING", value });

/** Every kind of value that metadata may hold. */
const METADATA: GgufMetadata = new Map<string, GgufValue>([
  ["general.architecture", text("llama")],
  ["general.alignment", { type: "UINT32", value: 64 }],
  ["u8", { type: "UINT8", value: 255 }],
  ["i8", { type: "INT8", value: -1 }],
  ["u16", { type: "UINT16", value: 65_535 }],
  ["i16", { type: "INT16", value: -2 }],
  ["i32", { type: "INT32", value: -3 }],
  ["f32", { type: "FLOAT32", value: 0.5 }],
  ["f64", { type: "FLOAT64", value: 0.1 }],
  ["u64", { type: "UINT64", value: 2n ** 63n }],
  ["i64", { type: "INT64", value: -(2n ** 62n) }],
  ["yes", { type: "BOOL", value: true }],
  ["ключ", text("\ufeff\u2581ß\u0000")],
  ["tokens", { type: "ARRAY", elementType: "STRING", values: ["a", "", "é"] }],
  ["scores", { type: "ARRAY", elementType: "FLOAT32", values: [0, -1] }],
  ["flags", { type: "ARRAY", elementType: "BOOL", values: [false, true] }],
  ["nested", { type: "ARRAY", elementType: "ARRAY", values: [{ type: "ARRAY", elementType: "INT8", values: [1] }] }],
  ["empty", { type: "ARRAY", elementType: "UINT64", values: [] }],
]);

async function sampleFile(): Promise<Uint8Array> {
  const tensors = [
    { name: "token_embd.weight", type: "Q8_0" as const, shape: [2, 32], chunks: () => [new Uint8Array(68).fill(1)] },
    { name: "output_norm.weight", type: "F32" as const, shape: [3], chunks: () => [new Uint8Array(12).fill(2)] },
  ];
  return joined(encodeGguf(METADATA, tensors));
}

/** Reads the header and every tensor's bytes; only a HeirloomError may come out. */
async function survives(bytes: Uint8Array): Promise<boolean> {
  try {
    const source = memorySource(bytes);
    const { tensors } = await readGgufHeader(source);
    for (const { start, end } of tensors.values()) await source.read(start, end);
    return true;
  } catch (error) {
    if (!isHeirloomError(error) || error.code === "INTERNAL") throw error;
    return false;
  }
}

describe("a GGUF file", () => {
  it("gives back what was written, whatever metadata and tensors there are", async () => {
    const scalars: fc.Arbitrary<GgufValue> = fc.oneof(
      fc.record({ type: fc.constant("INT32" as const), value: fc.integer() }),
      fc.record({ type: fc.constant("FLOAT64" as const), value: fc.double({ noNaN: true }) }),
      fc.record({ type: fc.constant("UINT64" as const), value: fc.bigInt(0n, 2n ** 64n - 1n) }),
      fc.record({ type: fc.constant("BOOL" as const), value: fc.boolean() }),
      fc.record({ type: fc.constant("STRING" as const), value: fc.string({ unit: "grapheme" }) }),
      fc.record({
        type: fc.constant("ARRAY" as const),
        elementType: fc.constant("STRING" as const),
        values: fc.array(fc.string({ unit: "binary" })),
      }),
    );
    const name = fc.string({ unit: "grapheme", maxLength: 30 });
    const tensor = fc.record({
      name,
      type: fc.constantFrom(...(Object.keys(GGML_TYPES) as GgmlType[])),
      rows: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }),
      blocks: fc.integer({ min: 1, max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.tuple(name, scalars), { selector: ([key]) => key }),
        fc.uniqueArray(tensor, { selector: (item) => item.name }),
        async (entries, items) => {
          const metadata = new Map(entries.filter(([key]) => key !== "general.alignment"));
          const planned = items.map(({ name: title, type, rows, blocks }) => {
            const { values, bytes } = GGML_TYPES[type];
            const size = rows.reduce((a, b) => a * b, blocks) * bytes;
            return { name: title, type, shape: [...rows, blocks * values], chunks: () => [new Uint8Array(size).fill(7)] };
          });
          const source = memorySource(await joined(encodeGguf(metadata, planned)));
          const header = await readGgufHeader(source);
          expect([...header.metadata]).toEqual([...metadata]);
          expect([...header.tensors.values()].map(({ start: _s, end: _e, ...rest }) => rest)).toEqual(
            planned.map(({ chunks: _chunks, ...rest }) => rest),
          );
          for (const { start, end } of header.tensors.values())
            expect((await source.read(start, end)).every((byte) => byte === 7)).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("is refused as truncated wherever it is cut", async () => {
    const sample = await sampleFile();
    const { tensors } = await readGgufHeader(memorySource(sample));
    const end = Math.max(...[...tensors.values()].map((tensor) => tensor.end));
    expect(await survives(sample.slice(0, end))).toBe(true);
    for (let length = 4; length < end; length++) {
      const cut = memorySource(sample.slice(0, length));
      await expect(readGgufHeader(cut), `cut at byte ${length}`).rejects.toMatchObject({ code: "GGUF_TRUNCATED" });
    }
    for (let length = 0; length < 4; length++)
      await expect(readGgufHeader(memorySource(sample.slice(0, length)))).rejects.toMatchObject({ code: "GGUF_INVALID" });
  });

  it("gives only typed errors for random bytes changed, moved and cut out", async () => {
    const sample = await sampleFile();
    const at = fc.nat(sample.byteLength - 1);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(at, fc.nat(255)), { minLength: 1, maxLength: 6 }),
        at,
        at,
        at,
        async (changes, to, from, until) => {
          const changed = sample.slice();
          for (const [position, value] of changes) changed[position] = value;
          await survives(changed);
          const moved = sample.slice();
          moved.copyWithin(to, from, until);
          await survives(moved);
          await survives(new Uint8Array([...sample.slice(0, Math.min(from, until)), ...sample.slice(Math.max(from, until))]));
        },
      ),
      { numRuns: 3000 },
    );
  });
});
