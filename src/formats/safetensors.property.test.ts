import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isHeirloomError, memorySource } from "../core/index.ts";
import { joined, safetensorsBytes } from "./fixtures/bytes.ts";
import { dtypeBits, encodeSafetensors, openSafetensors, parseJson, readSafetensorsHeader, SAFETENSORS_DTYPES } from "./index.ts";

/** A small file with everything that a header may hold. */
const sample = safetensorsBytes(
  {
    __metadata__: { format: "pt", ключ: "\u0001" },
    "model.embed_tokens.weight": { dtype: "BF16", shape: [3, 2], data_offsets: [0, 12] },
    "model.norm.weight": { dtype: "F32", shape: [2], data_offsets: [12, 20] },
    scalar: { dtype: "I64", shape: [], data_offsets: [20, 28] },
    empty: { dtype: "F8_E4M3", shape: [0, 9], data_offsets: [28, 28] },
  },
  Uint8Array.from({ length: 28 }, (_, i) => i),
);

/** Opens and reads everything; only a HeirloomError may come out. */
async function survives(bytes: Uint8Array): Promise<boolean> {
  try {
    const file = await openSafetensors(memorySource(bytes));
    for (const name of file.tensors.keys()) await file.read(name);
    return true;
  } catch (error) {
    if (!isHeirloomError(error) || error.code === "INTERNAL") throw error;
    return false;
  }
}

describe("a safetensors file under attack", () => {
  it("is refused as truncated wherever it is cut", async () => {
    for (let length = 0; length < sample.byteLength; length++) {
      const cut = memorySource(sample.slice(0, length));
      await expect(readSafetensorsHeader(cut), `cut at byte ${length}`).rejects.toMatchObject({ code: "SAFETENSORS_TRUNCATED" });
    }
    expect(await survives(sample)).toBe(true);
  });

  it("gives only typed errors for random bytes changed", async () => {
    const change = fc.tuple(fc.nat(sample.byteLength - 1), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
        const bytes = sample.slice();
        for (const [at, value] of changes) bytes[at] = value;
        await survives(bytes);
      }),
      { numRuns: 5000 },
    );
  });

  it("gives only typed errors for pieces moved and bytes cut out of its middle", async () => {
    const at = fc.nat(sample.byteLength);
    await fc.assert(
      fc.asyncProperty(at, at, at, async (to, from, until) => {
        const bytes = sample.slice();
        bytes.copyWithin(to, from, until);
        await survives(bytes);
        await survives(new Uint8Array([...sample.slice(0, Math.min(from, until)), ...sample.slice(Math.max(from, until))]));
      }),
      { numRuns: 1000 },
    );
  });

  it("gives only typed errors for any JSON as header, and any bytes", async () => {
    const entry = fc.record({
      dtype: fc.oneof(fc.constantFrom(...SAFETENSORS_DTYPES), fc.jsonValue()),
      shape: fc.array(fc.nat(4)),
      data_offsets: fc.array(fc.nat(40)),
    });
    const header = fc.oneof(fc.dictionary(fc.string(), fc.oneof(entry, fc.jsonValue())), fc.jsonValue());
    await fc.assert(
      fc.asyncProperty(
        header,
        fc.uint8Array({ maxLength: 40 }),
        async (json, data) => void (await survives(safetensorsBytes(JSON.stringify(json), data))),
      ),
      { numRuns: 1000 },
    );
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), async (bytes) => void (await survives(bytes))),
      { numRuns: 1000 },
    );
  });
});

it("reads back whatever it writes, and writes the same again", async () => {
  const tensor = fc.record({
    name: fc.string({ unit: "grapheme" }),
    dtype: fc.constantFrom(...SAFETENSORS_DTYPES),
    shape: fc.array(fc.nat(5), { maxLength: 3 }),
  });
  const wholeBytes = tensor.filter(
    ({ name, dtype, shape }) => name !== "__metadata__" && (shape.reduce((a, b) => a * b, 1) * dtypeBits(dtype)) % 8 === 0,
  );
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(wholeBytes, { selector: ({ name }) => name, maxLength: 6 }),
      fc.dictionary(fc.string(), fc.string()),
      async (plans, metadata) => {
        const writable = plans.map((plan, i) => {
          const size = (plan.shape.reduce((a, b) => a * b, 1) * dtypeBits(plan.dtype)) / 8;
          return { ...plan, chunks: () => [new Uint8Array(size).fill(i + 1)] };
        });
        const bytes = await joined(encodeSafetensors(writable, metadata));
        const file = await openSafetensors(memorySource(bytes));
        expect({ ...file.metadata }).toEqual({ ...metadata });
        expect(file.tensors.size).toBe(plans.length);
        for (const { name, shape, dtype, chunks } of writable) {
          expect(file.tensors.get(name)).toMatchObject({ shape, dtype });
          expect(await file.read(name)).toEqual(chunks()[0]);
        }
        expect(await joined(encodeSafetensors([...writable].reverse(), file.metadata))).toEqual(bytes);
      },
    ),
    { numRuns: 150 },
  );
});

it("parses JSON as JSON.parse does", () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), (text) => {
      expect(parseJson(text, "x")).toEqual(JSON.parse(text));
    }),
    { numRuns: 1000 },
  );
});
