import { describe, expect, it } from "vitest";
import { memorySource } from "../core/index.ts";
import { op, type Pickled, PickledTensor, pickled, smallOptimizer, torchBytes, u32, wholePickle, zipBytes } from "./fixtures/torch.ts";
import { entryOfDict, isTorchTensor, openTorchTensors, readTorchFile, scanTorchObject, type TorchTensor } from "./index.ts";

const open = (opcodes: readonly number[], storages: Record<string, Uint8Array> = {}) =>
  readTorchFile(memorySource(torchBytes(wholePickle(opcodes), storages), "state.pt"));
const readValue = async (opcodes: readonly number[]) => (await open(opcodes)).value;
const eight = Uint8Array.from({ length: 8 }, (_, i) => i);

async function tensorOf(tensor: PickledTensor, storage: Uint8Array): Promise<TorchTensor> {
  const { value } = await open(pickled(tensor), { [tensor.key]: storage });
  if (!isTorchTensor(value)) throw new TypeError("expected a tensor");
  return value;
}

describe("readTorchFile", () => {
  it("gives plain values for what a state file holds", async () => {
    const value = new Map<Pickled, Pickled>([
      ["list", [1, -2, 2.5, true, false, null]],
      [7, { tuple: ["ключ", []] }],
    ]);
    expect(await readValue(pickled(value))).toEqual(
      new Map<unknown, unknown>([
        ["list", [1, -2, 2.5, true, false, null]],
        [7, ["ключ", []]],
      ]),
    );
  });

  it("reads the text opcodes of protocol 0, and the framed ones of protocol 4", async () => {
    expect(await readValue(op("(lp0\nI3\naF1.5\naI01\naL-12345678901234567890L\naVtext\naNa(dp1\nVk\nI5\nsag0\n0"))).toEqual([
      3,
      1.5,
      true,
      -12345678901234567890n,
      "text",
      null,
      new Map([["k", 5]]),
    ]);
    const inner = [...op("\u008c", [1], "k"), ...op("\u0094]\u0094(K", [1]), ...op("\u008c", [1], "v"), ...op("e\u0086")];
    expect(await readValue(op("\u0095", [...u32(inner.length), 0, 0, 0, 0], inner))).toEqual(["k", [1, "v"]]);
  });

  it("reads tensors only when they are asked for, also strided and offset ones", async () => {
    const whole = await tensorOf(new PickledTensor("0", "ByteStorage", 8, [2, 3], [3, 1], 1), eight);
    expect([...(await whole.source.read(0, 6))]).toEqual([1, 2, 3, 4, 5, 6]);
    const turned = await tensorOf(new PickledTensor("0", "ByteStorage", 8, [3, 2], [1, 3], 1), eight);
    expect([...(await turned.source.read(0, 6))]).toEqual([1, 4, 2, 5, 3, 6]);
    expect([...(await turned.source.read(2, 4))]).toEqual([2, 5]);
    const wide = await tensorOf(new PickledTensor("0", "HalfStorage", 4, [2, 2], [1, 2]), eight);
    expect([...(await wide.source.read(1, 7))]).toEqual([1, 4, 5, 2, 3, 6]);
  });

  it("opens a state dict as tensors by name", async () => {
    const dict = new Map<Pickled, Pickled>([["a.weight", new PickledTensor("0", "HalfStorage", 4, [2, 2])]]);
    const file = await openTorchTensors(memorySource(torchBytes(wholePickle(pickled(dict)), { 0: eight })));
    expect(file.tensors.get("a.weight")).toMatchObject({ dtype: "F16", shape: [2, 2] });
    expect(await file.read("a.weight")).toEqual(eight);
    await expect(openTorchTensors(memorySource(torchBytes(wholePickle(pickled([])))))).rejects.toMatchObject({
      code: "TORCH_FILE_INVALID",
    });
  });

  it("reads a small optimizer", async () => {
    const { value } = await readTorchFile(memorySource(smallOptimizer()));
    const groups = entryOfDict(value, "param_groups");
    expect(Array.isArray(groups) && entryOfDict(groups[0], "params")).toEqual([0]);
  });

  it("refuses code by name and runs none of it", async () => {
    const attacks: readonly (readonly [string, number[]])[] = [
      ["os.system", op("cos\nsystem\n(", pickled("touch /tmp/owned"), "tR")],
      ["builtins.eval", op("cbuiltins\neval\n(", pickled("1"), "tR")],
      ["posix.system", [...op("\u008c", [5], "posix"), ...op("\u008c", [6], "system"), ...op("\u0093(", pickled("id")), ...op("tR")]],
      ["torch.load", op("ctorch\nload\n(", pickled("/etc/passwd"), "tR")],
      ["torch.hub.load", op("ctorch.hub\nload\n)R")],
      ["collections.namedtuple", op("ccollections\nnamedtuple\n)R")],
    ];
    for (const [name, opcodes] of attacks) {
      await expect(open(opcodes), name).rejects.toMatchObject({ code: "PICKLE_UNSAFE", message: expect.stringContaining(name) });
    }
    await expect(open(op("(ios\nsystem\n"))).rejects.toMatchObject({ code: "PICKLE_UNSAFE", message: expect.stringContaining("INST") });
    await expect(open(op("\u0082", [1]))).rejects.toMatchObject({ code: "PICKLE_UNSAFE" });
    await expect(open(op("K", [1], ")R"))).rejects.toMatchObject({ code: "PICKLE_UNSAFE" });
    await expect(open(op("](e}b"))).rejects.toMatchObject({ code: "PICKLE_UNSAFE" });
  });

  it("refuses a name with control characters without printing them", async () => {
    const error = await open(op("cos\u001b[2J\nsystem\n")).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: "PICKLE_UNSAFE" });
    expect(String(error)).not.toContain("\u001b");
  });

  it.each<[string, number[]]>([
    ["a memo entry that is not there", op("h", [3])],
    ["a stack that is empty", op("a")],
    ["a mark that is missing", op("e")],
    ["several values at the end", op("NN")],
    ["a tuple that is appended to", op(")", pickled(1), "a")],
    ["a dict with a key left over", op("}(K", [1], "u")],
    ["a list that holds itself", op("]q\0h\0a")],
    ["values nested too deeply", [...op("]".repeat(500)), ...op("a".repeat(499))]],
    ["an unknown opcode", op("\u00ff")],
    ["a protocol that does not exist", op("\u0080", [9])],
    ["an integer of 200 bytes", op("\u008a", [200], new Uint8Array(200))],
    ["text that runs over the end", op("X", u32(0xffffffff), "x")],
    ["text that is no UTF-8", op("X", u32(1), [0xff])],
    ["bytes of a length beyond the file", op("\u008e", [255, 255, 255, 255, 255, 255, 255, 127])],
    ["a number that is text", op("Ifish\n")],
  ])("refuses %s", async (_, opcodes) => {
    await expect(open(opcodes)).rejects.toMatchObject({ code: "PICKLE_INVALID" });
  });

  it.each<[string, PickledTensor]>([
    ["beyond its storage", new PickledTensor("0", "FloatStorage", 2, [3])],
    ["that claims more than its storage has", new PickledTensor("0", "FloatStorage", 200, [1])],
    ["expanded from one value to 2^40", new PickledTensor("0", "FloatStorage", 2, [2 ** 20, 2 ** 20], [0, 0])],
    ["of a size that overflows", new PickledTensor("0", "FloatStorage", 2, [2 ** 30, 2 ** 30], [0, 0])],
    ["without its storage", new PickledTensor("1", "FloatStorage", 2, [2])],
    ["of 100 dimensions", new PickledTensor("0", "FloatStorage", 2, new Array<number>(100).fill(1))],
  ])("refuses a tensor %s", async (_, tensor) => {
    await expect(open(pickled(tensor), { 0: eight })).rejects.toMatchObject({ code: "TORCH_FILE_INVALID" });
  });

  it("refuses archives that are compressed, encrypted, programs or big-endian, by what they are", async () => {
    const pickle = wholePickle(pickled(1));
    const files: readonly Uint8Array[] = [
      torchBytes(pickle, {}, { method: 8 }),
      torchBytes(pickle, {}, { flags: 1 }),
      zipBytes({ "a/data.pkl": pickle, "a/constants.pkl": pickle }),
      zipBytes({ "a/data.pkl": pickle, "a/byteorder": Buffer.from("big") }),
      Uint8Array.from([0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e]),
      wholePickle(pickled(1)),
    ];
    for (const bytes of files) await expect(readTorchFile(memorySource(bytes))).rejects.toMatchObject({ code: "TORCH_FILE_UNSUPPORTED" });
  });

  it("refuses zip bombs: sizes that lie, entries that overlap, directories that are too long", async () => {
    const pickle = wholePickle(pickled(1));
    const overlapping = torchBytes(pickle, { 0: new Uint8Array(1000) });
    // Lets every entry point at the first local header.
    const view = new DataView(overlapping.buffer);
    for (let at = 0; at + 46 < overlapping.byteLength; at++) if (view.getUint32(at, true) === 0x02014b50) view.setUint32(at + 42, 0, true);
    const huge = torchBytes(pickle);
    new DataView(huge.buffer).setUint16(huge.byteLength - 12, 60_000, true);
    const wide = torchBytes(pickle);
    new DataView(wide.buffer).setUint32(wide.byteLength - 10, 0xfffffff0, true);
    const files = [
      overlapping,
      torchBytes(pickle, {}, { size: 0x7fffffff, storedSize: 0x7fffffff }),
      torchBytes(pickle, {}, { size: 4_000_000 }),
      huge,
      wide,
      zipBytes({ "a/data.pkl": pickle, "b/x": pickle }, { storedSize: 0xffffffff, size: 0xffffffff }),
      zipBytes({ "a/nothing": pickle }),
    ];
    for (const bytes of files) await expect(readTorchFile(memorySource(bytes))).rejects.toMatchObject({ code: "TORCH_FILE_INVALID" });
  });

  it("says what else a file is", async () => {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"a".repeat(64)}\nsize 12\n`;
    await expect(readTorchFile(memorySource(Buffer.from(pointer)))).rejects.toMatchObject({ code: "LFS_POINTER" });
    for (const bytes of [new Uint8Array(0), Buffer.from("{}"), Buffer.from("PK\u0003\u0004")])
      await expect(readTorchFile(memorySource(bytes))).rejects.toMatchObject({ code: "TORCH_FILE_INVALID" });
  });
});

describe("scanTorchObject", () => {
  it("tells the class and plain fields of an object and builds nothing", async () => {
    const state = new Map<Pickled, Pickled>([
      ["learning_rate", 1e-3],
      ["tags", ["a"]],
    ]);
    const opcodes = op("cevil.module\nArguments\n)\u0081", pickled(state), "b");
    expect(await scanTorchObject(memorySource(torchBytes(wholePickle(opcodes))))).toEqual({
      className: "evil.module.Arguments",
      fields: new Map([["learning_rate", 1e-3]]),
    });
  });

  it("tells that a plain value is no object", async () => {
    expect(await scanTorchObject(memorySource(torchBytes(wholePickle(pickled(1)))))).toBeNull();
  });
});
