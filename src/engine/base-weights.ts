import { totalmem } from "node:os";
import { decodeToF32, dequantizeNf4, type Nf4Tensor, quantizeNf4 } from "../codecs/index.ts";
import { sameShape } from "../compute/index.ts";
import { DEQUANTIZED_CACHE_SHARE } from "../config/index.ts";
import { HeirloomError, ProblemList } from "../core/index.ts";
import { isBnb4bit, readBnb4bit, type TensorFile } from "../formats/index.ts";
import { type ModelSpec, modelParameters, type ParameterSpec } from "../model/index.ts";

/** How the base's linear layers are held. */
export interface QuantizationChoice {
  readonly type: "nf4";
  readonly doubleQuant: boolean;
}

/** Whether dequantized NF4 weights stay in memory: `auto` keeps them while they fit. */
export type CachePolicy = "auto" | "on" | "off";

type Held = { readonly kind: "dense"; readonly values: Float32Array } | { readonly kind: "nf4"; readonly tensor: Nf4Tensor };

/** One tensor of the base as it is held. */
export interface BaseTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** `NF4` for quantized ones, also while their dequantized values are cached. */
  readonly dtype: string;
  /** Bytes in memory. */
  readonly bytes: number;
}

/** The frozen base: every parameter by name, dense (fp32) or NF4. */
export class BaseWeights {
  readonly spec: ModelSpec;
  readonly quantized: ReadonlySet<string>;
  readonly doubleQuant: boolean;
  readonly #held: Map<string, Held>;

  constructor(spec: ModelSpec, held: Map<string, Held>, facts: { quantized: ReadonlySet<string>; doubleQuant: boolean }) {
    this.spec = spec;
    this.#held = held;
    this.quantized = facts.quantized;
    this.doubleQuant = facts.doubleQuant;
  }

