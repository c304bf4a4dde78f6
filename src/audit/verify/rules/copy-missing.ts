import { copyKeys } from "../trained-keys.ts";
import { defineRule } from "../types.ts";
import { listed } from "../wording.ts";

export const copyMissing = defineRule({
  id: "copy-missing",
  severity: "error",
  meaning:
    "modules_to_save names a module of which the file holds no copy: what was trained there is lost, and a reload starts again from the base.",
  remedy: "take the file from a save that has the copies; a smaller file than expected is the sign",
  needs: ["lora"],
  check(subject) {
    const modules = copyKeys(subject).map(({ module }) => module);
    const { modulesToSave } = subject.lora;
    const missing = [...new Set(modulesToSave ?? [])].filter(
      (name) => !modules.some((module) => module.endsWith(name) || `.${module}.`.includes(`.${name}.`)),
    );
    if (missing.length === 0) return [];
    return [{ message: `modules_to_save names ${listed(missing)}, and the file holds no copy of ${missing.length === 1 ? "it" : "them"}` }];
  },
});
