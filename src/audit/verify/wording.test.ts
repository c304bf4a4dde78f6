import { expect, it } from "vitest";
import { tensorsText } from "./wording.ts";

const at = (layer: number, leaf: string): string => `base_model.model.model.layers.${layer}.mlp.up_proj.${leaf}`;

it("speaks of biases as biases, and of one thing in the singular", () => {
  expect(tensorsText([0, 1, 2].map((layer) => at(layer, "bias")))).toBe("3 biases (model.layers.0.mlp.up_proj …)");
  expect(tensorsText(["base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta"])).toBe(
    "1 tensor of trainable token rows",
  );
});
