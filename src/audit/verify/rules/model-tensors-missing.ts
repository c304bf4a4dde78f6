import { modelParameters } from "../../../model/index.ts";
import { defineRule } from "../types.ts";
import { counted, listed } from "../wording.ts";

export const modelTensorsMissing = defineRule({
  id: "model-tensors-missing",
  severity: "error",
  meaning: "A model's files lack tensors that its configuration needs: loaders fill them with random numbers and only warn.",
  remedy: "fetch the missing shards, or save the model again",
  needs: ["model"],
  check({ model, weights }) {
    if (model.spec === null) return [];
    const missing = modelParameters(model.spec)
      .filter(({ name, tiedTo }) => tiedTo === undefined && !weights.tensors.has(name))
      .map(({ name }) => name);
    return missing.length === 0
      ? []
      : [{ message: `${counted(missing.length, "tensor is", "tensors are")} not in the files: ${listed(missing)}`, tensors: missing }];
  },
});
