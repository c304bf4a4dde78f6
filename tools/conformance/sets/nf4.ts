// nf4: NF4 and double quantization against bitsandbytes, by the rules of the vectors' README.
import { dequantizeNf4, encodeFromF32, isFloatDtype, type Nf4Tensor, quantizeNf4, quantizeScales } from "../../../src/codecs/index.ts";
import { memorySource } from "../../../src/core/index.ts";
import {
  encodeSafetensors,
  NF4_CODEBOOK,
  openSafetensors,
  readBnb4bit,
  requireTensor,
  type SafetensorsDtype,
  type TensorFile,
} from "../../../src/formats/index.ts";
import type { Check, Finding, Measure } from "../check.ts";
import { largest, sameBytes } from "../compare.ts";
import { floats, readJsonFile, readTensors } from "../files.ts";
import { TOLERANCES } from "../tolerances.ts";

interface Index {
  readonly blocksize: number;
  readonly nested_blocksize: number;
  readonly codebook: readonly number[];
  readonly cases: readonly { readonly name: string; readonly shape: readonly number[]; readonly degenerate: boolean }[];
}

/** The checks of `nf4/`. */
export async function nf4Checks(folder: string): Promise<Check[]> {
  const index = await readJsonFile<Index>(folder, "index.json");
  const codebook: Check = {
    case: "codebook",
    kind: "values",
    run: () => Promise.resolve([sameBytes("codebook", Float32Array.from(index.codebook), Float32Array.from(NF4_CODEBOOK))]),
  };
  return [
    codebook,
    ...index.cases.map(({ name, shape, degenerate }): Check => {
      const open = () => readTensors(folder, `${name}.safetensors`);
      return {
        case: name,
        kind: "values",
        run: async () => (degenerate ? staysFinite(await open(), shape, index) : compareCase(await open(), shape, index)),
      };
    }),
  ];
}

function dequantized(tensor: Nf4Tensor): Float32Array {
  const out = new Float32Array(tensor.shape.reduce((product, size) => product * size, 1));
  dequantizeNf4(tensor, out);
  return out;
}

async function staysFinite(file: TensorFile, shape: readonly number[], { blocksize }: Index): Promise<Finding> {
  const input = await floats(file, "input");
  const count = (values: Float32Array): number => values.filter((value) => Number.isNaN(value)).length;
  return [false, true].map((doubleQuant) => ({
    what: `NaN values ${doubleQuant ? "with" : "without"} double quantization`,
    error: count(dequantized(quantizeNf4(input, { shape, blockSize: blocksize, doubleQuant }))),
    tolerance: TOLERANCES.exact,
  }));
}

async function compareCase(file: TensorFile, shape: readonly number[], index: Index): Promise<Finding> {
  if (index.nested_blocksize !== 256) return { unsupported: `blocks of ${index.nested_blocksize} scales; bitsandbytes has 256` };
  const { dtype } = requireTensor(file, "input");
  if (!isFloatDtype(dtype)) return { unsupported: `input of dtype ${dtype}` };
  const tensor = quantizeNf4(await floats(file, "input"), { shape, blockSize: index.blocksize });
  return [
    sameBytes("packed", await file.read("packed"), tensor.packed),
    sameBytes("absmax", await floats(file, "absmax"), tensor.absmax),
    sameBytes("dequant", await file.read("dequant"), encodeFromF32(dtype, dequantized(tensor))),
    ...(await readsDoubleQuantized(file, index, dtype)),
    ...(await doubleQuantizes(file, shape, index)),
  ];
}

