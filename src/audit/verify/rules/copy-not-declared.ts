import { printable } from "../../../formats/index.ts";
import type { AdapterRecord } from "../../../runs/index.ts";
import type { AdapterKey } from "../keys.ts";
import { copyKeys, isExplained } from "../trained-keys.ts";
import { defineRule, type RuleFinding } from "../types.ts";
import { tensorsText } from "../wording.ts";

/** Names of the trained tensors as a file has them, without the wrappers of a live model. */
function trainedNames({ trainable }: AdapterRecord): ReadonlySet<string> {
  return new Set(trainable.map(({ name }) => name.replace(/^base_model\.model\./, "").replace(/\.modules_to_save\.[^.]+/, "")));
}

/** What the record beside the adapter proves of copies that its configuration does not name. */
function provenBy(record: AdapterRecord, stray: readonly AdapterKey[], saved: string): RuleFinding[] {
  const names = trainedNames(record);
  const wasTrained = ({ module, leaf }: AdapterKey): boolean => names.has(`${module}.${leaf}`);
  const by = `the record of run ${printable(record.run, 60)} (update ${record.step})`;
  const [trained, frozen] = [stray.filter(wasTrained), stray.filter((key) => !wasTrained(key))].map((keys) => keys.map(({ key }) => key));
  const findings: RuleFinding[] = [];
  if (trained !== undefined && trained.length > 0)
    findings.push({
      severity: "error",
      message: `${by} proves that the full copies of ${tensorsText(trained)} were trained, and modules_to_save ${saved}: it was changed since, and a continuation would freeze them`,
      tensors: trained,
      hint: 'add their names to "modules_to_save" in adapter_config.json again, or take the file from the run',
    });
  if (frozen !== undefined && frozen.length > 0)
    findings.push({
      severity: "note",
      message: `the file holds full copies of ${tensorsText(frozen)}, and ${by} says that they were not trained: they are the base's`,
      tensors: frozen,
      hint: "nothing is lost without them; save with save_embedding_layers=False for a smaller file",
    });
  return findings;
}

export const copyNotDeclared = defineRule({
  id: "copy-not-declared",
  severity: "warning",
  meaning:
    "The file holds whole modules that modules_to_save does not name. PEFT stores embeddings by itself when the vocabulary was resized or LoRA lies on them; it loads them into the base, where they stay frozen. A run's record beside the adapter decides: copies that it trained are an error, others a note.",
  remedy:
    'if they were trained, add their names to "modules_to_save" in adapter_config.json, else save again with save_embedding_layers=False',
  needs: ["lora"],
  check(subject) {
    const stray = copyKeys(subject).filter((key) => !isExplained(subject, key));
    if (stray.length === 0) return [];
    const keys = stray.map(({ key }) => key);
    const saved = subject.lora.modulesToSave === null ? "is null" : "does not name them";
    if (subject.record !== null) return provenBy(subject.record, stray, saved);
    return [
      {
        message: `the file holds full copies of ${tensorsText(keys)}, and modules_to_save ${saved}: a continuation would leave them frozen`,
        tensors: keys,
      },
    ];
  },
});
