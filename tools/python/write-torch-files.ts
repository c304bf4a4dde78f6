// Writes the files that check_torch_files.py compares with what torch itself makes of the same values.
//
//   node --import ./tools/register-typescript.mjs tools/python/write-torch-files.ts FOLDER [--large]
//
// --large adds a file of more than 4 GiB.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { writeFileAtomic } from "../../src/core/node/index.ts";
import {
  type AdamWGroup,
  adamWStateDict,
  encodeTorchFile,
  lambdaLrStateDict,
  type NumpyCode,
  numpyArray,
  numpyScalar,
  optimizerStateDict,
  orderedDict,
  pyFloat,
  pyTuple,
  seededRngState,
  type TorchDtype,
  torchStorage,
  torchTensor,
  torchView,
  type ValueToSave,
} from "../../src/formats/index.ts";

/** Widths in bytes; the order is that of check_torch_files.py. */
const DTYPES: readonly (readonly [TorchDtype, number])[] = [
  ["BOOL", 1],
  ["U8", 1],
  ["I8", 1],
  ["I16", 2],
  ["I32", 4],
  ["I64", 8],
  ["U16", 2],
  ["U32", 4],
  ["U64", 8],
  ["F8_E5M2", 1],
  ["F8_E4M3", 1],
  ["F8_E8M0", 1],
  ["F8_E4M3FNUZ", 1],
  ["F8_E5M2FNUZ", 1],
  ["F16", 2],
  ["BF16", 2],
  ["F32", 4],
  ["F64", 8],
  ["C64", 8],
];
const NUMPY: readonly NumpyCode[] = ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8"];
const SEEDS = [0n, 1n, 42n, 3407n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 63n + 12345n, 2n ** 64n - 1n];

/** Bytes that check_torch_files.py makes in the same way. */
const pattern = (count: number, seed: number, limit = 256): Uint8Array =>
  Uint8Array.from({ length: count }, (_, i) => (i * 37 + seed * 11 + 5) % limit);
const dict = (...entries: readonly (readonly [string | number, ValueToSave])[]): ValueToSave => new Map(entries);
const counted = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

function dtypes(): ValueToSave {
  return dict(
    ...DTYPES.map(([dtype, width], i): [string, ValueToSave] => [
      dtype,
      torchTensor(dtype, [2, 3], pattern(6 * width, i, dtype === "BOOL" ? 2 : 256)),
    ]),
  );
}

function shared(): ValueToSave {
  const storage = torchStorage("F32", 96, pattern(96, 1));
  const bytes = torchStorage("F8_E4M3", 24, pattern(24, 2));
  const twice = torchView(storage, [2, 3], { offset: 6 });
  return dict(
    ["whole", torchView(storage, [4, 6])],
    ["transposed", torchView(storage, [6, 4], { strides: [1, 6] })],
    ["part", twice],
    ["again", twice],
    ["needs_grad", { ...torchTensor("F32", [2], pattern(8, 3)), requiresGrad: true }],
    ["f8", torchView(bytes, [3, 8])],
    ["f8_part", torchView(bytes, [4], { offset: 20 })],
    ["scalar", torchTensor("F32", [], pattern(4, 4))],
    ["empty", torchTensor("F32", [0, 5], new Uint8Array(0))],
    ["strided_axis_of_one", torchTensor("BF16", [1, 4, 1], pattern(8, 5))],
  );
}

function values(): ValueToSave {
  const list: ValueToSave = [1, 2];
  const tuple = pyTuple(1, "two");
  const integers = [0, 1, 255, 256, 65535, 65536, 2147483647, 2147483648, -1, -128, -129, -2147483648, -2147483649, 4294967296];
  return dict(
    ["integers", [...integers, 2n ** 63n - 1n, 2n ** 64n, -(2n ** 63n), 2n ** 200n]],
    ["floats", [0, -0, 1, -1, 0.1, 1e-300, 5e-324, 1e300, Infinity, -Infinity, NaN].map(pyFloat)],
    ["texts", ["", "text", "naïve ☃ 𝄞", "zero\0inside", "text"]],
    ["constants", [null, true, false]],
    ["tuples", [pyTuple(), pyTuple(1), pyTuple(1, 2), pyTuple(1, 2, 3), pyTuple(1, 2, 3, 4), pyTuple(pyTuple(pyTuple()))]],
    ["lists", [[], ...[1, 2, 999, 1000, 1001, 2000, 2001].map(counted)]],
    ["dicts", [0, 1, 2, 999, 1000, 1001, 2000].map((count) => dict(...counted(count).map((i): [number, number] => [i, i])))],
    ["ordered", [0, 1, 2, 1000, 1001, 1002].map((count) => orderedDict(new Map(counted(count).map((i): [number, number] => [i, i]))))],
    ["same", [list, list, tuple, tuple]],
    ["bytes", [pattern(300, 1), pattern(2, 2)]],
    ["arrays", NUMPY.map((code, i) => numpyArray(code, [2, 2], pattern(4 * Number(code.slice(1)), i, code === "b1" ? 2 : 256)))],
    ["scalars", NUMPY.filter((code) => !code.endsWith("1")).map((code, i) => numpyScalar(code, pattern(Number(code.slice(1)), i)))],
  );
}