/** The case as a checkpoint would store it, given to the reader of checkpoints. */
async function readsDoubleQuantized(file: TensorFile, index: Index, dtype: "F32" | "F16" | "BF16" | "F64"): Promise<Measure[]> {
  const stored: [name: string, dtype: SafetensorsDtype, bytes: Uint8Array][] = [
    ["w", "U8", await file.read("dq.packed")],
    ["w.absmax", "U8", await file.read("dq.absmax")],
    ["w.nested_absmax", "F32", await file.read("dq.nested_absmax")],
    ["w.nested_quant_map", "F32", await file.read("dq.nested_quant_map")],
    ["w.quant_map", "F32", new Uint8Array(Float32Array.from(index.codebook).buffer)],
    ["w.quant_state.bitsandbytes__nf4", "U8", await file.read("dq.quant_state")],
  ];
  const chunks: Uint8Array[] = [];
  const tensors = stored.map(([name, type, bytes]) => ({
    name,
    dtype: type,
    shape: [bytes.length / (type === "F32" ? 4 : 1)],
    chunks: () => [bytes],
  }));
  for await (const chunk of encodeSafetensors(tensors, {})) chunks.push(chunk);
  const checkpoint = await openSafetensors(memorySource(new Uint8Array(Buffer.concat(chunks)), "checkpoint"));
  const tensor = await readBnb4bit(checkpoint, "w");
  const restored = await floats(file, "dq.absmax_restored");
  return [
    scalesMeasure("scales restored from a checkpoint", restored, tensor.absmax, await floats(file, "dq.nested_absmax"), index, () => true),
    sameBytes("dequant of a checkpoint", await file.read("dq.dequant"), encodeFromF32(dtype, dequantized(tensor))),
  ];
}

/** Scales as a share of the scale of their block of scales. */
function scalesMeasure(
  what: string,
  want: Float32Array,
  got: Float32Array,
  nestedAbsmax: Float32Array,
  { nested_blocksize: size }: Index,
  counts: (block: number) => boolean,
): Measure {
  const errors = Array.from(want, (scale, i): [string, number] => {
    const difference = counts(i) ? Math.abs(scale - (got[i] ?? Number.NaN)) : 0;
    return [`block ${i}`, difference === 0 ? 0 : difference / (nestedAbsmax[Math.floor(i / size)] as number)];
  });
  return largest(what, TOLERANCES.restoredAbsmax, errors);
}

/** Our double quantization: offset, scales and codes. A code counts as right if it is the stored or the exactly nearest one. */
async function doubleQuantizes(file: TensorFile, shape: readonly number[], index: Index): Promise<Measure[]> {
  const offset = (await floats(file, "dq.offset"))[0] as number;
  const nestedAbsmax = await floats(file, "dq.nested_absmax");
  const own = quantizeNf4(await floats(file, "input"), { shape, blockSize: index.blocksize, doubleQuant: true });
  // From the stored offset on, so that its last place does not shift every code.
  const { absmax, nested } = quantizeScales(await floats(file, "absmax"), offset);
  const [codes, nearest] = [await file.read("dq.absmax"), await file.read("dq.nearest")];
  // Where all scales equal the mean, the codes carry no information.
  const informative = (i: number): boolean => nestedAbsmax[Math.floor(i / index.nested_blocksize)] !== 0;
  const wrong = codes.filter((code, i) => informative(i) && nested.absmax[i] !== code && nested.absmax[i] !== nearest[i]);
  const ulp = 2 ** (Math.floor(Math.log2(Math.abs(offset) || 2 ** -126)) - 23);
  const sameCode = (i: number): boolean => nested.absmax[i] === codes[i] || !informative(i);
  return [
    {
      what: "offset, in units of its last place",
      error: Math.abs((own.nested?.offset ?? Number.NaN) - offset) / ulp,
      tolerance: TOLERANCES.offsetUlps,
    },
    sameBytes("nested_absmax", nestedAbsmax, nested.nestedAbsmax),
    sameBytes("nested_quant_map", await floats(file, "dq.nested_quant_map"), nested.quantMap),
    { what: "codes of the scales, neither stored nor nearest", error: wrong.length, tolerance: TOLERANCES.exact },
    scalesMeasure("scales restored from own codes", await floats(file, "dq.absmax_restored"), absmax, nestedAbsmax, index, sameCode),
  ];
}
