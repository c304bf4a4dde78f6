import type { LoraPeftConfig } from "../../../formats/index.ts";
import { patternLookup } from "../config-targets.ts";
import { isLoraPart } from "../keys.ts";
import { defineRule } from "../types.ts";
import { listed } from "../wording.ts";

/** The factor on B·A of a module. */
function scalingIn(config: LoraPeftConfig): (module: string) => number {
  const [ranks, alphas] = [patternLookup(config.rankPattern), patternLookup(config.alphaPattern)];
  return (module) => {
    const rank = ranks.of(module) ?? config.r;
    return (alphas.of(module) ?? config.loraAlpha) / (config.useRslora ? Math.sqrt(rank) : rank);
  };
}

/** Far above the rounding of a quotient, far below any change that one would make. */
const TOLERANCE = 1e-9;
const differ = (a: number, b: number): boolean => Math.abs(a - b) > TOLERANCE * Math.max(Math.abs(a), Math.abs(b));
const REASON =
  "the Trainer does not read a checkpoint's adapter_config.json on resume: give the script the alpha and rank that the adapter was trained with";

export const scalingChanged = defineRule({
  id: "scaling-changed",
  severity: "error",
  meaning:
    "The factor alpha / r (or alpha / √r) on the matrices is another one than before, so that the same matrices suddenly count for more or less.",
  remedy: REASON,
  needs: ["lora"],
  check({ lora, previous, record, keys }) {
    const now = scalingIn(lora);
    const findings: { message: string; tensors?: readonly string[] }[] = [];
    if (previous !== null && previous.lora !== null) {
      const then = scalingIn(previous.lora);
      const changed = keys.filter((key) => isLoraPart(key) && differ(now(key.module), then(key.module)));
      const [first] = changed;
      if (first !== undefined) {
        const modules = listed(changed.map(({ module }) => module));
        findings.push({
          message: `scaling changed from ${then(first.module)} in ${previous.label} to ${now(first.module)}: ${modules}`,
          tensors: changed.map(({ key }) => key),
        });
      }
    }
    const recorded = record?.config.adapter;
    if (typeof recorded === "object" && recorded !== null && differ(recorded.alpha / recorded.rank, lora.loraAlpha / lora.r)) {
      findings.push({ message: `scaling is ${lora.loraAlpha / lora.r}, and the run's record says ${recorded.alpha / recorded.rank}` });
    }
    return findings;
  },
});