function optimizer(): ValueToSave {
  const step = () => torchTensor("F32", [], new Uint8Array(Float32Array.of(7).buffer));
  const moment = (index: number, kind: number) =>
    torchTensor("F32", [4, 2], new Uint8Array(Float32Array.from({ length: 8 }, (_, i) => index + kind / 4 + i / 16).buffer));
  const group = { lr: 5e-4, initialLr: 1e-3, betas: [0.9, 0.999], eps: 1e-8 } as const;
  const groups: AdamWGroup[] = [
    { ...group, weightDecay: 0.01, params: [0, 1] },
    { ...group, weightDecay: 0, params: [2] },
  ];
  return adamWStateDict(
    new Map([0, 1, 2].map((index) => [index, { step: step(), expAvg: moment(index, 0), expAvgSq: moment(index, 1) }])),
    groups,
  );
}

/** As bitsandbytes' 8-bit AdamW has it, whose step is a plain number. */
function optimizer8bit(): ValueToSave {
  const map = torchTensor("F32", [256], pattern(1024, 1));
  const state = new Map<string, ValueToSave>([
    ["step", 7],
    ["state1", torchTensor("U8", [64, 64], pattern(4096, 2))],
    ["state2", torchTensor("U8", [64, 64], pattern(4096, 3))],
    ["qmap1", map],
    ["qmap2", map],
    ["absmax1", torchTensor("F32", [16], pattern(64, 4))],
    ["absmax2", torchTensor("F32", [16], pattern(64, 5))],
  ]);
  const options = new Map<string, ValueToSave>([
    ["lr", pyFloat(1e-3)],
    ["alpha", pyFloat(0)],
    ["t_alpha", null],
  ]);
  return optimizerStateDict({ state: new Map([[0, state]]), groups: [{ options, params: [0] }] });
}

const FILES: Readonly<Record<string, () => ValueToSave>> = {
  "dtypes.pt": dtypes,
  "shared.pt": shared,
  "values.pt": values,
  "no_bytes.pt": () => [pattern(0, 0)],
  "optimizer.pt": optimizer,
  "optimizer_8bit.pt": optimizer8bit,
  "scheduler.pt": () => lambdaLrStateDict({ baseLrs: [1e-3, 1], lastLrs: [5e-4, 0.5], lastEpoch: 7, lambda: "partial" }),
  "scheduler_constant.pt": () => lambdaLrStateDict({ baseLrs: [1e-3], lastLrs: [1e-3], lastEpoch: 0, lambda: "function" }),
  ...Object.fromEntries(SEEDS.map((seed) => [`rng_state_${seed}.pth`, () => seededRngState(seed)])),
};

/** One tensor that needs 64 bits for its size, one for its place. */
function large(): ValueToSave {
  const count = 2 ** 32 + 64;
  const chunk = new Uint8Array(2 ** 26);
  const chunks = function* (): Generator<Uint8Array> {
    for (let left = count; left > 0; left -= chunk.byteLength) yield chunk.subarray(0, Math.min(left, chunk.byteLength));
  };
  return dict(["a", torchTensor("U8", [count], chunks)], ["b", torchTensor("F32", [3], pattern(12, 1))]);
}

const { positionals, values: flags } = parseArgs({ allowPositionals: true, options: { large: { type: "boolean", default: false } } });
const folder = positionals[0] ?? "torch-files";
for (const [name, make] of Object.entries({ ...FILES, ...(flags.large ? { "large.pt": large } : {}) }))
  await writeFileAtomic(join(folder, name), encodeTorchFile(make(), { archiveName: name.replace(/\.\w+$/, "") }));
