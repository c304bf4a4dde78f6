import { HeirloomError, nearestName, type ProblemList } from "../core/index.ts";
import { ARCHITECTURES, type Architecture, isArchitecture } from "./architectures/index.ts";
import { FieldReader, isRecord } from "./field-reader.ts";
import type { ModelSpec } from "./model-spec.ts";
import { parseQuantization } from "./quantization.ts";
import { parseRope } from "./rope-config.ts";

// Limits against absurd files; the largest real values are beside them.
const MAX_LAYERS = 1024; // 126, Llama 3.1 405B
const MAX_WIDTH = 1 << 20; // 53,248, the MLP of Llama 3.1 405B
const MAX_HEADS = 1 << 12; // 128, Llama 3.1 405B
const MAX_VOCAB = 1 << 24; // 262,208, Gemma 3
const MAX_POSITIONS = 2 ** 31; // 10,485,760, Llama 4 Scout

/**
 * Reads a model's config.json in the spelling of transformers 4 or 5.
 *
 * @param json - the parsed file
 * @param where - the file's name, for messages
 * @throws ARCHITECTURE_UNSUPPORTED, naming the model type, or the feature that the engine lacks
 * @throws QUANTIZATION_UNSUPPORTED for weights in another quantization than bitsandbytes NF4
 * @throws MODEL_CONFIG_INVALID for missing or contradictory fields; all problems at once
 */
export function parseModelConfig(json: unknown, where: string): ModelSpec {
  if (!isRecord(json)) {
    throw new HeirloomError("MODEL_CONFIG_INVALID", `expected a JSON object, found ${Array.isArray(json) ? "a list" : String(json)}`, {
      where,
    });
  }
  const architecture = architectureOf(json, where);
  const record = ARCHITECTURES[architecture];
  const fields = new FieldReader(json, where);
  const activation = fields.optionalString("hidden_act") ?? "silu";
  // "swish" is transformers' other name of the same function.
  if (activation !== "silu" && activation !== "swish") fields.unsupported(`the activation "${activation}"`, { hiddenAct: activation });

  const layerCount = fields.count("num_hidden_layers", null, MAX_LAYERS);
  const headCount = fields.count("num_attention_heads", null, MAX_HEADS);
  const hiddenSize = fields.count("hidden_size", null, MAX_WIDTH);
  const kvHeadCount = fields.count("num_key_value_heads", kvHeadFallback(json, record.defaults.kvHeadCount, headCount), MAX_HEADS);
  const headDim = fields.count("head_dim", record.defaults.headDim ?? Math.floor(hiddenSize / headCount), MAX_WIDTH);
  if (headCount % kvHeadCount !== 0)
    fields.invalid("num_key_value_heads", `a divisor of the ${headCount} attention heads`, `${kvHeadCount}`);
  if (headDim % 2 !== 0) fields.invalid("head_dim", "an even number (rotary halves)", `${headDim}`);
  const maxPositions = fields.count("max_position_embeddings", record.defaults.maxPositions, MAX_POSITIONS);

  const spec: ModelSpec = {
    architecture,
    hiddenSize,
    intermediateSize: fields.count("intermediate_size", null, MAX_WIDTH),
    layerCount,
    headCount,
    kvHeadCount,
    headDim,
    vocabSize: fields.count("vocab_size", null, MAX_VOCAB),
    // 1e-6 and false are the defaults of all four configuration classes.
    rmsNormEps: fields.positive("rms_norm_eps", 1e-6),
    rope: parseRope(fields, maxPositions),
    tieWordEmbeddings: fields.flag("tie_word_embeddings", false),
    biases: record.biases(fields),
    qkNorm: record.qkNorm,
    slidingWindows: record.slidingWindows(fields, layerCount),
    maxPositions,
    bosTokenId: fields.tokenIds("bos_token_id", record.defaults.bosTokenId)[0] ?? null,
    eosTokenIds: fields.tokenIds("eos_token_id", record.defaults.eosTokenId),
    padTokenId: fields.tokenIds("pad_token_id", null)[0] ?? null,
    quantization: parseQuantization(fields),
    torchDtype: parseDtype(fields),
    raw: json,
  };
  sortedThrow(fields.problems);
  return spec;
}

/** An explicit null means "as many as query heads" everywhere; an absent key what the class assumes. */
function kvHeadFallback(json: Record<string, unknown>, assumed: number | null, headCount: number): number {
  return json["num_key_value_heads"] === null ? headCount : (assumed ?? headCount);
}

/** transformers 5 writes `dtype`, 4 wrote `torch_dtype`. */
function parseDtype(fields: FieldReader): string | null {
  const dtype = fields.optionalString("dtype") ?? fields.optionalString("torch_dtype");
  return dtype?.replace(/^torch\./, "") ?? null;
}

/** What cannot be run comes first: its code is the one that the error gets. */
function sortedThrow(problems: ProblemList): void {
  const rank = (code: string) => (code === "MODEL_CONFIG_INVALID" ? 1 : 0);
  const [first, ...rest] = [...problems.problems].sort((a, b) => rank(a.code) - rank(b.code));
  if (first !== undefined) throw HeirloomError.of([first, ...rest]);
}

function architectureOf(json: Record<string, unknown>, where: string): Architecture {
  const modelType = json["model_type"];
  const classes = Array.isArray(json["architectures"]) ? json["architectures"].filter((name) => typeof name === "string") : [];
  if (typeof modelType !== "string") {
    throw new HeirloomError("MODEL_CONFIG_INVALID", `model_type: expected a string, found ${JSON.stringify(modelType) ?? "nothing"}`, {
      where,
      hint: "this does not look like the config.json of a transformers model",
      details: { key: "model_type" },
    });
  }
  const supported = Object.keys(ARCHITECTURES);
  if (!isArchitecture(modelType)) {
    const className = classes[0] === undefined ? "" : ` (${classes[0]})`;
    const near = nearestName(modelType, supported);
    throw new HeirloomError("ARCHITECTURE_UNSUPPORTED", `the architecture "${modelType}"${className} is not supported`, {
      where,
      hint: `supported are ${supported.join(", ")}${near === undefined ? "" : `; "${near}" is the nearest, but not the same`}`,
      details: { modelType, classes },
    });
  }
  const { className } = ARCHITECTURES[modelType];
  if (classes.length > 0 && !classes.includes(className)) {
    throw new HeirloomError("ARCHITECTURE_UNSUPPORTED", `the model class "${classes.join('", "')}" is not supported`, {
      where,
      hint: `expected ${className}, a causal language model, for the model type "${modelType}"`,
      details: { modelType, classes },
    });
  }
  return modelType;
}
