import { defineRule } from "../types.ts";
import { tensorsText } from "../wording.ts";

export const dtypeDrift = defineRule({
  id: "dtype-drift",
  severity: "warning",
  meaning:
    "Tensors have another dtype than in the earlier state: going from fp32 to half precision rounds what was learned, and small updates are lost from then on.",
  remedy: "load with the dtype that the adapter had (PEFT: autocast_adapter_dtype), and keep the trained tensors in fp32",
  needs: ["previous"],
  check({ weights, previous }) {
    const drifts = new Map<string, string[]>();
    for (const [name, { dtype }] of weights.tensors) {
      const before = previous.weights.tensors.get(name)?.dtype;
      if (before === undefined || before === dtype) continue;
      const kind = `${before} → ${dtype}`;
      drifts.set(kind, [...(drifts.get(kind) ?? []), name]);
    }
    return [...drifts].map(([kind, tensors]) => ({ message: `${tensorsText(tensors)}: ${kind} since ${previous.label}`, tensors }));
  },
});
