import { isLoraPart } from "../keys.ts";
import { defineRule } from "../types.ts";
import { tensorsText } from "../wording.ts";

export const loaderRejects = defineRule({
  id: "loader-rejects",
  severity: "note",
  meaning:
    "The file holds tensors other than LoRA matrices (full copies, trainable tokens, weights of the base). PEFT loads them; vLLM and llama.cpp's convert_lora_to_gguf.py refuse a file that has them.",
  remedy: "for vLLM and llama.cpp merge the adapter into the base first",
  needs: ["lora"],
  check({ keys }) {
    const other = keys.filter((key) => !isLoraPart(key) || key.part === "magnitude").map(({ key }) => key);
    if (other.length === 0) return [];
    return [{ message: `vLLM and llama.cpp refuse ${tensorsText(other)} in an adapter`, tensors: other }];
  },
});
