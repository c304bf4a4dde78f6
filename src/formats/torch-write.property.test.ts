import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memorySource } from "../core/index.ts";
import { joined } from "./fixtures/torch-files.ts";
import {
  dtypeBits,
  encodeTorchFile,
  isTorchTensor,
  orderedDict,
  PythonFloat,
  pyFloat,
  pyTuple,
  readTorchFile,
  type StorageToSave,
  type TensorToSave,
  type TorchDtype,
  torchStorage,
  torchTensor,
  torchView,
  type ValueToSave,
} from "./index.ts";

const DTYPES: readonly TorchDtype[] = [
  ...(["BOOL", "U8", "I8", "I16", "I32", "I64", "U16", "U32", "U64", "F16", "BF16", "F32", "F64", "C64"] as const),
  ...(["F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"] as const),
];
const widthOf = (dtype: TorchDtype): number => dtypeBits(dtype) / 8;

/** What the reader makes of a value; tensors become their facts and bytes. */
function expected(value: ValueToSave): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (value instanceof PythonFloat) return value.value;
  if (value instanceof Map) return new Map([...(value as ReadonlyMap<string, ValueToSave>)].map(([key, item]) => [key, expected(item)]));
  if (Array.isArray(value)) return (value as readonly ValueToSave[]).map(expected);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array || !("kind" in value)) return value;
  if (value.kind === "tuple") return value.items.map(expected);
  if (value.kind === "ordered-dict") return expected(value.items);
  if (value.kind !== "tensor-to-save") throw new TypeError("not in this test");
  return { dtype: value.storage.dtype, shape: value.shape, bytes: Buffer.from(valuesOf(value)).toString("hex") };
}

/** A tensor's values row by row, taken one by one from the storage. */
function valuesOf({ storage, shape, strides, offset }: TensorToSave): Uint8Array {
  const width = widthOf(storage.dtype);
  const data = storage.data as Uint8Array;
  const count = shape.reduce((product, size) => product * size, 1);
  const parts = Array.from({ length: count }, (_, i) => {
    let at = offset;
    let rest = i;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += (rest % (shape[axis] as number)) * (strides[axis] as number);
      rest = Math.floor(rest / (shape[axis] as number));
    }
    return data.subarray(at * width, (at + 1) * width);
  });
  return new Uint8Array(Buffer.concat(parts));
}

/** What was read, with tensors as in {@link expected}. */
async function found(value: unknown): Promise<unknown> {
  if (isTorchTensor(value)) {
    const bytes = await value.source.read(0, value.source.size);
    return { dtype: value.dtype, shape: value.shape, bytes: Buffer.from(bytes).toString("hex") };
  }
  if (value instanceof Map) {
    const entries: [unknown, unknown][] = [];
    for (const [key, item] of value) entries.push([key, await found(item)]);
    return new Map(entries);
  }
  if (!Array.isArray(value)) return value;
  return Promise.all(value.map(found));
}

const tensor: fc.Arbitrary<ValueToSave> = fc
  .tuple(fc.constantFrom(...DTYPES), fc.array(fc.nat(3), { maxLength: 3 }), fc.infiniteStream(fc.nat(255)))
  .map(([dtype, shape, bytes]) => {
    const size = shape.reduce((product, axis) => product * axis, widthOf(dtype));
    return torchTensor(
      dtype,
      shape,
      Uint8Array.from({ length: size }, () => bytes.next().value),
    );
  });
const text = fc.string({ unit: "grapheme", maxLength: 12 });

const { value: values } = fc.letrec<{ value: ValueToSave }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<ValueToSave>(null, true, false),
    fc.maxSafeInteger(),
    fc.integer({ min: -70_000, max: 70_000 }),
    fc.bigInt({ min: -(2n ** 200n), max: 2n ** 200n }),
    fc.double().map(pyFloat),
    text,
    fc.uint8Array({ maxLength: 40 }),
    tensor,
    fc.array(tie("value"), { maxLength: 5 }),
    fc.array(tie("value"), { maxLength: 5 }).map((items) => pyTuple(...items)),
    fc.array(fc.tuple(fc.oneof(text, fc.nat()), tie("value")), { maxLength: 5 }).map((entries) => new Map(entries)),
    fc.array(fc.tuple(text, tie("value")), { maxLength: 5 }).map((entries) => orderedDict(new Map(entries))),
  ),
}));

describe("a torch file that was written here", () => {
  it("is read back as the same values, and is the same file each time", async () => {
    await fc.assert(
      fc.asyncProperty(values, async (value) => {
        const bytes = await joined(encodeTorchFile(value));
        const file = await readTorchFile(memorySource(bytes));
        expect(await found(file.value)).toEqual(expected(value));
        expect(Buffer.compare(bytes, await joined(encodeTorchFile(value)))).toBe(0);
      }),
      { numRuns: 400 },
    );
  });

  it("holds a storage once however many tensors view it", async () => {
    const view = fc.tuple(fc.nat(3), fc.nat(3), fc.nat(4), fc.nat(4), fc.nat(20));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...DTYPES), fc.array(view, { minLength: 1, maxLength: 6 }), async (dtype, views) => {
        const data = Uint8Array.from({ length: 64 * widthOf(dtype) }, (_, i) => (i * 37) & 255);
        const storage: StorageToSave = torchStorage(dtype, data.byteLength, data);
        const value = views.map(([rows, columns, down, across, offset]) =>
          torchView(storage, [rows, columns], { strides: [down, across], offset }),
        );
        const bytes = await joined(encodeTorchFile(value));
        expect(await found((await readTorchFile(memorySource(bytes))).value)).toEqual(value.map(expected));
        expect(Buffer.from(bytes).includes("archive/data/1")).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  it("does not depend on how its data arrive", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 200_000, size: "max" }),
        fc.array(fc.nat(100_000), { maxLength: 6 }),
        async (data, cuts) => {
          const edges = [0, ...cuts.map((cut) => Math.min(cut, data.byteLength)).sort((a, b) => a - b), data.byteLength];
          const pieces = function* (): Generator<Uint8Array> {
            for (const [i, edge] of edges.slice(1).entries()) yield data.subarray(edges[i], edge);
          };
          const whole = await joined(encodeTorchFile([torchTensor("U8", [data.byteLength], data)]));
          const parts = await joined(encodeTorchFile([torchTensor("U8", [data.byteLength], pieces)]));
          expect(Buffer.compare(parts, whole)).toBe(0);
        },
      ),
      { numRuns: 30 },
    );
  });
});
