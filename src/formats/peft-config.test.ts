import { describe, expect, it } from "vitest";
import { loraPeftConfig, parseJson, parsePeftConfig, serializePeftConfig } from "./index.ts";

const lora = (extra: object): unknown => ({ peft_type: "LORA", r: 16, target_modules: ["q_proj"], ...extra });

describe("parsePeftConfig", () => {
  it("takes PEFT's defaults for what an old file does not have, and keeps what it has beyond", () => {
    const config = parsePeftConfig(lora({ enable_lora: null, merge_weights: false, lora_dropout: 0 }), "adapter_config.json");
    expect(config).toMatchObject({
      kind: "lora",
      r: 16,
      loraAlpha: 8,
      loraDropout: 0,
      bias: "none",
      initLoraWeights: true,
      ensureWeightTying: false,
      modulesToSave: null,
      rankPattern: {},
    });
    expect(config.unknownKeys).toEqual(["enable_lora", "merge_weights"]);
    expect(config.raw["merge_weights"]).toBe(false);
  });

  it("reads the base keys of other PEFT types and names the type", () => {
    expect(parsePeftConfig({ peft_type: "IA3", base_model_name_or_path: "x", feedforward_modules: ["a"] }, "f")).toMatchObject({
      kind: "other",
      peftType: "IA3",
      baseModelNameOrPath: "x",
    });
  });

  it("reports every wrong type at once", () => {
    const bad = {
      r: 1.5,
      lora_alpha: "16",
      bias: "some",
      target_modules: [1],
      modules_to_save: "lm_head",
      rank_pattern: { a: "x" },
      layer_replication: [[1]],
      inference_mode: null,
    };
    expect(() => parsePeftConfig(lora(bad), "f")).toThrow(
      expect.objectContaining({
        code: "PEFT_CONFIG_INVALID",
        problems: expect.arrayContaining([expect.objectContaining({ message: "r: expected a whole number, found 1.5" })]),
      }),
    );
    try {
      parsePeftConfig(lora(bad), "f");
    } catch (error) {
      expect((error as { problems: unknown[] }).problems).toHaveLength(8);
    }
  });

  it.each([
    [{ lora_parameters: { rank: 8 }, fine_tune_type: "lora" }, /found an mlx-lm adapter configuration/],
    [{ config: "pfeiffer", hidden_size: 768, model_class: "BertModel" }, /found an AdapterHub adapter configuration/],
    [{ format: "own", rank: 16, "\u001b[2J": 1 }, /found only format, rank, \\u001b\[2J/],
    [{}, /found only an empty object/],
    [[], /expected an object, found an empty list/],
    [null, /expected an object, found null/],
  ])("refuses a file that is not PEFT's: %j", (json, message) => {
    expect(() => parsePeftConfig(json, "f")).toThrow(
      expect.objectContaining({ code: "PEFT_CONFIG_INVALID", message: expect.stringMatching(message) }),
    );
  });
});

describe("serializePeftConfig", () => {
  it("writes what Python writes: floats with a point, ASCII only, sorted keys, empty containers short", () => {
    const text = serializePeftConfig(
      loraPeftConfig({ r: 4, loraDropout: 0, baseModelNameOrPath: "modèle\u007f/😀", alphaPattern: { "b.c": 1e-5, a: 3 } }),
    );
    expect(text).toContain('"lora_dropout": 0.0,');
    expect(text).toContain('"base_model_name_or_path": "mod\\u00e8le\\u007f/\\ud83d\\ude00",');
    expect(text).toContain('"alpha_pattern": {\n    "a": 3,\n    "b.c": 1e-05\n  },');
    expect(text).toContain('"loftq_config": {},');
    expect(text.endsWith('"velora_config": null\n}')).toBe(true);
    expect(serializePeftConfig(loraPeftConfig({ loraDropout: 0.05 }))).toContain('"lora_dropout": 0.05,');
  });

  it("keeps unknown keys and loses nothing on the way through", () => {
    const config = parsePeftConfig(lora({ from_the_future: { deep: [1, null] }, lora_alpha: 32 }), "f");
    if (config.kind !== "lora") expect.unreachable();
    else {
      const again = parsePeftConfig(parseJson(serializePeftConfig(config), "f"), "f");
      expect(again.raw["from_the_future"]).toEqual({ deep: [1, null] });
      expect(again).toEqual({ ...config, raw: again.raw });
    }
  });
});
