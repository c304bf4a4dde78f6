import { type AdapterSpec, type AdapterTensor, adapterTensors, type ResolvedAdapter } from "../adapter/index.ts";
import { decodeToF32 } from "../codecs/index.ts";
import { ProblemList, RandomStream } from "../core/index.ts";
import type { TensorFile } from "../formats/index.ts";
import { type ModelSpec, modelParameters } from "../model/index.ts";
import type { BaseWeights } from "./base-weights.ts";
import { createParameter, EMBEDDING_KEY, type MasterDtype, type Parameter, readValues, storedLayout } from "./parameter.ts";

/** How an adapter's tensors become parameters. */
export interface AdapterParameterOptions {
  readonly spec: AdapterSpec;
  readonly resolved: ResolvedAdapter;
  readonly base: BaseWeights;
  /** Seed of the initial LoRA matrices. */
  readonly seed: number;
  /** Precision of the full copies' masters; LoRA matrices are always fp32. */
  readonly fullCopyDtype: MasterDtype;
}

/** The name under which the graphs ask for an adapter's tensor. */
function graphKey(tensor: AdapterTensor): string {
  if (tensor.role !== "full_copy") return `${tensor.module}.${tensor.role}`;
  return tensor.name.replace(/^base_model\.model\./, "");
}

/** Whether a tensor is only looked up, row by row: an input embedding that is not the head as well. */
function isLookedUp(keys: readonly string[]): boolean {
  return keys.length === 1 && keys[0] === EMBEDDING_KEY;
}

/** Words that a stream gives up for one number: a uniform one takes two, a normal one two uniform ones. */
const UNIFORM_WORDS = 2;
const NORMAL_WORDS = 4;

/** `next` for every element from `first` on, as if those before had been drawn, too; they are left 0. */
function drawn(count: number, first: number, random: RandomStream, words: number, next: () => number): Float32Array {
  const values = new Float32Array(count);
  if (first > 0) random.position = first * words;
  for (let i = first; i < count; i++) values[i] = next();
  return values;
}

/** torch's `kaiming_uniform_(a=√5)`: uniform in ±1/√fan_in, as PEFT starts A. */
function kaimingUniform(shape: readonly number[], first: number, random: RandomStream): Float32Array {
  const [rows, fanIn] = shape as [number, number];
  const bound = 1 / Math.sqrt(fanIn);
  return drawn(rows * fanIn, first, random, UNIFORM_WORDS, () => (2 * random.nextFloat() - 1) * bound);
}

/**
 * The initial value of a LoRA matrix, as PEFT's `init_lora_weights` says.
 *
 * @param kept elements of A, its first rows, that come from elsewhere and are left 0
 */
function initialLora(tensor: AdapterTensor, options: AdapterParameterOptions, kept: number): Float32Array {
  const { initLoraWeights } = options.spec;
  const [rows, columns] = tensor.shape as [number, number];
  const random = new RandomStream(options.seed, tensor.liveName);
  // A larger B has new columns, which lie between the old ones.
  const first = tensor.role === "lora_B" ? 0 : kept;
  if (initLoraWeights === false) return kaimingUniform(tensor.shape, first, random);
  if (tensor.role === "lora_B") return new Float32Array(rows * columns);
  if (initLoraWeights === true) return kaimingUniform(tensor.shape, first, random);
  const [rank] = tensor.shape as [number]; // of A, which may be the module's own
  return drawn(rows * columns, first, random, NORMAL_WORDS, () => random.nextNormal() / rank);
}

/** What a full copy starts from: the base's own values, as bits where neither side needs them otherwise. */
function copyOf({ base, fullCopyDtype }: AdapterParameterOptions, key: string): Float32Array | Uint16Array {
  const bits = fullCopyDtype === "BF16" ? base.bits(key) : null;
  return bits === null ? Float32Array.from(base.values(key)) : bits.slice();
}

type Values = (tensor: AdapterTensor) => Promise<Float32Array | Uint16Array | null>;