  #find(name: string): Held {
    const held = this.#held.get(name);
    if (held === undefined) throw new HeirloomError("TENSOR_MISSING", "the base model has no such parameter", { where: name });
    return held;
  }

  /**
   * The fp32 values of a parameter, row-major in its shape. A packed tensor is
   * dequantized into the buffer that `scratch` gives for its length.
   */
  values(name: string, scratch: (length: number) => Float32Array = (length) => new Float32Array(length)): Float32Array {
    const held = this.#find(name);
    if (held.kind === "dense") return held.values;
    const target = scratch(held.tensor.shape.reduce((product, n) => product * n, 1));
    dequantizeNf4(held.tensor, target);
    return target;
  }

  /** Whether {@link values} dequantizes this parameter each time. */
  isPacked(name: string): boolean {
    return this.#find(name).kind === "nf4";
  }

  /** Every tensor that is held, once; a tied head is its embedding. */
  *tensors(): Iterable<BaseTensor> {
    for (const { name, shape, tiedTo } of modelParameters(this.spec)) {
      if (tiedTo !== undefined) continue;
      const held = this.#find(name);
      const bytes = held.kind === "dense" ? held.values.byteLength : held.tensor.packed.byteLength + held.tensor.absmax.byteLength;
      yield { name, shape, dtype: this.quantized.has(name) ? "NF4" : "F32", bytes };
    }
  }

  /** The memory itself of a parameter's values (packed ones: codes and scales), for who watches that nothing writes to it. */
  memory(name: string): readonly (Float32Array | Uint8Array)[] {
    const held = this.#find(name);
    return held.kind === "dense" ? [held.values] : [held.tensor.packed, held.tensor.absmax];
  }

  /** Bytes that the base holds in memory. */
  get bytes(): number {
    let total = 0;
    for (const held of new Set(this.#held.values()))
      total += held.kind === "dense" ? held.values.byteLength : held.tensor.packed.byteLength + held.tensor.absmax.byteLength;
    return total;
  }
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

async function readDense(file: TensorFile, parameter: ParameterSpec, problems: ProblemList): Promise<Float32Array | null> {
  const entry = file.tensors.get(parameter.name);
  if (entry === undefined) {
    problems.add("TENSOR_MISSING", `expected ${parameter.name} of shape [${parameter.shape.join(", ")}], found no such tensor`, {
      where: file.name,
      details: { tensor: parameter.name },
    });
    return null;
  }
  if (!sameShape(entry.shape, parameter.shape)) {
    problems.add(
      "TENSOR_SHAPE",
      `expected shape [${parameter.shape.join(", ")}] from the configuration, found [${entry.shape.join(", ")}]`,
      {
        where: `${file.name} ${parameter.name}`,
        details: { tensor: parameter.name, expected: parameter.shape, found: entry.shape },
      },
    );
    return null;
  }
  try {
    const values = decodeToF32(entry.dtype, await file.read(parameter.name), `${file.name} ${parameter.name}`);
    return checkFinite(values, parameter.name, file.name, problems) ? values : null;
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

/** The most memory that this process can ever have: the machine's, or a container's limit below it. */
function memoryLimit(): number {
  // 0 or more than there is: no limit is set.
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/** Memory that can be had now, beside what this process and others have. */
function memoryLeft(): number {
  // macOS counts as free only pages that hold nothing at all, which on a machine that has run for a while are few.
  return process.platform === "darwin" ? memoryLimit() : process.availableMemory();
}

/** Bytes that may be planned with: a share of all memory that this process can have, as far as it can be had now. */
export function memoryBudget(share: number): number {
  return Math.floor(Math.min(share * memoryLimit(), memoryLeft()));
}

/** Decides, before anything is read, whether dequantized weights may stay. */
function keepsDequantized(parameters: readonly ParameterSpec[], policy: CachePolicy): boolean {
  if (policy !== "auto") return policy === "on";
  const bytes = parameters.filter((p) => p.kind === "linear").reduce((sum, p) => sum + 4 * p.shape.reduce((n, d) => n * d, 1), 0);
  return bytes <= memoryBudget(DEQUANTIZED_CACHE_SHARE);
}

/** Options of {@link loadBaseWeights}. */
export interface BaseOptions {
  /** Quantize the linear layers on load; null: as the files are. A 4-bit checkpoint is always read as what it is. */
  readonly quantization: QuantizationChoice | null;
  readonly cache: CachePolicy;
}

/**
 * Reads every parameter of the base. All that is missing, misshapen, of an
 * unusable dtype or not finite is reported at once.
 *
 * @throws TENSOR_MISSING, TENSOR_SHAPE, TENSOR_DTYPE, TENSOR_NOT_FINITE, BNB_INVALID
 */
export async function loadBaseWeights(file: TensorFile, spec: ModelSpec, options: BaseOptions): Promise<BaseWeights> {
  const problems = new ProblemList();
  const all = modelParameters(spec);
  const parameters = all.filter((parameter) => parameter.tiedTo === undefined);
  const keep = keepsDequantized(parameters, options.cache);
  const held = new Map<string, Held>();
  const quantized = new Set<string>();
  let doubleQuant = options.quantization?.doubleQuant ?? false;
  const hold = (name: string, tensor: Nf4Tensor): void => {
    quantized.add(name);
    if (!keep) {
      held.set(name, { kind: "nf4", tensor });
      return;
    }
    const values = new Float32Array(tensor.shape.reduce((product, n) => product * n, 1));
    dequantizeNf4(tensor, values);
    held.set(name, { kind: "dense", values });
  };
  for (const parameter of parameters) {
    if (isBnb4bit(file, parameter.name)) {
      const tensor = await readPacked(file, parameter, problems);
      if (tensor !== null) hold(parameter.name, tensor);
      doubleQuant = tensor?.nested !== undefined;
      continue;
    }
    const values = await readDense(file, parameter, problems);
    if (values === null) continue;
    if (options.quantization !== null && parameter.kind === "linear") {
      hold(parameter.name, quantizeNf4(values, { shape: parameter.shape, blockSize: 64, doubleQuant: options.quantization.doubleQuant }));
    } else {
      held.set(parameter.name, { kind: "dense", values });
    }
  }
  problems.throwIfAny();
  for (const { name, tiedTo } of all) {
    const tied = tiedTo === undefined ? undefined : held.get(tiedTo);
    if (tied !== undefined) held.set(name, tied);
  }
  return new BaseWeights(spec, held, { quantized, doubleQuant });
}
