import { printable } from "../../../formats/index.ts";
import { defineRule } from "../types.ts";

/** Initializations that subtract what they put into the adapter from the base (PEFT, LoraConfig.init_lora_weights). */
const CHANGES_BASE = /^(?:pissa(?:_niter_\d+)?|olora|corda|loftq|lora_ga)$/i;

export const initChangesBase = defineRule({
  id: "init-changes-base",
  severity: "warning",
  meaning: "The adapter was started by a method that changes the base's weights too: put on the plain base, it computes something else.",
  remedy:
    "use it with the residual base that was saved with it, or convert it (save_pretrained with path_initial_model_for_weight_conversion)",
  needs: ["lora"],
  check({ lora: { initLoraWeights } }) {
    if (typeof initLoraWeights !== "string" || !CHANGES_BASE.test(initLoraWeights)) return [];
    return [{ message: `init_lora_weights is "${printable(initLoraWeights, 40)}": the adapter belongs to changed base weights` }];
  },
});