/** One parameter per storage: a tied copy adds its key to the tensor whose storage it shares. */
async function makeParameters(options: AdapterParameterOptions, values: Values): Promise<Parameter[]> {
  const tensors = adapterTensors(options.resolved);
  const parameters: Parameter[] = [];
  for (const tensor of tensors) {
    if (tensor.aliasOf !== undefined) continue;
    const stored = await values(tensor);
    if (stored === null) continue;
    const masterDtype = tensor.role === "full_copy" ? options.fullCopyDtype : "F32";
    const keys = [tensor, ...tensors.filter((other) => other.aliasOf === tensor.liveName)].map(graphKey);
    parameters.push(
      createParameter({
        name: tensor.liveName,
        diskName: tensor.name,
        module: tensor.module,
        keys,
        role: tensor.role,
        shape: tensor.shape,
        masterDtype,
        stored,
        rowGradient: isLookedUp(keys),
      }),
    );
  }
  return parameters;
}

/**
 * The parameters of a new adapter: LoRA as PEFT starts it, full copies equal to the base.
 *
 * @param kept parameters by name whose values come first: nothing is drawn or copied where they are the whole tensor, and
 *   of a larger one their part is left open. @defaultValue none
 */
export function newAdapterParameters(
  options: AdapterParameterOptions,
  kept: ReadonlyMap<string, Parameter> = new Map(),
): Promise<Parameter[]> {
  return makeParameters(options, (tensor) => {
    const before = kept.get(tensor.liveName);
    if (before?.shape.join() === tensor.shape.join()) return Promise.resolve(storedLayout(before, readValues(before)));
    const values =
      tensor.role === "full_copy" ? copyOf(options, graphKey(tensor)) : initialLora(tensor, options, before?.values.length ?? 0);
    return Promise.resolve(values);
  });
}

/**
 * The parameters of a saved adapter. Everything that is missing, misshapen or
 * left over in the file is reported at once; nothing is skipped.
 *
 * @throws ADAPTER_INCOMPATIBLE, TENSOR_SHAPE, TENSOR_NOT_FINITE
 */
export async function readAdapterParameters(file: TensorFile, options: AdapterParameterOptions): Promise<Parameter[]> {
  const problems = new ProblemList();
  const tensors = adapterTensors(options.resolved);
  const expected = new Set(tensors.map((tensor) => tensor.name));
  for (const name of file.tensors.keys()) {
    if (!expected.has(name))
      problems.add("ADAPTER_INCOMPATIBLE", "the adapter has a tensor that its own configuration does not ask for on this base", {
        where: `${file.name} ${name}`,
      });
  }
  const read: Values = async (tensor) => {
    const entry = file.tensors.get(tensor.name);
    if (entry === undefined) {
      problems.add("ADAPTER_INCOMPATIBLE", `expected a tensor of shape [${tensor.shape.join(", ")}], found none`, {
        where: `${file.name} ${tensor.name}`,
      });
      return null;
    }
    if (entry.shape.join() !== tensor.shape.join()) {
      problems.add("TENSOR_SHAPE", `expected shape [${tensor.shape.join(", ")}], found [${entry.shape.join(", ")}]`, {
        where: `${file.name} ${tensor.name}`,
      });
      return null;
    }
    const values = decodeToF32(entry.dtype, await file.read(tensor.name), `${file.name} ${tensor.name}`);
    const bad = values.findIndex((value) => value - value !== 0);
    if (bad >= 0) problems.add("TENSOR_NOT_FINITE", `element ${bad} is ${values[bad]}`, { where: `${file.name} ${tensor.name}` });
    return values;
  };
  const parameters = await makeParameters(options, read);
  problems.throwIfAny();
  return parameters;
}

/** Every parameter of the base as a trained one (full-parameter training). `values` are taken over, not copied. */
export function baseParameters(spec: ModelSpec, values: (name: string) => Float32Array, masterDtype: MasterDtype): Parameter[] {
  const all = modelParameters(spec);
  return all
    .filter((parameter) => parameter.tiedTo === undefined)
    .map((parameter) => {
      const keys = [parameter.name, ...all.filter((other) => other.tiedTo === parameter.name).map((other) => other.name)];
      return createParameter({
        name: parameter.name,
        diskName: parameter.name,
        module: parameter.module,
        keys,
        role: "base",
        shape: parameter.shape,
        masterDtype,
        stored: values(parameter.name),
        rowGradient: isLookedUp(keys),
      });
    });
}
