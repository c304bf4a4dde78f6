import { PEFT_VERSION } from "../../../adapter/index.ts";
import { printable } from "../../../formats/index.ts";
import { defineRule } from "../types.ts";
import { listed } from "../wording.ts";

const isSet = (value: unknown): boolean =>
  value !== null && value !== false && value !== "" && (typeof value !== "object" || Object.keys(value).length > 0);

/** True if `version` is later than `known`; versions of other forms are not. */
function isLater(version: string, known: string): boolean {
  const numbers = (text: string) => (/^(\d+)\.(\d+)/.exec(text) ?? []).slice(1).map(Number);
  const [a, b] = [numbers(version), numbers(known)];
  return a.length === 2 && ((a[0] ?? 0) > (b[0] ?? 0) || (a[0] === b[0] && (a[1] ?? 0) > (b[1] ?? 0)));
}

export const unknownConfigKeys = defineRule({
  id: "unknown-config-keys",
  severity: "warning",
  meaning: `adapter_config.json has settings that LoraConfig of PEFT ${PEFT_VERSION} does not know: it was written by a later release or another tool, and what they ask for is not done. Releases before 0.15 refuse to load such a file.`,
  remedy: "load it with the PEFT release that wrote it; take out keys that are typing errors",
  needs: ["lora"],
  check({ lora: { unknownKeys, raw, peftVersion } }) {
    const set = unknownKeys.filter((key) => isSet(raw[key]));
    if (set.length === 0) return [];
    const version = peftVersion === null ? "" : printable(peftVersion, 40);
    const origin =
      version === ""
        ? ""
        : isLater(version, PEFT_VERSION)
          ? ` (it was written by PEFT ${version})`
          : `, nor did PEFT ${version}, which the file names`;
    return [{ message: `PEFT ${PEFT_VERSION} does not know ${listed(set)}${origin}` }];
  },
});
