import type { ChatMessage } from "../chat-template.ts";
import { type DataRecord, plainChat } from "../record.ts";
import { type Form, hasFields, isAbsent, type JsonObject, listOf, objectOf, optionalText, refuse, textOf, unusedOf } from "./form.ts";

/** Dolly calls the input `context` and the output `response`. */
const INPUT_FIELDS = ["input", "context"];
const OUTPUT_FIELDS = ["output", "response"];

/** What an instruction is answered to with. */
export interface AlpacaTask {
  readonly instruction: string;
  readonly input: string;
  readonly output: string;
}

const oneOf = (row: JsonObject, fields: readonly string[]): string =>
  fields.find((field) => hasFields(row, [field])) ?? (fields[0] as string);

function evidenceOf(row: JsonObject): string | null {
  if (!hasFields(row, ["instruction"])) return null;
  if (Array.isArray(row["instances"])) return '"instruction" with nested "instances": each is a row of its own';
  const output = OUTPUT_FIELDS.find((field) => hasFields(row, [field]));
  return output === undefined ? null : `"instruction" and "${output}"`;
}

/** The tasks of a row, and the fields that they were read from. */
export function alpacaTasks(row: JsonObject): { readonly tasks: readonly AlpacaTask[]; readonly used: readonly string[] } {
  const instruction = textOf(row["instruction"], "instruction");
  if (!isAbsent(row["instances"])) {
    const tasks = listOf(row["instances"], "instances").map((value, i): AlpacaTask => {
      const at = `instances[${i}]`;
      const instance = objectOf(value, at);
      return { instruction, input: optionalText(instance["input"], `${at}.input`), output: textOf(instance["output"], `${at}.output`) };
    });
    return { tasks, used: ["instruction", "instances"] };
  }
  const input = oneOf(row, INPUT_FIELDS);
  const output = oneOf(row, OUTPUT_FIELDS);
  const task = { instruction, input: optionalText(row[input], input), output: textOf(row[output], output) };
  return { tasks: [task], used: ["instruction", input, output] };
}

/** Earlier turns: `[[question, answer], …]`. */
function historyOf(value: unknown): ChatMessage[] {
  if (isAbsent(value) || (Array.isArray(value) && value.length === 0)) return [];
  return listOf(value, "history").flatMap((pair, i) => {
    const at = `history[${i}]`;
    const both = listOf(pair, at);
    if (both.length !== 2) return refuse(at, `expected a question and an answer as ${at}, found a list of ${both.length}`);
    return [
      { role: "user", content: textOf(both[0], `${at}[0]`) },
      { role: "assistant", content: textOf(both[1], `${at}[1]`) },
    ];
  });
}

/**
 * Alpaca as a chat: instruction and input, a line break between them, are the user's turn, as in LlamaFactory. For the
 * prompt text of Stanford Alpaca see `alpaca-prompt`.
 */
export const alpaca: Form = {
  name: "alpaca",
  fields: "{instruction, input, output}",
  detect: evidenceOf,
  parse(row) {
    const { tasks, used } = alpacaTasks(row);
    const system = optionalText(row["system"], "system");
    const before: ChatMessage[] = [...(system === "" ? [] : [{ role: "system", content: system }]), ...historyOf(row["history"])];
    const records = tasks.map(({ instruction, input, output }): DataRecord => {
      const content = [instruction, input].filter((part) => part !== "").join("\n");
      return plainChat([...before, { role: "user", content }, { role: "assistant", content: output }]);
    });
    return { records, unusedFields: unusedOf(row, [...used, "system", "history"]) };
  },
};
