import { defineRule } from "../types.ts";

export const optimizerEmpty = defineRule({
  id: "optimizer-empty",
  severity: "error",
  meaning: "The optimizer was given no parameters: the run trained nothing. PEFT loads adapters frozen unless is_trainable=True is given.",
  remedy: "load the adapter with is_trainable=True, and stop the run if no parameter is trainable",
  needs: ["optimizer"],
  check({ optimizer }) {
    return optimizer.parameterCount === 0 ? [{ message: "the optimizer of this checkpoint holds no parameter: nothing was trained" }] : [];
  },
});
