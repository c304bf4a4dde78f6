import { isPeftSettingOn } from "../../../formats/index.ts";
import { defineRule } from "../types.ts";
import { listed } from "../wording.ts";

export const peftReleaseLacks = defineRule({
  id: "peft-release-lacks",
  severity: "error",
  meaning:
    "The PEFT release that was named with --peft does not know settings of adapter_config.json. Releases 0.6 to 0.13 refuse such a file, even where the setting is off; earlier ones drop the settings without a word and later ones with a warning, and the adapter then works otherwise than it was trained.",
  remedy: "load it with the release that wrote it or a later one; settings that are off can be taken out of adapter_config.json",
  needs: ["lora", "peftRelease"],
  check({ lora: { raw }, peftRelease: { version, unknownKeys, knows } }) {
    const keys = Object.keys(raw).filter((key) => !knows(key));
    // What a file says of its own making is no setting.
    const set = keys.filter((key) => isPeftSettingOn(key, raw[key]) && key !== "peft_version");
    if (unknownKeys === "refuses") {
      return keys.length === 0 ? [] : [{ message: `PEFT ${version} refuses to load the file: it does not know ${listed(keys)}` }];
    }
    const how = unknownKeys === "ignores" ? "drops without a word" : "drops with a warning";
    return set.length === 0 ? [] : [{ message: `PEFT ${version} ${how} what it does not know: ${listed(set)}` }];
  },
});
