import { copyKeys, isExplained } from "../trained-keys.ts";
import { defineRule } from "../types.ts";
import { tensorsText } from "../wording.ts";

export const copyNotDeclared = defineRule({
  id: "copy-not-declared",
  severity: "warning",
  meaning:
    "The file holds whole modules that modules_to_save does not name. PEFT stores embeddings by itself when the vocabulary was resized or LoRA lies on them; it loads them into the base, where they stay frozen.",
  remedy:
    'if they were trained, add their names to "modules_to_save" in adapter_config.json, else save again with save_embedding_layers=False',
  needs: ["lora"],
  check(subject) {
    const stray = copyKeys(subject).filter((key) => !isExplained(subject, key));
    if (stray.length === 0) return [];
    const keys = stray.map(({ key }) => key);
    const saved = subject.lora.modulesToSave;
    return [
      {
        message: `the file holds full copies of ${tensorsText(keys)}, and modules_to_save ${saved === null ? "is null" : "does not name them"}: a continuation would leave them frozen`,
        tensors: keys,
      },
    ];
  },
});
