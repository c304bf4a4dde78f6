import { patternLookup } from "../config-targets.ts";
import { defineRule } from "../types.ts";
import { listed } from "../wording.ts";

export const rankMismatch = defineRule({
  id: "rank-mismatch",
  severity: "error",
  meaning:
    "Matrices have another rank than r and rank_pattern give them: loading fails, and the factor alpha / r is computed with the wrong rank.",
  remedy: "take adapter_config.json from the save that wrote the file, or correct r and rank_pattern; then check alpha / r",
  needs: ["lora"],
  check({ lora, keys, weights }) {
    // Stacked experts have the ranks of all of them in one matrix.
    if (lora.targetParameters !== null && lora.targetParameters.length > 0) return [];
    const patterns = patternLookup(lora.rankPattern);
    const wrong = new Map<string, string[]>();
    for (const { key, module, part } of keys) {
      if (part !== "A" && part !== "B") continue;
      const expected = patterns.of(module) ?? lora.r;
      const found = weights.tensors.get(key)?.shape[part === "A" ? 0 : 1];
      if (found === expected) continue;
      const kind = `rank ${found ?? "none"} instead of ${expected}`;
      wrong.set(kind, [...(wrong.get(kind) ?? []), key]);
    }
    return [...wrong].map(([kind, tensors]) => ({ message: `${tensors.length} matrices have ${kind}: ${listed(tensors)}`, tensors }));
  },
});
