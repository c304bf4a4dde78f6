import { HeirloomError, listNames, nearestName } from "../../core/index.ts";
import { type GgufHeader, type GgufTensor, type PythonFloat, printable, pyFloat } from "../../formats/index.ts";
import { ARCHITECTURES } from "../architectures/index.ts";
import type { ModelSpec } from "../model-spec.ts";
import { modelParameters } from "../modules.ts";
import { parseModelConfig } from "../parse-config.ts";
import { GGUF_ARCHITECTURES, type GgufArchitecture } from "./architectures.ts";
import { MetadataReader } from "./metadata-reader.ts";
import { recoverLlama3 } from "./rope-factors.ts";
import { hfTensorName } from "./tensor-names.ts";

/** Values of the one tensor that the configuration depends on. */
export const ROPE_FACTORS = "rope_freqs.weight";

/** One tensor of the model, and where the GGUF file has it. */
export interface GgufParameter {
  /** As transformers calls it. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly stored: GgufTensor;
}

/** A model as a GGUF file describes it. */
export interface GgufModel {
  readonly spec: ModelSpec;
  /** What config.json says; numbers that Python holds as floats are marked. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Whether the rows of q and k are in llama.cpp's order. */
  readonly permutes: boolean;
  /** In the order of transformers. */
  readonly parameters: readonly GgufParameter[];
}

/** Settings of other models of the family that change what is computed. */
const FOREIGN_KEYS = ["expert_count", "attention.scale", "logit_scale", "embedding_scale", "residual_scale", "attn_logit_softcapping"];
/** How many tensors a message names. */
const MAX_NAMED = 6;

function architectureOf(reader: MetadataReader): { readonly name: string; readonly record: GgufArchitecture } {
  const name = reader.text("general.architecture");
  if (name === null) {
    throw new HeirloomError("GGUF_INVALID", "expected general.architecture in the metadata, found none", {
      where: reader.where,
      hint: "check that this is the GGUF file of a language model",
    });
  }
  const record = Object.hasOwn(GGUF_ARCHITECTURES, name) ? GGUF_ARCHITECTURES[name] : undefined;
  if (record !== undefined) return { name, record };
  const known = Object.keys(GGUF_ARCHITECTURES);
  const near = nearestName(name, known);
  throw new HeirloomError("ARCHITECTURE_UNSUPPORTED", `the architecture "${printable(name, 60)}" is not supported`, {
    where: reader.where,
    hint: `supported are ${known.join(", ")}${near === undefined ? "" : `; "${near}" is the nearest, but not the same`}`,
    details: { architecture: name },
  });
}

function refuseForeign(reader: MetadataReader, prefix: string): void {
  if ((reader.number("split.count") ?? 1) > 1) reader.unsupported("one file of several (split.count)");
  const type = reader.text("general.type");
  if (type !== null && type !== "model") reader.unsupported(`a file of the type "${printable(type, 40)}" (general.type)`);
  for (const key of FOREIGN_KEYS) {
    const value = reader.number(`${prefix}.${key}`);
    if (value !== null && value !== 0) reader.unsupported(`${prefix}.${key} (${value})`);
  }
}

/** The rotation's base and scaling as config.json has them. */
function ropeOf(
  reader: MetadataReader,
  prefix: string,
  headDim: number,
  ropeFactors: ArrayLike<number> | null,
): { readonly rope_theta: PythonFloat; readonly rope_scaling: Record<string, unknown> | null } {
  const rotated = reader.number(`${prefix}.rope.dimension_count`) ?? headDim;
  if (rotated !== headDim)
    reader.unsupported(`a rotation of ${rotated} of ${headDim} dimensions of a head (${prefix}.rope.dimension_count)`);
  // 10000 is what llama.cpp assumes, too.
  const theta = reader.number(`${prefix}.rope.freq_base`) ?? 10_000;
  const rope_theta = pyFloat(theta);
  const kind = reader.text(`${prefix}.rope.scaling.type`) ?? (reader.has(`${prefix}.rope.scale_linear`) ? "linear" : "none");
  const factor = reader.number(`${prefix}.rope.scaling.factor`) ?? reader.number(`${prefix}.rope.scale_linear`) ?? 1;
  if (kind !== "none" && kind !== "linear") {
    reader.unsupported(`scaling of the rotation of the type "${printable(kind, 40)}" (${prefix}.rope.scaling.type)`);
    return { rope_theta, rope_scaling: null };
  }
  const linear = kind === "linear" && factor !== 1 ? { rope_type: "linear", factor: pyFloat(factor) } : null;
  if (ropeFactors === null) return { rope_theta, rope_scaling: linear };
  const llama3 = linear === null ? recoverLlama3(ropeFactors, theta, headDim) : null;
  if (llama3 === null) {
    reader.unsupported(`factors of the rotation (${ROPE_FACTORS}) other than those of Llama 3.1 to 3.3`);
    return { rope_theta, rope_scaling: null };
  }
  return {
    rope_theta,
    rope_scaling: {
      rope_type: "llama3",
      factor: pyFloat(llama3.factor),
      low_freq_factor: pyFloat(llama3.lowFrequencyFactor),
      high_freq_factor: pyFloat(llama3.highFrequencyFactor),
      original_max_position_embeddings: llama3.originalMaxPositions,
    },
  };
}

interface Sizes {
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

function sizesOf(reader: MetadataReader, prefix: string): Sizes {
  const hidden = reader.count(`${prefix}.embedding_length`);
  const heads = reader.count(`${prefix}.attention.head_count`);
  const kvHeads = reader.number(`${prefix}.attention.head_count_kv`) ?? heads;
  const headDim = reader.number(`${prefix}.attention.key_length`) ?? hidden / heads;
  const valueDim = reader.number(`${prefix}.attention.value_length`) ?? headDim;
  if (valueDim !== headDim) reader.unsupported(`heads with ${headDim} dimensions of keys and ${valueDim} of values`);
  return { hidden, heads, kvHeads, headDim };
}

/** Which projections have a bias, as config.json of the llama architecture says it. */
function biasFlags(tensors: GgufHeader["tensors"], reader: MetadataReader): Record<string, boolean> {
  const has = (module: string): boolean => tensors.has(`blk.0.${module}.bias`);
  const attention = ["attn_q", "attn_k", "attn_v", "attn_output"].map(has);
  const mlp = ["ffn_gate", "ffn_up", "ffn_down"].map(has);
  if (new Set(attention).size > 1 || new Set(mlp).size > 1) reader.unsupported("a bias on some of a layer's projections and not on others");
  return { attention_bias: attention[0] === true, mlp_bias: mlp[0] === true };
}

function configOf(
  { metadata, tensors }: GgufHeader,
  where: string,
  ropeFactors: ArrayLike<number> | null,
): { readonly config: Record<string, unknown>; readonly record: GgufArchitecture } {
  const reader = new MetadataReader(metadata, where);
  const { name: prefix, record } = architectureOf(reader);
  refuseForeign(reader, prefix);
  const { hidden, heads, kvHeads, headDim } = sizesOf(reader, prefix);
  const embedding = tensors.get("token_embd.weight")?.shape;
  if (embedding?.length !== 2)
    reader.invalid("token_embd.weight", "a matrix", embedding === undefined ? "nothing" : `[${embedding.join(", ")}]`);
  // Models differ in it (1e-5, 1e-6), so that none can be assumed; llama.cpp wants it, too.
  const epsilon = reader.positive(`${prefix}.attention.layer_norm_rms_epsilon`);
  const bos = reader.tokenId("tokenizer.ggml.bos_token_id");
  const eos = reader.tokenId("tokenizer.ggml.eos_token_id");
  const pad = reader.tokenId("tokenizer.ggml.padding_token_id");
  const window = reader.number(`${prefix}.attention.sliding_window`);
  if (window !== null && window !== 0) reader.unsupported(`a sliding window (${prefix}.attention.sliding_window)`);
  const config = {
    architectures: [ARCHITECTURES[record.architecture].className],
    model_type: record.architecture,
    hidden_size: hidden,
    intermediate_size: reader.count(`${prefix}.feed_forward_length`),
    num_hidden_layers: reader.count(`${prefix}.block_count`),
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: headDim,
    vocab_size: embedding?.[0] ?? 1,
    rms_norm_eps: pyFloat(epsilon),
    ...ropeOf(reader, prefix, headDim, ropeFactors),
    max_position_embeddings: reader.count(`${prefix}.context_length`),
    tie_word_embeddings: !tensors.has("output.weight"),
    hidden_act: "silu",
    attention_dropout: pyFloat(0),
    initializer_range: pyFloat(0.02),
    use_cache: true,
    bos_token_id: bos,
    eos_token_id: eos,
    ...(pad === null ? {} : { pad_token_id: pad }),
    ...(record.architecture === "llama" ? biasFlags(tensors, reader) : {}),
    ...(record.architecture === "qwen2" || record.architecture === "qwen3" ? { use_sliding_window: false } : {}),
  };
  reader.throwIfAny();
  return { config, record };
}

/** Marked floats as plain numbers, for {@link parseModelConfig}. */
function plain(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if ("value" in value) return value.value;
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

/** Holds the file's tensors against those that the model has. @throws TENSOR_MISSING, TENSOR_SHAPE, GGUF_UNSUPPORTED */
function matchTensors(spec: ModelSpec, tensors: GgufHeader["tensors"], reader: MetadataReader): GgufParameter[] {
  const byName = new Map<string, GgufTensor>();
  const unknown: string[] = [];
  for (const tensor of tensors.values()) {
    const name = hfTensorName(tensor.name);
    if (name !== null) byName.set(name, tensor);
    else if (tensor.name !== ROPE_FACTORS) unknown.push(tensor.name);
  }
  const parameters: GgufParameter[] = [];
  const { where, problems } = reader;
  for (const { name, shape, tiedTo } of modelParameters(spec)) {
    if (tiedTo !== undefined) continue;
    const stored = byName.get(name);
    byName.delete(name);
    if (stored === undefined) {
      problems.add("TENSOR_MISSING", `expected a tensor for ${name}, found none`, { where, details: { tensor: name } });
    } else if (stored.shape.length !== shape.length || stored.shape.some((size, i) => size !== shape[i])) {
      const message = `${stored.name}: expected [${shape.join(", ")}], found [${stored.shape.join(", ")}]`;
      problems.add("TENSOR_SHAPE", message, { where, details: { tensor: name } });
    } else parameters.push({ name, shape, stored });
  }
  const left = [...unknown, ...[...byName.values()].map((tensor) => tensor.name)];
  if (left.length > 0) {
    const named = left.map((name) => printable(name, 80));
    reader.unsupported(`${left.length} tensors that a ${spec.architecture} model does not have (${listNames(named, MAX_NAMED)})`);
  }
  reader.throwIfAny();
  return parameters;
}

/**
 * What the model in a GGUF file is: its configuration as transformers writes it,
 * and which stored tensor each of its parameters is.
 *
 * @param ropeFactors values of {@link ROPE_FACTORS}, if the file has that tensor
 * @param where the file's name, for messages
 * @throws ARCHITECTURE_UNSUPPORTED, naming those that are supported; GGUF_UNSUPPORTED for features that cannot be taken over;
 * GGUF_INVALID, TENSOR_MISSING, TENSOR_SHAPE, MODEL_CONFIG_INVALID
 */
export function modelFromGguf(header: GgufHeader, ropeFactors: ArrayLike<number> | null, where: string): GgufModel {
  const { config, record } = configOf(header, where, ropeFactors);
  const spec = parseModelConfig(plain(config), where);
  const parameters = matchTensors(spec, header.tensors, new MetadataReader(header.metadata, where));
  return { spec, config, permutes: record.permutes, parameters };
}
