import { describe, expect, it } from "vitest";
import { isHeirloomError } from "../core/index.ts";
import { loraPeftConfig, parsePeftConfig } from "../formats/index.ts";
import { parseModelConfig } from "../model/index.ts";
import { type AdapterSpec, adapterFromPeft, adapterTensors, resolveTargets } from "./index.ts";

const base = {
  model_type: "llama",
  hidden_size: 64,
  intermediate_size: 176,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 256,
};
const spec = parseModelConfig(base, "config.json");
const plain = adapterFromPeft(loraPeftConfig({ r: 4, targetModules: ["q_proj", "v_proj"] }));
const modulesOf = (changes: Partial<AdapterSpec>) => resolveTargets(spec, { ...plain, ...changes }).lora.map(({ module }) => module);
function problemsOf(work: () => unknown) {
  try {
    work();
  } catch (error) {
    if (isHeirloomError(error)) return error.problems;
    throw error;
  }
  return [];
}

describe("resolveTargets", () => {
  it("matches list entries as whole last parts or as exact paths, never as mere endings", () => {
    expect(modulesOf({ targetModules: ["self_attn.q_proj", "model.layers.2.mlp.up_proj"] })).toEqual([
      "model.layers.0.self_attn.q_proj",
      "model.layers.1.self_attn.q_proj",
      "model.layers.2.self_attn.q_proj",
      "model.layers.2.mlp.up_proj",
    ]);
    expect(problemsOf(() => modulesOf({ targetModules: ["_proj", "q_proj"] }))).toMatchObject([
      { code: "ADAPTER_TARGET_MISSING", details: { target: "_proj" } },
    ]);
  });

  it("takes all-linear in any case, without the head", () => {
    expect(modulesOf({ targetModules: "All-Linear" })).toHaveLength(21);
    expect(modulesOf({ targetModules: "all-linear", layersToTransform: [1] })).toHaveLength(7);
  });

  it("leaves out exclusions first, then what lies under a saved module's name", () => {
    expect(
      modulesOf({ targetModules: "all-linear", excludeModules: String.raw`.*\.(mlp\..*|[kvo]_proj)`, layersToTransform: [0] }),
    ).toEqual(["model.layers.0.self_attn.q_proj"]);
    expect(modulesOf({ targetModules: ["q_proj", "v_proj"], modulesToSave: ["v_proj"] })).toHaveLength(3);
  });

  it("selects layers for names, but not for exact paths, as PEFT does", () => {
    expect(modulesOf({ targetModules: ["q_proj", "model.layers.0.mlp.up_proj"], layersToTransform: [2] })).toEqual([
      "model.layers.0.mlp.up_proj",
      "model.layers.2.self_attn.q_proj",
    ]);
    expect(modulesOf({ layersToTransform: [1], layersPattern: ["blocks", "layers"] })).toHaveLength(2);
    expect(problemsOf(() => modulesOf({ layersToTransform: [1], layersPattern: "h" }))).toMatchObject([{ code: "ADAPTER_TARGET_MISSING" }]);
  });

  it("names each target, saved module and layer that matches nothing, with near names, all at once", () => {
    const problems = problemsOf(() =>
      modulesOf({ targetModules: ["q_prj", "query_key_value", "v_proj"], modulesToSave: ["lm_hed"], layersToTransform: [0, 9] }),
    );
    expect(problems).toMatchObject([
      { code: "ADAPTER_TARGET_MISSING", message: expect.stringContaining('"lm_hed"'), hint: 'did you mean "lm_head"?' },
      { message: expect.stringContaining("layer 9 does not exist") },
      { message: expect.stringContaining('"q_prj"'), hint: 'did you mean "q_proj"?' },
      { message: expect.stringContaining('"query_key_value"'), hint: expect.stringContaining("the model has: embed_tokens, q_proj") },
    ]);
  });

  it("says so when a pattern or the exclusions leave no module", () => {
    expect(problemsOf(() => modulesOf({ targetModules: "q_proj" }))[0]?.message).toContain('the target pattern "q_proj" matches no module');
    expect(problemsOf(() => modulesOf({ excludeModules: ["q_proj", "v_proj"] }))[0]?.message).toContain("every target is excluded");
    expect(problemsOf(() => modulesOf({ targetModules: [] }))).toHaveLength(1);
  });

  it("refuses LoRA on an embedding, the head or a norm, by name", () => {
    const problems = problemsOf(() => modulesOf({ targetModules: ".*(embed_tokens|lm_head|q_proj|layernorm)", layersToTransform: null }));
    expect(problems.map(({ code }) => code)).toEqual(new Array(8).fill("ADAPTER_UNSUPPORTED"));
    expect(problems[0]?.message).toContain('"model.embed_tokens"');
    expect(problems[1]?.message).toContain("RMSNorm");
  });

  it("refuses a pattern or name that hits blocks or activations, as PEFT does", () => {
    expect(problemsOf(() => modulesOf({ targetModules: ".*(self_attn|mlp).*" }))).toMatchObject([
      { code: "ADAPTER_UNSUPPORTED", message: expect.stringContaining('"model.layers.0.self_attn" and 8 more') },
    ]);
    expect(problemsOf(() => modulesOf({ targetModules: ["q_proj", "mlp"] }))).toMatchObject([{ code: "ADAPTER_UNSUPPORTED" }]);
    expect(problemsOf(() => modulesOf({ targetModules: ".*mlp.*", excludeModules: ["mlp", "act_fn"] }))).toEqual([]);
  });

  it("refuses to save whole blocks, and layers beside a pattern", () => {
    expect(problemsOf(() => modulesOf({ modulesToSave: ["mlp"] }))).toMatchObject([
      { code: "ADAPTER_UNSUPPORTED", message: expect.stringContaining('"mlp"') },
    ]);
    expect(problemsOf(() => modulesOf({ targetModules: ".*q_proj", layersToTransform: [0] }))).toMatchObject([{ code: "CONFIG_INVALID" }]);
  });

  it.each([0, -1, 1.5, Number.NaN])("refuses the rank %s", (rank) => {
    expect(problemsOf(() => modulesOf({ rank }))).toMatchObject([{ code: "ADAPTER_RANK_INVALID" }]);
  });

  it("copies a linear module's bias with its weight", () => {
    const withBias = parseModelConfig({ ...base, attention_bias: true }, "config.json");
    const tensors = adapterTensors(resolveTargets(withBias, { ...plain, modulesToSave: ["0.self_attn.o_proj"] }));
    expect(tensors.filter(({ role }) => role === "full_copy").map(({ liveName, name }) => [liveName, name])).toEqual([
      [
        "base_model.model.model.layers.0.self_attn.o_proj.modules_to_save.default.weight",
        "base_model.model.model.layers.0.self_attn.o_proj.weight",
      ],
      [
        "base_model.model.model.layers.0.self_attn.o_proj.modules_to_save.default.bias",
        "base_model.model.model.layers.0.self_attn.o_proj.bias",
      ],
    ]);
  });
});

