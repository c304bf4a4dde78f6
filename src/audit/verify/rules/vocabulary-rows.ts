import { isEmbedding, isHead, lastPart } from "../keys.ts";
import { defineRule } from "../types.ts";

export const vocabularyRows = defineRule({
  id: "vocabulary-rows",
  severity: "error",
  meaning:
    "A stored embedding or head has another number of rows than the base's vocabulary: loading or merging fails with a size mismatch.",
  remedy:
    "resize the base first, to the number of rows in the adapter (model.resize_token_embeddings), or give the base that was resized for it",
  needs: ["lora", "base"],
  check({ base, keys, weights }) {
    const { vocabSize } = base;
    if (vocabSize === null) return [];
    return keys.flatMap(({ key, module, part, leaf, isEmbeddingForm }) => {
      if (!isEmbedding(module)) return [];
      const shape = weights.tensors.get(key)?.shape ?? [];
      const isWhole = (part === "plain" || part === "base_layer") && leaf === "weight";
      // LoRA on an embedding is [rank, vocabulary]; on a head its B is [vocabulary, rank].
      const rows = isWhole || (part === "B" && isHead(module)) ? shape[0] : part === "A" && isEmbeddingForm ? shape[1] : vocabSize;
      if (rows === vocabSize) return [];
      return [{ message: `${lastPart(module)} has ${rows ?? "no"} rows, the base's vocabulary ${vocabSize}`, tensors: [key] }];
    });
  },
});
