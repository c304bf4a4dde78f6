import { defineRule } from "../types.ts";
import { listed } from "../wording.ts";

export const doubleWrapping = defineRule({
  id: "double-wrapping",
  severity: "error",
  meaning:
    "PEFT's prefix stands in the keys twice: a model that was an adapter already was wrapped again, so that it started from new matrices, and no loader finds these.",
  remedy: "load the adapter or make a new one, not both; the keys can be mended: heirloom verify PATH --fix -o DIR",
  needs: ["lora"],
  check({ keys }) {
    const twice = keys.filter(({ wraps }) => wraps > 1);
    if (twice.length === 0) return [];
    return [
      {
        message: `${twice.length} keys have PEFT's prefix more than once: ${listed(twice.map(({ key }) => key))}`,
        tensors: twice.map(({ key }) => key),
      },
    ];
  },
});
