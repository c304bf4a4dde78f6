import type { FieldReader } from "./field-reader.ts";
import { OUTPUT_EMBEDDING } from "./modules.ts";
import type { Nf4Spec } from "./types.ts";

/** Reads `quantization_config`; anything but bitsandbytes NF4 is noted as unsupported, by name. */
export function parseQuantization(fields: FieldReader): Nf4Spec | null {
  const quantization = fields.object("quantization_config");
  if (quantization === null) {
    if (fields.values["quantization"] !== undefined) refuse(fields, "an MLX quantization");
    return null;
  }
  const fourBit = quantization.flag("load_in_4bit", false);
  const eightBit = quantization.flag("load_in_8bit", false);
  // Files of the first bitsandbytes releases lack the method (as transformers assumes too).
  const method = quantization.optionalString("quant_method") ?? (fourBit || eightBit ? "bitsandbytes" : null);
  if (method !== "bitsandbytes") {
    refuse(fields, method === null ? "a quantization_config without quant_method" : `the quantization method "${method}"`);
    return null;
  }
  if (!fourBit) {
    refuse(fields, "bitsandbytes 8-bit quantization");
    return null;
  }
  const type = quantization.optionalString("bnb_4bit_quant_type") ?? "fp4";
  if (type !== "nf4") {
    refuse(fields, `the bitsandbytes 4-bit type "${type}"`);
    return null;
  }
  return {
    method: "bitsandbytes-nf4",
    doubleQuant: quantization.flag("bnb_4bit_use_double_quant", false),
    skipModules: quantization.optionalStrings("llm_int8_skip_modules") ?? [OUTPUT_EMBEDDING],
  };
}

function refuse(fields: FieldReader, what: string): void {
  fields.problems.add("QUANTIZATION_UNSUPPORTED", `${what} is not supported`, {
    where: fields.where,
    hint: "use the unquantized model; heirloom quantizes it to NF4 itself",
  });
}
