import { defineRule } from "../types.ts";
import { listed } from "../wording.ts";

export const pairIncomplete = defineRule({
  id: "pair-incomplete",
  severity: "error",
  meaning: "A module has one of its two LoRA matrices only, so that it has no update to apply; or the two have different ranks.",
  remedy: "take the file from another checkpoint: this one was cut or edited",
  needs: ["lora"],
  check({ keys, weights }) {
    const ranks = new Map<string, { A?: number | undefined; B?: number | undefined; keys: string[] }>();
    for (const { key, module, part } of keys) {
      if (part !== "A" && part !== "B") continue;
      const entry = ranks.get(module) ?? { keys: [] };
      const shape = weights.tensors.get(key)?.shape ?? [];
      entry[part] = part === "A" ? shape[0] : shape[1];
      ranks.set(module, { ...entry, keys: [...entry.keys, key] });
    }
    const single = [...ranks].filter(([, { keys: own }]) => own.length === 1);
    const unequal = [...ranks].filter(([, { A, B, keys: own }]) => own.length > 1 && A !== B);
    const finding = (modules: typeof single, what: string) =>
      modules.length === 0
        ? []
        : [
            {
              message: `${modules.length} modules ${what}: ${listed(modules.map(([path]) => path))}`,
              tensors: modules.flatMap(([, m]) => m.keys),
            },
          ];
    return [...finding(single, "have only one of lora_A and lora_B"), ...finding(unequal, "have lora_A and lora_B of different ranks")];
  },
});
