import { describe, expect, it } from "vitest";
import { isHeirloomError } from "../core/index.ts";
import { containerModules, modelModules, modelParameters, parseModelConfig, quantizedModules, ropeFrequencies } from "./index.ts";

const llama = {
  model_type: "llama",
  architectures: ["LlamaForCausalLM"],
  hidden_size: 64,
  intermediate_size: 176,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 256,
};
const parse = (changes: Record<string, unknown>) => parseModelConfig({ ...llama, ...changes }, "config.json");
function problemsOf(changes: Record<string, unknown>) {
  try {
    parse(changes);
  } catch (error) {
    if (isHeirloomError(error)) return error.problems.map(({ code, message }) => `${code} ${message}`);
    throw error;
  }
  return [];
}

describe("parseModelConfig", () => {
  it("takes upstream's defaults for absent keys", () => {
    const { num_key_value_heads: _heads, ...rest } = llama;
    expect(parseModelConfig(rest, "config.json")).toMatchObject({
      kvHeadCount: 4,
      headDim: 16,
      rmsNormEps: 1e-6,
      rope: { theta: 10000, scaling: { kind: "none" } },
      tieWordEmbeddings: false,
      maxPositions: 2048,
      bosTokenId: 1,
      eosTokenIds: [2],
      padTokenId: null,
    });
    expect(parseModelConfig({ ...rest, model_type: "mistral", architectures: undefined, num_attention_heads: 8 }, "c").kvHeadCount).toBe(8);
    expect(parse({ model_type: "mistral", architectures: null }).slidingWindows).toEqual([4096, 4096]);
  });

  it("reads a list of end-of-sequence ids and drops a negative padding id", () => {
    expect(parse({ eos_token_id: [5, 8, 9], pad_token_id: -1 })).toMatchObject({ eosTokenIds: [5, 8, 9], padTokenId: null });
  });

  it("gives each Qwen2 layer its window, from the layer types or from max_window_layers", () => {
    const qwen = {
      model_type: "qwen2",
      architectures: ["Qwen2ForCausalLM"],
      use_sliding_window: true,
      sliding_window: 32,
      num_hidden_layers: 3,
    };
    expect(parse({ ...qwen, max_window_layers: 1 }).slidingWindows).toEqual([null, 32, 32]);
    expect(parse({ ...qwen, layer_types: ["sliding_attention", "full_attention", "full_attention"] }).slidingWindows).toEqual([
      32,
      null,
      null,
    ]);
    expect(parse({ ...qwen, use_sliding_window: false, max_window_layers: 0 }).slidingWindows).toEqual([null, null, null]);
    expect(problemsOf({ ...qwen, layer_types: ["linear_attention", "full_attention", "full_attention"] })).toEqual([
      expect.stringContaining('attention of type "linear_attention" in layer 0'),
    ]);
  });

  it.each([
    [{ model_type: "gemma2" }, '"gemma2"'],
    [{ model_type: "qwen3_moe", architectures: ["Qwen3MoeForCausalLM"] }, '"qwen3_moe" (Qwen3MoeForCausalLM)'],
    [{ architectures: ["LlamaForSequenceClassification"] }, '"LlamaForSequenceClassification"'],
    [{ hidden_act: "gelu" }, 'the activation "gelu"'],
    [{ rope_scaling: { type: "yarn", factor: 4 } }, 'rotary scaling of type "yarn"'],
    [{ rope_parameters: { rope_type: "longrope", rope_theta: 1e4 } }, 'rotary scaling of type "longrope"'],
    [{ rope_parameters: { full_attention: { rope_type: "default", rope_theta: 1e4 } } }, "differs by layer type"],
    [{ partial_rotary_factor: 0.5 }, "partial_rotary_factor of 0.5"],
  ])("refuses %j by name", (changes, text) => {
    expect(problemsOf(changes)).toEqual([expect.stringMatching(/^ARCHITECTURE_UNSUPPORTED /)]);
    expect(problemsOf(changes)[0]).toContain(text);
  });

  it.each([
    [{ quant_method: "gptq", bits: 4 }, '"gptq"'],
    [{ quant_method: "bitsandbytes", load_in_8bit: true }, "8-bit"],
    [{ load_in_4bit: true, bnb_4bit_quant_type: "fp4" }, '"fp4"'],
    [{ group_size: 64, bits: 8 }, "without quant_method"],
  ])("refuses the quantization %j by name", (quantization_config, text) => {
    const problems = problemsOf({ quantization_config });
    expect(problems).toEqual([expect.stringMatching(/^QUANTIZATION_UNSUPPORTED /)]);
    expect(problems[0]).toContain(text);
  });

  it("reads bitsandbytes NF4 and leaves the head dense unless told otherwise", () => {
    const spec = parse({ quantization_config: { load_in_4bit: true, bnb_4bit_quant_type: "nf4", bnb_4bit_use_double_quant: true } });
    expect(spec.quantization).toEqual({ method: "bitsandbytes-nf4", doubleQuant: true, skipModules: ["lm_head"] });
    expect(quantizedModules(spec, { skipModules: ["lm_head", "layers.0.mlp", "k_proj"] }).map(({ path }) => path)).toEqual(
      modelModules(spec)
        .filter(({ kind, path }) => kind === "Linear" && path !== "lm_head" && !path.includes("layers.0.mlp") && !path.endsWith("k_proj"))
        .map(({ path }) => path),
    );
  });

  it("reports all problems of a file at once, what cannot be run first", () => {
    const problems = problemsOf({
      hidden_size: "big",
      num_hidden_layers: 0,
      vocab_size: 1e12,
      tie_word_embeddings: "yes",
      hidden_act: "relu",
      rope_scaling: { rope_type: "llama3", factor: 8 },
      rms_norm_eps: -1,
    });
    expect(problems[0]).toMatch(/^ARCHITECTURE_UNSUPPORTED the activation "relu"/);
    for (const key of [
      "hidden_size",
      "num_hidden_layers",
      "vocab_size",
      "tie_word_embeddings",
      "rope_scaling.low_freq_factor",
      "rope_scaling.high_freq_factor",
      "rms_norm_eps",
    ]) {
      expect(
        problems.some((text) => text.startsWith(`MODEL_CONFIG_INVALID ${key}:`)),
        key,
      ).toBe(true);
    }
  });

  it.each([[null], [[]], ["text"], [{}], [{ model_type: 7 }]])("refuses %j as no model configuration", (json) => {
    expect(() => parseModelConfig(json, "config.json")).toThrow(expect.objectContaining({ code: "MODEL_CONFIG_INVALID" }));
  });

  it("refuses key heads that do not divide the query heads and an odd head size", () => {
    expect(problemsOf({ num_key_value_heads: 3 })[0]).toContain(
      "num_key_value_heads: expected a divisor of the 4 attention heads, found 3",
    );
    expect(problemsOf({ head_dim: 15 })[0]).toContain("head_dim");
  });
});

