import type { Turn } from "../record.ts";
import { type Form, hasFields, isAbsent, type JsonObject, objectOf, optionalText, refuse, unusedOf } from "./form.ts";
import { isMessageList, messageTurns } from "./message-list.ts";
import { jsonIn, toolsOf } from "./tools.ts";

const LIST_FIELDS = ["messages", "conversations", "conversation"];
const USED = ["tools", "functions", "system", "chat_template_kwargs"];

function listField(row: JsonObject): string | undefined {
  if (hasFields(row, ["messages"])) return "messages";
  // Under ShareGPT's names, but with roles and contents.
  return LIST_FIELDS.find((field) => isMessageList(row[field]));
}

/** The row's own `system`, in front. */
export function withSystem(turns: readonly Turn[], system: string): readonly Turn[] {
  if (system === "") return turns;
  if (turns[0]?.message.role === "system") refuse("system", 'the row has a "system" field and a system turn: keep one');
  return [{ message: { role: "system", content: system }, weight: null }, ...turns];
}

/** The tools of a row, under their present or their former name. */
export function rowTools(row: JsonObject): readonly object[] | null {
  if (hasFields(row, ["tools", "functions"])) refuse("functions", 'the row has "tools" and "functions": keep one');
  return toolsOf(row["tools"], "tools") ?? toolsOf(row["functions"], "functions");
}

/** OpenAI's messages: roles, string or typed content, tools and their calls. */
export const messages: Form = {
  name: "messages",
  fields: "{messages: [{role, content}]}",
  detect(row) {
    const field = listField(row);
    return field === undefined ? null : `"${field}" is a list of messages with roles`;
  },
  parse(row) {
    const field = listField(row) ?? "messages";
    const turns = withSystem(messageTurns(jsonIn(row[field], field), field), optionalText(row["system"], "system"));
    const kwargs = row["chat_template_kwargs"];
    const variables = isAbsent(kwargs) ? {} : objectOf(kwargs, "chat_template_kwargs");
    return { records: [{ kind: "chat", turns, tools: rowTools(row), variables }], unusedFields: unusedOf(row, [...USED, field]) };
  },
};
