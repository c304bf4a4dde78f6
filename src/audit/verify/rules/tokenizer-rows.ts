import { printable } from "../../../formats/index.ts";
import { isEmbedding } from "../keys.ts";
import { defineRule } from "../types.ts";

export const tokenizerRows = defineRule({
  id: "tokenizer-rows",
  severity: "error",
  meaning: "The tokenizer gives ids beyond the last row of the embedding: such a token stops the run, or reads another tensor's memory.",
  remedy: "resize the embedding before training, or take the tokenizer that belongs to this model",
  needs: ["tokenizer"],
  check({ tokenizer, keys, weights, base, model }) {
    const copy = keys.find(({ module, part, leaf }) => part === "plain" && leaf === "weight" && isEmbedding(module));
    const rows = (copy === undefined ? undefined : weights.tensors.get(copy.key)?.shape[0]) ?? base?.vocabSize ?? model?.vocabSize ?? null;
    if (rows === null || tokenizer.maxId < rows) return [];
    return [
      {
        message: `${printable(tokenizer.file)} has ids up to ${tokenizer.maxId}, and the embedding ${rows} rows`,
        ...(copy === undefined ? {} : { tensors: [copy.key] }),
      },
    ];
  },
});