describe("modelParameters", () => {
  it("lists a tied head, marked as such", () => {
    const parameters = modelParameters(parse({ tie_word_embeddings: true }));
    expect(parameters.at(-1)).toMatchObject({ name: "lm_head.weight", kind: "head", tiedTo: "model.embed_tokens.weight" });
    expect(parameters.filter(({ tiedTo }) => tiedTo !== undefined)).toHaveLength(1);
  });

  it("knows the modules that only hold others", () => {
    expect(containerModules(parse({ num_hidden_layers: 1 }))).toEqual([
      "model",
      "model.layers",
      "model.layers.0",
      "model.layers.0.self_attn",
      "model.layers.0.mlp",
    ]);
  });
});

describe("ropeFrequencies", () => {
  // Rounded to float32 three times on the way, so 2^-22 of the exact value.
  const near = (value: number) => Math.abs(value) * 2 ** -22;

  it("divides all frequencies by the factor when scaled linearly", () => {
    const plain = ropeFrequencies(parse({}));
    const scaled = ropeFrequencies(parse({ rope_scaling: { type: "linear", factor: 4 } }));
    plain.forEach((frequency, i) => {
      expect(Math.abs(frequency - 10000 ** (-i / 8))).toBeLessThanOrEqual(near(frequency));
      expect(scaled[i]).toBeCloseTo(frequency / 4, 7);
    });
  });

  it("keeps short waves, stretches long ones and blends between them for llama3", () => {
    const frequencies = ropeFrequencies(
      parse({
        head_dim: 128,
        rope_theta: 500000,
        rope_scaling: { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 },
      }),
    );
    frequencies.forEach((frequency, i) => {
      const plain = 500000 ** (-i / 64);
      const turns = (8192 * plain) / (2 * Math.PI);
      const blend = Math.min(1, Math.max(0, (turns - 1) / 3));
      expect(Math.abs(frequency - plain * ((1 - blend) / 8 + blend)), `frequency ${i}`).toBeLessThanOrEqual(4 * near(plain));
    });
  });
});
