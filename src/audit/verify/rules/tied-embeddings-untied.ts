import { isEmbedding, isHead } from "../keys.ts";
import { defineRule } from "../types.ts";

export const tiedEmbeddingsUntied = defineRule({
  id: "tied-embeddings-untied",
  severity: "warning",
  meaning:
    "The base uses one tensor as embedding and head, and the adapter trains one of them alone, or each apart: after a merge, or on saving the model, one of the two is lost.",
  remedy:
    "train with ensure_weight_tying=True, or untie the base first (tie_word_embeddings: false, with a head of its own) and merge into that",
  needs: ["lora", "base"],
  check({ lora, base, keys }) {
    const touched = keys.filter(({ module, part }) => isEmbedding(module) && part !== "base_layer" && part !== "tokens");
    if (base.tied !== true || touched.length === 0 || lora.ensureWeightTying) return [];
    const heads = touched.filter(({ module }) => isHead(module));
    const how =
      heads.length === 0
        ? "the embedding, but not the head"
        : heads.length === touched.length
          ? "the head, but not the embedding"
          : "embedding and head apart";
    return [{ message: `the base ties embedding and head, and the adapter trains ${how}`, tensors: touched.map(({ key }) => key) }];
  },
});
