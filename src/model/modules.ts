import { ARCHITECTURES } from "./architectures/index.ts";
import type { ModelSpec } from "./model-spec.ts";
import type { ModuleSpec, Nf4Spec, ParameterKind, ParameterSpec } from "./types.ts";

/** Path of the input embedding in every architecture of the family. */
export const INPUT_EMBEDDING = "model.embed_tokens";
/** Path of the output embedding (the language-model head). */
export const OUTPUT_EMBEDDING = "lm_head";

/** All modules that own parameters, in the order of PyTorch's `named_modules()`. */
export function modelModules(spec: ModelSpec): ModuleSpec[] {
  const { blockModules } = ARCHITECTURES[spec.architecture];
  const embeddingShape = [spec.vocabSize, spec.hiddenSize];
  return [
    { path: INPUT_EMBEDDING, kind: "Embedding", shape: embeddingShape, bias: false, layer: null },
    ...Array.from({ length: spec.layerCount }, (_, layer) => blockModules(spec, layer)).flat(),
    { path: "model.norm", kind: "RMSNorm", shape: [spec.hiddenSize], bias: false, layer: null },
    { path: OUTPUT_EMBEDDING, kind: "Linear", shape: embeddingShape, bias: false, layer: null },
  ];
}

/**
 * Paths of the modules that own no parameter themselves but hold others:
 * `model`, `model.layers`, `model.layers.0`, `model.layers.0.mlp` …
 */
export function containerModules(spec: ModelSpec): string[] {
  const paths = new Set<string>();
  for (const { path } of modelModules(spec)) {
    const parts = path.split(".");
    for (let length = 1; length < parts.length; length++) paths.add(parts.slice(0, length).join("."));
  }
  return [...paths];
}

/**
 * Paths of modules without parameters that are no containers either; PyTorch's
 * `named_modules()` lists them, so a pattern can hit them.
 */
export function statelessModules(spec: ModelSpec): string[] {
  return [...Array.from({ length: spec.layerCount }, (_, layer) => `model.layers.${layer}.mlp.act_fn`), "model.rotary_emb"];
}

function weightKind(module: ModuleSpec): ParameterKind {
  if (module.kind === "Embedding") return "embedding";
  if (module.kind === "RMSNorm") return "norm";
  return module.path === OUTPUT_EMBEDDING ? "head" : "linear";
}

/** The parameters of one module: its weight, then its bias if it has one. */
export function moduleParameters(spec: ModelSpec, module: ModuleSpec): ParameterSpec[] {
  const { path, layer, shape } = module;
  const tied = spec.tieWordEmbeddings && path === OUTPUT_EMBEDDING;
  const weight: ParameterSpec = {
    name: `${path}.weight`,
    module: path,
    shape,
    kind: weightKind(module),
    layer,
    ...(tied ? { tiedTo: `${INPUT_EMBEDDING}.weight` } : {}),
  };
  return module.bias ? [weight, { name: `${path}.bias`, module: path, shape: shape.slice(0, 1), kind: "bias", layer }] : [weight];
}

/**
 * All parameters in the order of PyTorch's `named_parameters()`. A tied `lm_head`
 * is listed too, marked by `tiedTo`; PyTorch lists such a tensor once.
 */
export function modelParameters(spec: ModelSpec): ParameterSpec[] {
  return modelModules(spec).flatMap((module) => moduleParameters(spec, module));
}

/** How many different numbers the model holds (tied tensors once). */
export function parameterCount(spec: ModelSpec): number {
  return modelParameters(spec).reduce((sum, { shape, tiedTo }) => (tiedTo === undefined ? sum + shape.reduce((a, b) => a * b, 1) : sum), 0);
}

/**
 * The Linear modules that a 4-bit load quantizes: all but those that
 * `skipModules` names by path, by last part or by a parent's path.
 */
export function quantizedModules(spec: ModelSpec, quantization: Pick<Nf4Spec, "skipModules">): ModuleSpec[] {
  const skips = quantization.skipModules;
  return modelModules(spec).filter(
    ({ kind, path }) =>
      kind === "Linear" &&
      !(spec.tieWordEmbeddings && path === OUTPUT_EMBEDDING) &&
      !skips.some((skip) => path === skip || path.endsWith(`.${skip}`) || `.${path}.`.includes(`.${skip}.`)),
  );
}
