import { bf16ToF32, decodeToF32, dequantizeNf4, type Nf4Tensor, quantizeNf4 } from "../codecs/index.ts";
import { sameShape } from "../compute/index.ts";
import { DEQUANTIZED_CACHE_SHARE } from "../config/index.ts";
import { ProblemList } from "../core/index.ts";
import { isBnb4bit, readBnb4bit, type TensorFile } from "../formats/index.ts";
import { INPUT_EMBEDDING, type ModelSpec, modelParameters, type ParameterSpec } from "../model/index.ts";
import { BaseWeights, type HeldTensor } from "./base-weights.ts";
import { memoryBudget } from "./memory-budget.ts";

/** How the base's linear layers are held. */
export interface QuantizationChoice {
  readonly type: "nf4";
  readonly doubleQuant: boolean;
}

/** Whether matrices stay in memory as fp32 rather than as they are stored (NF4, bf16): `auto` keeps them while they fit. */
export type CachePolicy = "auto" | "on" | "off";

/** Options of {@link loadBaseWeights}. */
export interface BaseOptions {
  /** Quantize the linear layers on load; null: as the files are. A 4-bit checkpoint is always read as what it is. */
  readonly quantization: QuantizationChoice | null;
  readonly cache: CachePolicy;
}

function checkFinite(values: Float32Array, name: string, where: string, problems: ProblemList): boolean {
  for (let i = 0; i < values.length; i++) {
    // x − x is 0 exactly for finite x, NaN otherwise.
    if ((values[i] as number) - (values[i] as number) === 0) continue;
    problems.add("TENSOR_NOT_FINITE", `element ${i} of ${values.length} is ${values[i]}`, {
      where: `${where} ${name}`,
      hint: "the base model's file is damaged or was saved from a diverged run; get it again",
      details: { tensor: name, index: i },
    });
    return false;
  }
  return true;
}

/** The same of bf16 bits: the exponent of a value that is not finite is all ones. */
function checkFiniteBits(bits: Uint16Array, name: string, where: string, problems: ProblemList): boolean {
  const index = bits.findIndex((unit) => (unit & 0x7f80) === 0x7f80);
  return index < 0 || checkFinite(bf16ToF32(bits.subarray(0, index + 1)), name, where, problems);
}

/** Whether the file has the tensor as the configuration describes it. */
function isThere(file: TensorFile, { name, shape }: ParameterSpec, problems: ProblemList): boolean {
  const entry = file.tensors.get(name);
  if (entry === undefined) {
    problems.add("TENSOR_MISSING", `expected ${name} of shape [${shape.join(", ")}], found no such tensor`, {
      where: file.name,
      details: { tensor: name },
    });
    return false;
  }
  if (sameShape(entry.shape, shape)) return true;
  problems.add("TENSOR_SHAPE", `expected shape [${shape.join(", ")}] from the configuration, found [${entry.shape.join(", ")}]`, {
    where: `${file.name} ${name}`,
    details: { tensor: name, expected: shape, found: entry.shape },
  });
  return false;
}

/** The fp32 values of a tensor of the file, or null with what is wrong with it. */
async function readValues(file: TensorFile, parameter: ParameterSpec, problems: ProblemList): Promise<Float32Array | null> {
  const entry = file.tensors.get(parameter.name);
  if (entry === undefined) return null;
  try {
    const values = decodeToF32(entry.dtype, await file.read(parameter.name), `${file.name} ${parameter.name}`);
    return checkFinite(values, parameter.name, file.name, problems) ? values : null;
  } catch (error) {
    problems.absorb(error);
    return null;
  }
}

/** The bits of a bf16 tensor of the file, or null with what is wrong with it. */
async function readBits(file: TensorFile, parameter: ParameterSpec, problems: ProblemList): Promise<Uint16Array | null> {
  try {
    const bytes = await file.read(parameter.name);
    const whole = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes);
    const bits = new Uint16Array(whole.buffer, whole.byteOffset, whole.byteLength / 2);
    return checkFiniteBits(bits, parameter.name, file.name, problems) ? bits : null;
  } catch (error) {
    problems.absorb(error);
    return null;
  }
}

/** Reads a 4-bit tensor and compares the shape in its state with the model's. */
async function readPacked(file: TensorFile, parameter: ParameterSpec, problems: ProblemList): Promise<Nf4Tensor | null> {
  try {
    const tensor = await readBnb4bit(file, parameter.name);
    if (sameShape(tensor.shape, parameter.shape)) return tensor;
    problems.add(
      "TENSOR_SHAPE",
      `expected shape [${parameter.shape.join(", ")}] from the configuration, found [${tensor.shape.join(", ")}] in its quantization state`,
      { where: `${file.name} ${parameter.name}`, details: { tensor: parameter.name, expected: parameter.shape, found: tensor.shape } },
    );
  } catch (error) {
    problems.absorb(error);
  }
  return null;
}

