import { describe, expect, it } from "vitest";
import { isHeirloomError } from "../core/index.ts";
import { loraPeftConfig, type PeftConfig, parsePeftConfig } from "../formats/index.ts";
import { parseModelConfig } from "../model/index.ts";
import {
  type AdapterSpec,
  adapterForEngine,
  adapterFromPeft,
  adapterTensors,
  resolveForEngine,
  resolveTargets,
  storedAdapter,
} from "./index.ts";

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
    for (const typed of ["q_proj", "q_prj"])
      expect(problemsOf(() => modulesOf({ targetModules: typed }))[0]?.hint).toContain("did you mean the list [q_proj]?");
    expect(problemsOf(() => modulesOf({ targetModules: ".*nothing" }))[0]?.hint).toBeUndefined();
    expect(problemsOf(() => modulesOf({ excludeModules: ["q_proj", "v_proj"] }))[0]?.message).toContain("every target is excluded");
    expect(problemsOf(() => modulesOf({ targetModules: [] }))).toHaveLength(1);
  });

  it("refuses LoRA on a norm, by name", () => {
    const problems = problemsOf(() => modulesOf({ targetModules: ".*(embed_tokens|lm_head|q_proj|layernorm)" }));
    expect(problems.map(({ code }) => code)).toEqual(new Array(6).fill("ADAPTER_UNSUPPORTED"));
    expect(problems[0]?.message).toContain("RMSNorm");
  });

  it("refuses a pattern or name that hits blocks or activations, as PEFT does", () => {
    expect(problemsOf(() => modulesOf({ targetModules: ".*(self_attn|mlp).*" }))).toMatchObject([
      { code: "ADAPTER_UNSUPPORTED", message: expect.stringContaining('"model.layers.0.self_attn" and 8 more') },
    ]);
    expect(problemsOf(() => modulesOf({ targetModules: ["q_proj", "mlp"] }))).toMatchObject([{ code: "ADAPTER_UNSUPPORTED" }]);
    expect(problemsOf(() => modulesOf({ targetModules: ".*mlp.*", excludeModules: ["mlp", "act_fn"] }))).toEqual([]);
  });

  it("copies whole blocks, but not the list of them, nor one inside another", () => {
    const { fullCopies } = resolveTargets(spec, { ...plain, modulesToSave: ["layers.1.mlp"] });
    expect(fullCopies.map(({ module, parameter }) => [module, parameter])).toEqual(
      ["gate_proj", "up_proj", "down_proj"].map((name) => ["model.layers.1.mlp", `model.layers.1.mlp.${name}.weight`]),
    );
    for (const modulesToSave of [["layers"], ["mlp", "up_proj"]]) {
      expect(problemsOf(() => modulesOf({ modulesToSave }))).toMatchObject([
        { code: "ADAPTER_UNSUPPORTED", details: { feature: "modules_to_save" } },
      ]);
    }
  });

  it("refuses layers beside a pattern", () => {
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

const read = (json: Record<string, unknown>) =>
  parsePeftConfig({ peft_type: "LORA", target_modules: ["q_proj"], ...json }, "adapter_config.json");

describe("adapterFromPeft", () => {
  it.each([
    [{ target_modules: null }, "target_modules"],
    [{ target_parameters: ["experts.weight"] }, "target_parameters"],
    [{ layer_replication: [[0, 2]] }, "layer_replication"],
    [{ megatron_config: {} }, "megatron_config"],
    [{ use_qalora: true }, "use_qalora"],
    [{ use_bdlora: { nblocks: 2 } }, "use_bdlora"],
    [{ arrow_config: {} }, "arrow_config"],
    [{ kasa_config: {} }, "kasa_config"],
    [{ a_later_invention: { x: 1 } }, "a_later_invention"],
  ])("refuses %j, whose tensors are not known, by name", (json, feature) => {
    for (const open of [adapterFromPeft, adapterForEngine]) {
      expect(problemsOf(() => open(read(json)))).toMatchObject([{ code: "ADAPTER_UNSUPPORTED", details: { feature } }]);
    }
  });

  it("refuses another PEFT type by name", () => {
    expect(problemsOf(() => adapterFromPeft(parsePeftConfig({ peft_type: "IA3" }, "adapter_config.json")))).toMatchObject([
      { code: "ADAPTER_UNSUPPORTED", message: expect.stringContaining('"IA3"') },
    ]);
  });

  it("reports all problems at once", () => {
    const config = read({
      r: 0,
      rank_pattern: { q_proj: 0.5 },
      use_qalora: true,
      arrow_config: {},
      lora_dropout: 1,
      lora_bias: true,
      use_dora: true,
    });
    const described = ["ADAPTER_RANK_INVALID", "ADAPTER_RANK_INVALID", "PEFT_CONFIG_INVALID", "PEFT_CONFIG_INVALID"];
    const codes = (open: (config: PeftConfig) => unknown) => problemsOf(() => open(config)).map(({ code }) => code);
    expect(codes(adapterFromPeft)).toEqual(["ADAPTER_UNSUPPORTED", "ADAPTER_UNSUPPORTED", ...described]);
    expect(codes(adapterForEngine)).toEqual([...new Array(4).fill("ADAPTER_UNSUPPORTED"), ...described]);
  });

  it("accepts what older files and settings without effect say", () => {
    const open = (json: Record<string, unknown>) => adapterFromPeft(read(json));
    expect(
      open({
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
    expect(open({ init_lora_weights: "gaussian" }).initLoraWeights).toBe("gaussian");
  });
});

describe("what the engine lacks", () => {
  it.each([
    [{ use_dora: true }, "use_dora"],
    [{ lora_bias: true }, "lora_bias"],
    [{ trainable_token_indices: [1, 2] }, "trainable_token_indices"],
    [{ trainable_token_indices: { embed_tokens: [1] } }, "trainable_token_indices"],
    [{ target_modules: ["model.embed_tokens"] }, "target_modules"],
    [{ target_modules: ["lm_head", "q_proj"] }, "target_modules"],
    [{ init_lora_weights: "pissa" }, "init_lora_weights"],
    [{ init_lora_weights: "mica" }, "init_lora_weights"],
    [{ task_type: "SEQ_CLS" }, "task_type"],
    [{ alora_invocation_tokens: [1] }, "alora_invocation_tokens"],
  ])("is described, but refused by name when the adapter is opened to be run: %j", (json, feature) => {
    expect(adapterTensors(resolveTargets(spec, adapterFromPeft(read(json)))).length).toBeGreaterThan(0);
    expect(problemsOf(() => adapterForEngine(read(json)))).toMatchObject([{ code: "ADAPTER_UNSUPPORTED", details: { feature } }]);
  });

  it("is refused on the base on which it matters", () => {
    const biased = parseModelConfig({ ...base, attention_bias: true }, "config.json");
    const all = adapterForEngine(read({ bias: "all" }));
    expect(problemsOf(() => resolveForEngine(spec, all))).toEqual([]);
    expect(problemsOf(() => resolveForEngine(biased, all))).toMatchObject([{ code: "ADAPTER_UNSUPPORTED", details: { feature: "bias" } }]);
    expect(problemsOf(() => resolveForEngine(spec, { ...plain, targetModules: ".*(embed_tokens|q_proj)" }))).toMatchObject([
      { code: "ADAPTER_UNSUPPORTED", details: { feature: "lora_embedding", module: "model.embed_tokens" } },
    ]);
  });

  it("is not ranks, alphas and their scaling", () => {
    const config = read({
      use_rslora: true,
      rank_pattern: { q_proj: 4 },
      alpha_pattern: { "layers.0.self_attn.q_proj": 6 },
      lora_alpha: 10,
    });
    expect(resolveForEngine(spec, adapterForEngine(config)).lora.map(({ rank, scaling }) => [rank, scaling])).toEqual([
      [4, 3],
      [4, 5],
      [4, 5],
    ]);
  });
});

describe("storedAdapter", () => {
  it("writes every module by its path where the order of the text would change which pattern wins", () => {
    const given = { ...plain, rankPattern: { q_proj: 6, "layers.0.self_attn.q_proj": 3 } };
    const stored = storedAdapter(spec, given);
    expect(Object.keys(stored.rankPattern)).toHaveLength(3);
    const ranks = (adapter: AdapterSpec) => resolveTargets(spec, adapter).lora.map(({ rank }) => rank);
    expect(ranks(stored)).toEqual(ranks(given));
    const plainOrder = { ...plain, rankPattern: { v_proj: 2, q_proj: 6 } };
    expect(Object.keys(storedAdapter(spec, plainOrder).rankPattern)).toEqual(["q_proj", "v_proj"]);
  });
});
