import { describe, expect, it } from "vitest";
import { isHeirloomError } from "../core/index.ts";
import { diskKey, matchesTensor, matchGroups } from "./index.ts";

const q = "base_model.model.model.layers.1.self_attn.q_proj";
const names = [
  "base_model.model.model.embed_tokens.modules_to_save.default.weight",
  `${q}.lora_A.default.weight`,
  `${q}.lora_B.default.weight`,
  "base_model.model.model.layers.10.mlp.up_proj.lora_A.default.weight",
  "base_model.model.model.layers.10.mlp.up_proj.lora_B.default.weight",
  "base_model.model.lm_head.modules_to_save.default.weight",
];
const matched = (pattern: string) => names.filter((name) => matchesTensor(pattern, name)).map((name) => names.indexOf(name));

describe("matchesTensor", () => {
  it.each([
    ["embed_tokens", [0]],
    ["lm_head", [5]],
    ["lm_head.weight", [5]],
    ["*.lora_B*", [2, 4]],
    ["lora_A", [1, 3]],
    ["q_proj.lora_B", [2]],
    ["layers.1", [1, 2]],
    ["layers.1*", [1, 2, 3, 4]],
    ["modules_to_save", [0, 5]],
    [names[0] as string, [0]],
    [`${q}.lora_A.weight`, [1]],
    ["*", [0, 1, 2, 3, 4, 5]],
    ["q_pro", []],
    ["head", []],
    ["lora.A", []],
    ["", []],
  ])("means by %s the tensors %j", (pattern, expected) => {
    expect(matched(pattern)).toEqual(expected);
  });

  it("stays quick on a hostile pattern", () => {
    const start = performance.now();
    expect(matchesTensor("*a".repeat(200) + "!", "a".repeat(2000))).toBe(false);
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe("diskKey", () => {
  it("takes the wrapper and the adapter's name out, as PEFT does on saving", () => {
    expect(names.map(diskKey)).toEqual([
      "base_model.model.model.embed_tokens.weight",
      `${q}.lora_A.weight`,
      `${q}.lora_B.weight`,
      "base_model.model.model.layers.10.mlp.up_proj.lora_A.weight",
      "base_model.model.model.layers.10.mlp.up_proj.lora_B.weight",
      "base_model.model.lm_head.weight",
    ]);
    expect(diskKey("m.lora_magnitude_vector.default.weight")).toBe("m.lora_magnitude_vector");
    expect(diskKey("m.lora_embedding_A.default")).toBe("m.lora_embedding_A");
  });
});

describe("matchGroups", () => {
  it("gives each tensor to the first group that matches, the rest to default", () => {
    const groups = matchGroups(names, [
      { name: "embeddings", match: ["embed_tokens", "lm_head"] },
      { name: "B", match: ["*.lora_B*"] },
      { name: "late", match: ["layers.10"] },
    ]);
    expect([...groups.values()]).toEqual(["embeddings", "default", "B", "late", "B", "embeddings"]);
  });

  it("refuses groups that get nothing, saying why, all at once", () => {
    try {
      matchGroups(names, [
        { name: "all", match: ["*"] },
        { name: "B", match: ["*.lora_B*"] },
        { name: "heads", match: ["lm_hed"] },
      ]);
      expect.unreachable();
    } catch (error) {
      if (!isHeirloomError(error)) throw error;
      expect(error.problems).toMatchObject([
        { code: "CONFIG_INVALID", message: expect.stringContaining('"B" gets no tensor: "all" above it matched them all') },
        {
          code: "CONFIG_INVALID",
          message: expect.stringContaining('"heads" matches no trainable tensor: "lm_hed"'),
          hint: 'did you mean "lm_head"?',
        },
      ]);
    }
  });
});
