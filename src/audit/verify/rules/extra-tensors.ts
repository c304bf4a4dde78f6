import { targetTest } from "../config-targets.ts";
import { isLoraPart } from "../keys.ts";
import { defineRule } from "../types.ts";
import { listed } from "../wording.ts";

export const extraTensors = defineRule({
  id: "extra-tensors",
  severity: "error",
  meaning:
    "The file holds LoRA matrices for modules that the configuration does not select. On loading they are dropped, so the adapter does less than what was trained.",
  remedy:
    "correct target_modules, exclude_modules, layers_to_transform or modules_to_save in adapter_config.json so that they name these modules",
  needs: ["lora", "modules"],
  check({ lora, modules, keys }) {
    const isTarget = targetTest(lora);
    if (isTarget === null) return [];
    const known = new Map(modules.map((module) => [module.path, module]));
    const extra = keys.filter((key) => {
      const module = known.get(key.module);
      return isLoraPart(key) && module !== undefined && !isTarget(module);
    });
    if (extra.length === 0) return [];
    return [
      {
        message: `${extra.length} LoRA tensors lie on modules that adapter_config.json does not select: ${listed(extra.map(({ module }) => module))}`,
        tensors: extra.map(({ key }) => key),
      },
    ];
  },
});
