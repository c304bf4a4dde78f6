import { PEFT_PREFIX } from "../../../adapter/index.ts";
import { printable } from "../../../formats/index.ts";
import { defineRule } from "../types.ts";
import { listed } from "../wording.ts";

export const keyPrefix = defineRule({
  id: "key-prefix",
  severity: "error",
  meaning:
    "Keys lack PEFT's prefix, or still have the wrapper of a training framework or the adapter's name in them. PEFT finds no tensor under such a name and runs with the base's output.",
  remedy: "write the keys right without touching a value: heirloom verify PATH --fix -o DIR",
  needs: ["lora"],
  check({ keys }) {
    const finding = (wrong: typeof keys, what: string) =>
      wrong.length === 0
        ? []
        : [{ message: `${wrong.length} keys ${what}: ${listed(wrong.map(({ key }) => key))}`, tensors: wrong.map(({ key }) => key) }];
    const stray = keys.filter(({ strayPrefixes }) => strayPrefixes.length > 0);
    const named = keys.filter(({ adapterName }) => adapterName !== null);
    const prefixes = [...new Set(stray.flatMap(({ strayPrefixes }) => strayPrefixes))].join(", ");
    const names = [...new Set(named.map(({ adapterName }) => printable(adapterName || "modules_to_save", 40)))].join(", ");
    return [
      ...finding(
        keys.filter(({ wraps }) => wraps === 0),
        `do not begin with ${PEFT_PREFIX}`,
      ),
      ...finding(stray, `carry a wrapper's prefix (${prefixes})`),
      ...finding(named, `carry a part that PEFT takes out on saving (${names})`),
    ];
  },
});
