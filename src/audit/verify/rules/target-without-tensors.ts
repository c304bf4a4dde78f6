import { translatePythonPattern } from "../../../adapter/index.ts";
import { printable } from "../../../formats/index.ts";
import { targetTest, unmatchedNames } from "../config-targets.ts";
import { isLoraPart } from "../keys.ts";
import { defineRule, type SubjectWith } from "../types.ts";
import { listed } from "../wording.ts";

const REDIRECTED = "a module under modules_to_save gets no LoRA: name it in one of the two lists only";

/** Without names all of whose modules exclude_modules takes out again; without a base that cannot be told. */
function withoutExcluded({ lora, modules }: SubjectWith<"lora">, names: readonly string[]): readonly string[] {
  if (lora.excludeModules === null) return names;
  const isTarget = modules === null ? null : targetTest(lora);
  if (modules === null || isTarget === null) return [];
  return names.filter((name) => {
    const own = modules.filter(({ path }) => path === name || path.endsWith(`.${name}`));
    return own.length === 0 || own.some(isTarget);
  });
}

export const targetWithoutTensors = defineRule({
  id: "target-without-tensors",
  severity: "error",
  meaning:
    "target_modules names a module for which the file has no LoRA tensors: the trainer dropped it without a word (some do so with embed_tokens and lm_head), and a learning rate set for it did nothing.",
  remedy: "list embed_tokens and lm_head under modules_to_save to train them in full; take names out that were not trained",
  needs: ["lora"],
  check(subject) {
    const { lora, keys } = subject;
    const { targetModules, modulesToSave } = lora;
    if (targetModules === null) return [];
    const modules = [...new Set(keys.filter(isLoraPart).map(({ module }) => module))];
    if (typeof targetModules === "string") {
      if (targetModules.toLowerCase() === "all-linear") return [];
      const pattern = translatePythonPattern(targetModules, "fullmatch");
      if (modules.some((module) => pattern.test(module))) return [];
      return [{ message: `no LoRA tensor of the file lies on a module that the pattern "${printable(targetModules)}" matches` }];
    }
    const missing = withoutExcluded(subject, unmatchedNames([...new Set(targetModules)], modules));
    if (missing.length === 0) return [];
    const isSaved = missing.every((name) => modulesToSave?.includes(name) === true);
    return [
      {
        message: `target_modules names ${listed(missing)}, and the file holds no LoRA tensors for ${missing.length === 1 ? "it" : "them"}`,
        ...(isSaved ? { hint: REDIRECTED } : {}),
      },
    ];
  },
});
