import { targetTest } from "../config-targets.ts";
import { defineRule } from "../types.ts";
import { listed } from "../wording.ts";

export const missingTensors = defineRule({
  id: "missing-tensors",
  severity: "error",
  meaning:
    "The configuration puts LoRA on modules of the base for which the file holds no pair of matrices. PEFT only warns, and those modules run as in the base.",
  remedy: "take the file from the save that wrote adapter_config.json, or from an earlier checkpoint",
  needs: ["lora", "modules"],
  check({ lora, modules, keys }) {
    const isTarget = targetTest(lora);
    if (isTarget === null) return [];
    const parts = new Map<string, Set<string>>();
    for (const { module, part } of keys) parts.set(module, (parts.get(module) ?? new Set()).add(part));
    const missing = modules.filter((module) => isTarget(module) && !parts.get(module.path)?.has("A") && !parts.get(module.path)?.has("B"));
    if (missing.length === 0) return [];
    const paths = missing.map(({ path }) => path);
    return [
      {
        message: `${paths.length} of the modules that target_modules selects have no LoRA tensors in the file: ${listed(paths)}`,
        tensors: paths.flatMap((path) => [`base_model.model.${path}.lora_A.weight`, `base_model.model.${path}.lora_B.weight`]),
      },
    ];
  },
});
