import type { Turn } from "../record.ts";
import { type Form, hasFields, refuse, textOf, unusedOf } from "./form.ts";
import { isMessageList, messageTurns } from "./message-list.ts";
import { rowTools } from "./messages.ts";
import { jsonIn } from "./tools.ts";

/** Turns of the prompt are not trained, whoever speaks; those of the completion are as usual. */
const asPrompt = (turn: Turn): Turn => ({ ...turn, weight: turn.weight ?? 0 });

/** A list of messages, also where a column of a table has its JSON text; else the value itself. */
const listIn = (value: unknown, field: string): unknown => (isMessageList(value) ? jsonIn(value, field) : value);

/** `{prompt, completion}`: two texts that are joined as they stand, or (TRL's conversational form) two lists of messages. */
export const promptCompletion: Form = {
  name: "prompt-completion",
  fields: "{prompt, completion}",
  detect(row) {
    if (!hasFields(row, ["prompt", "completion"])) return null;
    return isMessageList(row["completion"]) ? '"prompt" and "completion" are lists of messages' : '"prompt" and "completion"';
  },
  parse(row) {
    const [prompt, completion] = [listIn(row["prompt"], "prompt"), listIn(row["completion"], "completion")];
    if (typeof row["label"] === "boolean")
      refuse(
        "label",
        "the row is of the form unpaired preference (prompt, completion, label), which supervised training cannot learn from",
      );
    if (Array.isArray(prompt) !== Array.isArray(completion))
      refuse("completion", 'expected "prompt" and "completion" to be both text or both lists of messages');
    if (Array.isArray(prompt)) {
      const turns = [...messageTurns(prompt, "prompt").map(asPrompt), ...messageTurns(completion, "completion")];
      return {
        records: [{ kind: "chat", turns, tools: rowTools(row), variables: {} }],
        unusedFields: unusedOf(row, ["prompt", "completion", "tools", "functions"]),
      };
    }
    return {
      records: [{ kind: "completion", prompt: textOf(prompt, "prompt"), completion: textOf(completion, "completion") }],
      unusedFields: unusedOf(row, ["prompt", "completion"]),
    };
  },
};
