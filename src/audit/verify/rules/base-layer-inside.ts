import { formatBytes } from "../../../core/index.ts";
import { isTrainedBias } from "../trained-keys.ts";
import { defineRule } from "../types.ts";
import { counted, listed } from "../wording.ts";

export const baseLayerInside = defineRule({
  id: "base-layer-inside",
  severity: "warning",
  meaning:
    "The file holds weights of the base under LoRA (PEFT stores embeddings by itself if LoRA lies on them): they make it large, and loaders other than PEFT refuse them.",
  remedy:
    "save with save_embedding_layers=False; where they equal the base's: heirloom verify PATH --base BASE --fix -o DIR takes them out",
  needs: ["lora"],
  check(subject) {
    const { keys, weights } = subject;
    const inside = keys.filter((key) => key.part === "base_layer" && !isTrainedBias(subject, key)).map(({ key }) => key);
    if (inside.length === 0) return [];
    const bytes = inside.reduce((sum, key) => {
      const tensor = weights.tensors.get(key);
      return tensor === undefined ? sum : sum + tensor.end - tensor.start;
    }, 0);
    return [
      {
        message: `${counted(inside.length, "tensor is a weight", "tensors are weights")} of the base (${formatBytes(bytes)}): ${listed(inside)}`,
        tensors: inside,
      },
    ];
  },
});
