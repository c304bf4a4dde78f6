import { isDeclaredCopy } from "../config-targets.ts";
import { defineRule } from "../types.ts";
import { listed } from "../wording.ts";

export const unknownModules = defineRule({
  id: "unknown-modules",
  severity: "error",
  meaning:
    "Tensors lie on modules that the base does not have: another base, or another nesting of the same one. Loaders ignore them, and the output is the base model's.",
  remedy: "give the base that the adapter was trained on; if only the nesting differs, rename the keys to the base's module paths",
  needs: ["lora", "modules"],
  check({ lora, modules, keys }) {
    const paths = new Set(modules.map(({ path }) => path));
    // Heads of other tasks are made by PEFT's task class; the base's files do not have them.
    const isTaskHead = (module: string) =>
      isDeclaredCopy(lora, module) && !(lora.modulesToSave ?? []).some((name) => module.endsWith(name));
    const unknown = keys.filter(({ module }) => !paths.has(module) && !isTaskHead(module));
    if (unknown.length === 0) return [];
    const all = unknown.length === keys.length ? "all" : `${unknown.length} of ${keys.length}`;
    return [
      {
        message: `${all} tensors lie on modules that the base does not have: ${listed(unknown.map(({ module }) => module))}`,
        tensors: unknown.map(({ key }) => key),
      },
    ];
  },
});
