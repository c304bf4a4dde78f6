import { patternLookup } from "../config-targets.ts";
import { isLoraPart } from "../keys.ts";
import { defineRule } from "../types.ts";
import { listed } from "../wording.ts";

export const patternUnused = defineRule({
  id: "pattern-unused",
  severity: "warning",
  meaning:
    "A key of rank_pattern or alpha_pattern matches no module of the adapter: the rank or alpha that was meant there is not in force.",
  remedy: "keys are Python patterns for the end of a module's path, such as layers\\.0\\.self_attn\\.q_proj",
  needs: ["lora"],
  check({ lora, keys }) {
    const modules = new Set(keys.filter(isLoraPart).map(({ module }) => module));
    return (["rankPattern", "alphaPattern"] as const).flatMap((field) => {
      const unused = patternLookup(lora[field]).unused(modules);
      const name = field === "rankPattern" ? "rank_pattern" : "alpha_pattern";
      return unused.length === 0 ? [] : [{ message: `${name} has keys that match no module of the file: ${listed(unused)}` }];
    });
  },
});