/** Whether matrices are to be held as fp32; decided before anything is read. */
function keepsValues(parameters: readonly ParameterSpec[], policy: CachePolicy): boolean {
  if (policy !== "auto") return policy === "on";
  const bytes = parameters.filter((p) => p.kind === "linear").reduce((sum, p) => sum + 4 * p.shape.reduce((n, d) => n * d, 1), 0);
  return bytes <= memoryBudget(DEQUANTIZED_CACHE_SHARE);
}

/** Reads the tensors of one base, each as it is to be held. */
class BaseReader {
  readonly file: TensorFile;
  readonly options: BaseOptions;
  /** Whether matrices are held as fp32. */
  readonly keepsValues: boolean;
  /** The embedding is looked up row by row, which costs next to nothing from bf16; as a head it is a matrix like others. */
  readonly isTied: boolean;
  readonly problems = new ProblemList();
  readonly quantized = new Set<string>();
  doubleQuant: boolean;

  constructor(file: TensorFile, parameters: readonly ParameterSpec[], options: BaseOptions) {
    this.file = file;
    this.options = options;
    this.keepsValues = keepsValues(parameters, options.cache);
    this.isTied = parameters.some(({ tiedTo }) => tiedTo !== undefined);
    this.doubleQuant = options.quantization?.doubleQuant ?? false;
  }

  async read(parameter: ParameterSpec): Promise<HeldTensor | null> {
    const { file, problems, options } = this;
    if (isBnb4bit(file, parameter.name)) {
      const tensor = await readPacked(file, parameter, problems);
      this.doubleQuant = tensor?.nested !== undefined;
      return tensor === null ? null : this.#quantized(parameter, tensor);
    }
    if (!isThere(file, parameter, problems)) return null;
    const isQuantized = options.quantization !== null && parameter.kind === "linear";
    if (!isQuantized && this.#staysBf16(parameter)) {
      const bits = await readBits(file, parameter, problems);
      return bits === null ? null : { kind: "bf16", bits };
    }
    const values = await readValues(file, parameter, problems);
    if (values === null || !isQuantized) return values === null ? null : { kind: "dense", values };
    const { doubleQuant } = this;
    return this.#quantized(parameter, quantizeNf4(values, { shape: parameter.shape, blockSize: 64, doubleQuant }));
  }

  #staysBf16({ name, shape }: ParameterSpec): boolean {
    if (this.file.tensors.get(name)?.dtype !== "BF16" || shape.length !== 2) return false;
    return !this.keepsValues || (name === `${INPUT_EMBEDDING}.weight` && !this.isTied);
  }

  #quantized({ name }: ParameterSpec, tensor: Nf4Tensor): HeldTensor {
    this.quantized.add(name);
    if (!this.keepsValues) {
      const { absmax, nested, ...codes } = tensor;
      // The scales' own 8 bits are a quarter of their fp32 values, and restoring them costs nothing beside the codes.
      return { kind: "nf4", tensor: nested === undefined ? { ...codes, absmax } : { ...codes, nested } };
    }
    const values = new Float32Array(tensor.shape.reduce((product, n) => product * n, 1));
    dequantizeNf4(tensor, values);
    return { kind: "dense", values };
  }
}

/**
 * Reads every parameter of the base. All that is missing, misshapen, of an
 * unusable dtype or not finite is reported at once.
 *
 * @throws TENSOR_MISSING, TENSOR_SHAPE, TENSOR_DTYPE, TENSOR_NOT_FINITE, BNB_INVALID
 */
export async function loadBaseWeights(file: TensorFile, spec: ModelSpec, options: BaseOptions): Promise<BaseWeights> {
  const parameters = modelParameters(spec);
  const reader = new BaseReader(file, parameters, options);
  const held = new Map<string, HeldTensor>();
  for (const parameter of parameters) {
    if (parameter.tiedTo !== undefined) continue;
    const tensor = await reader.read(parameter);
    if (tensor !== null) held.set(parameter.name, tensor);
  }
  reader.problems.throwIfAny();
  for (const { name, tiedTo } of parameters) {
    const tied = tiedTo === undefined ? undefined : held.get(tiedTo);
    if (tied !== undefined) held.set(name, tied);
  }
  return new BaseWeights(spec, held, reader);
}