describe("adapterFromPeft", () => {
  const read = (json: Record<string, unknown>) =>
    adapterFromPeft(parsePeftConfig({ peft_type: "LORA", target_modules: ["q_proj"], ...json }, "adapter_config.json"));

  it.each([
    [{ use_rslora: true }, "use_rslora"],
    [{ use_dora: true }, "use_dora"],
    [{ rank_pattern: { q_proj: 2 } }, "rank_pattern"],
    [{ alpha_pattern: { q_proj: 2 } }, "alpha_pattern"],
    [{ lora_bias: true }, "lora_bias"],
    [{ bias: "all" }, "bias"],
    [{ trainable_token_indices: [1, 2] }, "trainable_token_indices"],
    [{ trainable_token_indices: { embed_tokens: [1] } }, "trainable_token_indices"],
    [{ target_modules: ["model.embed_tokens"] }, "target_modules"],
    [{ target_modules: ["lm_head", "q_proj"] }, "target_modules"],
    [{ target_modules: null }, "target_modules"],
    [{ target_parameters: ["experts.weight"] }, "target_parameters"],
    [{ layer_replication: [[0, 2]] }, "layer_replication"],
    [{ megatron_config: {} }, "megatron_config"],
    [{ init_lora_weights: "pissa" }, "init_lora_weights"],
    [{ init_lora_weights: "loftq" }, "init_lora_weights"],
    [{ task_type: "SEQ_CLS" }, "task_type"],
    [{ use_qalora: true }, "use_qalora"],
    [{ use_bdlora: { nblocks: 2 } }, "use_bdlora"],
    [{ arrow_config: {} }, "arrow_config"],
    [{ kasa_config: {} }, "kasa_config"],
    [{ alora_invocation_tokens: [1] }, "alora_invocation_tokens"],
    [{ a_later_invention: { x: 1 } }, "a_later_invention"],
  ])("refuses %j by name", (json, feature) => {
    expect(problemsOf(() => read(json))).toMatchObject([{ code: "ADAPTER_UNSUPPORTED", details: { feature } }]);
  });

  it("refuses another PEFT type by name", () => {
    expect(problemsOf(() => adapterFromPeft(parsePeftConfig({ peft_type: "IA3" }, "adapter_config.json")))).toMatchObject([
      { code: "ADAPTER_UNSUPPORTED", message: expect.stringContaining('"IA3"') },
    ]);
  });

  it("reports all problems at once", () => {
    expect(problemsOf(() => read({ r: 0, use_dora: true, use_rslora: true, lora_dropout: 1 })).map(({ code }) => code)).toEqual([
      "ADAPTER_UNSUPPORTED",
      "ADAPTER_UNSUPPORTED",
      "ADAPTER_RANK_INVALID",
      "PEFT_CONFIG_INVALID",
    ]);
  });

  it("accepts what older files and settings without effect say", () => {
    expect(
      read({
        r: 8,
        merge_weights: true,
        enable_lora: null,
        fan_in_fan_out: true,
        layers_to_transform: 1,
        layers_pattern: "",
        init_lora_weights: null,
        target_modules: ["q_proj", "q_proj"],
      }),
    ).toMatchObject({
      layersToTransform: [1],
      layersPattern: null,
      initLoraWeights: false,
      targetModules: ["q_proj"],
      modulesToSave: [],
    });
    expect(read({ init_lora_weights: "gaussian" }).initLoraWeights).toBe("gaussian");
  });
});
