import { printable } from "../../../formats/index.ts";
import { isDeclaredCopy } from "../config-targets.ts";
import { copyKeys } from "../trained-keys.ts";
import { defineRule, type SubjectWith } from "../types.ts";
import { tensorsText } from "../wording.ts";

/** Endings that say that a repository holds weights which bitsandbytes packed to 4 bits. */
const FOUR_BIT_NAME = /bnb[-_]4bit/i;
/** A module of a numbered block: heads beside the blocks, which come last in the model, are left unpacked by transformers. */
const IN_BLOCK = /\.\d+\./;

type Subject = SubjectWith<"lora">;
interface FourBit {
  /** How it is known that the base is in 4 bits. */
  readonly evidence: string;
  isPacked(module: string): boolean;
}

/** What `llm_int8_skip_modules` names: those stay as they are in 4 bits, too. */
function skipped(config: Readonly<Record<string, unknown>>): readonly string[] {
  const names = config["llm_int8_skip_modules"];
  return Array.isArray(names) ? names.filter((name) => typeof name === "string") : [];
}

/** The base's quantization to 4 bits, as far as anything tells of one; null if nothing does. */
function fourBitBase({ base, baseWeights, record, lora }: Subject): FourBit | null {
  const config = base?.json["quantization_config"] as Readonly<Record<string, unknown>> | null | undefined;
  if (config?.["load_in_4bit"] === true) {
    const names = skipped(config);
    const isPacked = (module: string): boolean =>
      baseWeights === null
        ? !names.some((name) => `.${module}.`.includes(`.${name}.`))
        : baseWeights.tensors.has(`${module}.weight.absmax`);
    return { evidence: "the base given is in 4 bits", isPacked };
  }
  if (record !== null && record.config.quantization != null) return { evidence: "the run's base was in 4 bits", isPacked: () => true };
  const name = lora.baseModelNameOrPath;
  if (base !== null || name === null || !FOUR_BIT_NAME.test(name)) return null;
  return { evidence: `the adapter names ${printable(name)}, a base in 4 bits`, isPacked: () => true };
}

export const copyOfQuantizedLinear = defineRule({
  id: "copy-of-quantized-linear",
  severity: "warning",
  meaning:
    "modules_to_save names a linear layer of a base in 4 bits. PEFT (0.21, with bitsandbytes 0.50) copies the packed weight: it fails with 'only Tensors of floating point dtype can require gradients', or, where the packed bytes are kept in a floating-point dtype, gives the copy no gradient; a copy in full precision it does not load (KeyError on absmax). heirloom trains and loads it.",
  remedy:
    "to use it with PEFT, load the base unquantized, or name the module in llm_int8_skip_modules of BitsAndBytesConfig, together with lm_head",
  needs: ["lora"],
  check(subject) {
    const fourBit = fourBitBase(subject);
    if (fourBit === null) return [];
    const copies = copyKeys(subject).filter(
      ({ key, leaf, module }) =>
        leaf === "weight" &&
        IN_BLOCK.test(module) &&
        isDeclaredCopy(subject.lora, module) &&
        subject.weights.tensors.get(key)?.shape.length === 2 &&
        fourBit.isPacked(module),
    );
    if (copies.length === 0) return [];
    const keys = copies.map(({ key }) => key);
    return [{ message: `${tensorsText(keys)}: a full copy of a linear layer, and ${fourBit.evidence}`, tensors: keys }];
  },
});
