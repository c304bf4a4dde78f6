import { isEmbedding, isHead } from "../keys.ts";
import { copyKeys } from "../trained-keys.ts";
import { defineRule } from "../types.ts";

export const tiedCopiesDiffer = defineRule({
  id: "tied-copies-differ",
  severity: "error",
  meaning:
    "The base uses one tensor as embedding and head, and the two stored copies of it have different values: no merged model with tied weights can hold both.",
  remedy: "merge into an untied base (tie_word_embeddings: false), or train again with ensure_weight_tying=True",
  needs: ["lora", "base", "values"],
  async check(subject) {
    if (subject.base.tied !== true) return [];
    const copies = copyKeys(subject).filter(({ module, leaf }) => leaf === "weight" && isEmbedding(module));
    const head = copies.find(({ module }) => isHead(module));
    const embedding = copies.find(({ module }) => !isHead(module));
    const [a, b] = [head, embedding].map((key) => (key === undefined ? undefined : subject.weights.tensors.get(key.key)));
    if (a === undefined || b === undefined) return [];
    const difference = await subject.values.compare(a, b);
    if (difference?.changed === 0) return [];
    const extent = difference === null ? "in shape or dtype" : `in ${difference.changed} of ${difference.elements} elements`;
    return [{ message: `the copies of the tied embedding and head differ ${extent}`, tensors: [b.name, a.name] }];
  },
});
