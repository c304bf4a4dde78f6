import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isHeirloomError, memorySource } from "../core/index.ts";
import { op, smallOptimizer, torchBytes, u32, wholePickle } from "./fixtures/torch.ts";
import { isTorchTensor, readTorchFile, scanTorchObject } from "./index.ts";

/** Values of a file that are tensors, wherever they are. */
function* tensorsIn(value: unknown): Generator<{ source: { size: number; read(start: number, end: number): Promise<Uint8Array> } }> {
  if (isTorchTensor(value)) yield value;
  else if (value instanceof Map) for (const item of value.values()) yield* tensorsIn(item);
  else if (Array.isArray(value)) for (const item of value) yield* tensorsIn(item);
}

/** Opens and reads everything, both ways; only a HeirloomError may come out. */
async function survives(bytes: Uint8Array): Promise<boolean> {
  const guarded = async (work: () => Promise<void>): Promise<boolean> => {
    try {
      await work();
      return true;
    } catch (error) {
      if (!isHeirloomError(error) || error.code === "INTERNAL") throw error;
      return false;
    }
  };
  await guarded(async () => void (await scanTorchObject(memorySource(bytes))));
  return guarded(async () => {
    const { value } = await readTorchFile(memorySource(bytes));
    for (const { source } of tensorsIn(value)) await source.read(0, source.size);
  });
}

describe("a torch file under attack", () => {
  const sample = smallOptimizer();

  it("is refused wherever it is cut", async () => {
    for (let length = 0; length < sample.byteLength; length++)
      expect(await survives(sample.slice(0, length)), `cut at byte ${length}`).toBe(false);
    expect(await survives(sample)).toBe(true);
  });

  it("gives only typed errors for random bytes changed", async () => {
    const change = fc.tuple(fc.nat(sample.byteLength - 1), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const bytes = sample.slice();
        for (const [at, value] of changes) bytes[at] = value;
        await survives(bytes);
      }),
      { numRuns: 2000 },
    );
  });

  it("gives only typed errors for any row of opcodes", async () => {
    const codes = [
      ...Array.from("(]})eutlad0N12RbQ"),
      "\u0081",
      "\u0085",
      "\u0086",
      "\u0088",
      "\u0094",
      "q\0",
      "h\0",
      "K\u0001",
      "ccollections\nOrderedDict\n",
    ];
    const piece = fc.oneof(fc.constantFrom(...codes.map((code) => op(code))), fc.array(fc.nat(255), { maxLength: 3 }));
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 40 }), async (pieces) => void (await survives(torchBytes(wholePickle(pieces.flat()))))),
      { numRuns: 2000 },
    );
  });

  it.each<[string, () => Uint8Array]>([
    ["two million empty lists", () => wholePickle(new Array<number>(2_000_000).fill(0x5d))],
    ["two million marks", () => wholePickle(new Array<number>(2_000_000).fill(0x28))],
    [
      "a list that doubles",
      () => wholePickle(op("]q\0").concat(...Array.from({ length: 60 }, (_, i) => op("](h", [i], "h", [i], "eq", [i + 1])))),
    ],
    [
      "bytes that are encoded again and again",
      () =>
        wholePickle([
          ...op("c_codecs\nencode\nq\0", "X", u32(500_000), "x".repeat(500_000), "q\u0001X", u32(6), "latin1", "q\u00020000"),
          ...Array.from({ length: 2000 }, () => op("h\0h\u0001h\u0002\u0086R")).flat(),
        ]),
    ],
  ])("stops at %s with little memory and time", async (_, make) => {
    const bytes = torchBytes(make());
    const started = performance.now();
    expect(await survives(bytes)).toBe(false);
    expect(performance.now() - started).toBeLessThan(3000);
  });
});
