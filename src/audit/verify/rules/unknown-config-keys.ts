import { isLaterThanKnown, isPeftSettingOn, NEWEST_PEFT_RELEASE, peftRelease, printable } from "../../../formats/index.ts";
import { defineRule } from "../types.ts";
import { listed } from "../wording.ts";

export const unknownConfigKeys = defineRule({
  id: "unknown-config-keys",
  severity: "warning",
  meaning: `adapter_config.json has settings that LoraConfig of PEFT ${NEWEST_PEFT_RELEASE} does not know, or that the release which the file names did not know yet: it was written by a later release or another tool, or edited, and what they ask for may not be done.`,
  remedy: "load it with the PEFT release that wrote it; take out keys that are typing errors",
  needs: ["lora"],
  check({ lora: { raw, peftVersion } }) {
    const newest = peftRelease(NEWEST_PEFT_RELEASE);
    const set = Object.keys(raw).filter((key) => isPeftSettingOn(key, raw[key]));
    const unknown = set.filter((key) => newest?.knows(key) === false);
    const named = peftVersion === null ? null : peftRelease(peftVersion);
    const version = peftVersion === null ? "" : printable(peftVersion, 40);
    const early = named === null ? [] : set.filter((key) => newest?.knows(key) === true && !named.knows(key) && key !== "peft_version");
    const origin =
      version === ""
        ? ""
        : isLaterThanKnown(version)
          ? ` (it was written by PEFT ${version})`
          : `, nor did PEFT ${version}, which the file names`;
    return [
      ...(unknown.length === 0 ? [] : [{ message: `PEFT ${NEWEST_PEFT_RELEASE} does not know ${listed(unknown)}${origin}` }]),
      ...(early.length === 0 ? [] : [{ message: `PEFT ${version}, which the file names, did not know ${listed(early)} yet` }]),
    ];
  },
});
