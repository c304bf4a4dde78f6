import type { LoraPeftConfig } from "../../../formats/index.ts";
import { defineRule } from "../types.ts";

/** Fields that decide what is trained and what it computes; scaling has a rule of its own. */
const FIELDS = [
  ["r", "r"],
  ["target_modules", "targetModules"],
  ["exclude_modules", "excludeModules"],
  ["modules_to_save", "modulesToSave"],
  ["layers_to_transform", "layersToTransform"],
  ["layers_pattern", "layersPattern"],
  ["rank_pattern", "rankPattern"],
  ["alpha_pattern", "alphaPattern"],
  ["bias", "bias"],
  ["use_dora", "useDora"],
  ["use_rslora", "useRslora"],
  ["init_lora_weights", "initLoraWeights"],
  ["lora_dropout", "loraDropout"],
  ["ensure_weight_tying", "ensureWeightTying"],
  ["trainable_token_indices", "trainableTokenIndices"],
] as const satisfies readonly (readonly [string, keyof LoraPeftConfig])[];

/** A list is a set to PEFT, and an empty one is as good as none. */
function comparable(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "null" : JSON.stringify([...new Set(value as unknown[])].map(String).sort());
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return entries.length === 0 ? "null" : JSON.stringify(entries);
  }
  return JSON.stringify(value) ?? "null";
}

export const configChanged = defineRule({
  id: "config-changed",
  severity: "warning",
  meaning:
    "The configuration differs from the earlier state's in what decides which tensors are trained or what they compute. The Trainer takes the script's settings on resume and does not compare.",
  remedy: "continue with the earlier configuration, or make sure that each change is meant",
  needs: ["lora", "previous"],
  check({ lora, previous }) {
    const before = previous.lora;
    if (before === null) return [];
    const changed = FIELDS.filter(([, field]) => comparable(lora[field]) !== comparable(before[field])).map(([name]) => name);
    return changed.length === 0 ? [] : [{ message: `adapter_config.json differs from ${previous.label} in ${changed.join(", ")}` }];
  },
});
