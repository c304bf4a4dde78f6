import { defineRule } from "../types.ts";
import { tensorsText } from "../wording.ts";

export const dtypeNotAsRecorded = defineRule({
  id: "dtype-not-as-recorded",
  severity: "warning",
  meaning:
    "Tensors have another dtype than the run's record says they were saved with: the file was rewritten since, and half precision has rounded what was learned.",
  remedy: "put the file of the run back; convert a copy if another dtype is needed",
  needs: ["record", "ledger"],
  check({ record, ledger }) {
    const recorded = new Map(record.trainable.map(({ name, dtype }) => [name, dtype]));
    const changed = new Map<string, string[]>();
    for (const { name, dtype, trainable } of ledger.entries) {
      const before = recorded.get(name);
      if (!trainable || before === undefined || before === dtype) continue;
      const kind = `recorded as ${before}, stored as ${dtype}`;
      changed.set(kind, [...(changed.get(kind) ?? []), name]);
    }
    return [...changed].map(([kind, tensors]) => ({ message: `${tensorsText(tensors)}: ${kind}`, tensors }));
  },
});
