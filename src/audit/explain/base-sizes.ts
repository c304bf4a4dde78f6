import { InternalError } from "../../core/index.ts";
import {
  INPUT_EMBEDDING,
  type ModelSpec,
  type ModuleSpec,
  modelModules,
  moduleParameters,
  OUTPUT_EMBEDDING,
  parameterCount,
  quantizedModules,
} from "../../model/index.ts";

/** A linear module that each layer has once. */
export interface LayerLinear {
  /** `q_proj` */
  readonly name: string;
  /** Values of a LoRA pair at rank 1: in + out. */
  readonly perRank: number;
  /** Output features: what DoRA adds. */
  readonly outputs: number;
  /** Values of the bias; 0 without one. */
  readonly bias: number;
}

/** How quantized weights are counted: by their values (PEFT), or by the bytes they are packed in (`numel()`). */
export type Counting = "values" | "packed";

/** All that explaining a banner needs of a base model. */
export interface BaseSizes {
  readonly layerCount: number;
  readonly linears: readonly LayerLinear[];
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly tied: boolean;
  /** All parameters of the base: each value once, or two 4-bit values as one byte. */
  readonly parameters: Readonly<Record<Counting, number>>;
  /** Values of all bias vectors. */
  readonly biases: number;
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

function linearOf({ path, shape, bias }: ModuleSpec): LayerLinear {
  const [outputs = 0, inputs = 0] = shape;
  return { name: lastPart(path), perRank: inputs + outputs, outputs, bias: bias ? outputs : 0 };
}

const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

/** Parameters as `numel()` counts them when bitsandbytes has packed the linear weights, two to a byte. */
function packedCount(spec: ModelSpec): number {
  // What transformers leaves dense unless told otherwise: the head.
  const quantization = spec.quantization ?? { skipModules: [OUTPUT_EMBEDDING] };
  const saved = quantizedModules(spec, quantization).reduce((sum, { shape }) => {
    const size = sizeOf(shape);
    return sum + size - Math.ceil(size / 2);
  }, 0);
  return parameterCount(spec) - saved;
}

/** Takes the sizes off a model's configuration. */
export function baseSizes(spec: ModelSpec): BaseSizes {
  const modules = modelModules(spec);
  const linears = modules.filter(({ kind, layer }) => kind === "Linear" && layer === 0).map(linearOf);
  const inLayers = modules.filter(({ kind, layer }) => kind === "Linear" && layer !== null);
  const perLayer = linears.reduce((sum, { perRank }) => sum + perRank, 0);
  const all = inLayers.reduce((sum, module) => sum + linearOf(module).perRank, 0);
  if (all !== perLayer * spec.layerCount) throw new InternalError("explain takes all layers to have the same linear modules");
  if (modules.some(({ path, bias }) => (path === INPUT_EMBEDDING || path === OUTPUT_EMBEDDING) && bias)) {
    throw new InternalError("explain takes embeddings to have no bias");
  }
  return {
    layerCount: spec.layerCount,
    linears,
    vocabSize: spec.vocabSize,
    hiddenSize: spec.hiddenSize,
    tied: spec.tieWordEmbeddings,
    parameters: { values: parameterCount(spec), packed: packedCount(spec) },
    biases: modules
      .flatMap((module) => moduleParameters(spec, module))
      .reduce((sum, { kind, shape }) => (kind === "bias" ? sum + sizeOf(shape) : sum), 0),
  };
}
