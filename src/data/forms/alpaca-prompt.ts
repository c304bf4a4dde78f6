import { alpacaTasks } from "./alpaca.ts";
import { type Form, unusedOf } from "./form.ts";

/** The prompts of Stanford Alpaca's train.py. */
const HEAD = "Below is an instruction that describes a task";
const TAIL = "Write a response that appropriately completes the request.";
const prompt = (instruction: string, input: string): string =>
  input === ""
    ? `${HEAD}. ${TAIL}\n\n### Instruction:\n${instruction}\n\n### Response:`
    : `${HEAD}, paired with an input that provides further context. ${TAIL}\n\n### Instruction:\n${instruction}\n\n### Input:\n${input}\n\n### Response:`;

/** Alpaca in the text of Stanford's own prompt, without a chat template: as base models were first tuned on it. */
export const alpacaPrompt: Form = {
  name: "alpaca-prompt",
  fields: "{instruction, input, output}",
  // Never by itself: the fields are those of `alpaca`.
  detect: () => null,
  parse(row) {
    const { tasks, used } = alpacaTasks(row);
    return {
      records: tasks.map(({ instruction, input, output }) => ({
        kind: "completion",
        prompt: prompt(instruction, input),
        completion: output,
      })),
      unusedFields: unusedOf(row, used),
    };
  },
};
