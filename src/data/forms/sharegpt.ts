import { nearestName } from "../../core/index.ts";
import { describeValue } from "../../formats/index.ts";
import type { ChatMessage } from "../chat-template.ts";
import type { Turn } from "../record.ts";
import {
  type Form,
  isAbsent,
  isListWith,
  type JsonObject,
  listOf,
  objectOf,
  optionalText,
  refuse,
  textOf,
  unusedOf,
  WEIGHT_FIELDS,
  weightOf,
} from "./form.ts";
import { rowTools, withSystem } from "./messages.ts";
import { callsOf, jsonIn } from "./tools.ts";

type Part = "system" | "user" | "assistant" | "call" | "observation";

/** Names that data sets have for who speaks. */
const ROLES: Readonly<Record<string, Part>> = {
  system: "system",
  human: "user",
  user: "user",
  gpt: "assistant",
  assistant: "assistant",
  chatgpt: "assistant",
  bing: "assistant",
  bard: "assistant",
  model: "assistant",
  function_call: "call",
  tool_call: "call",
  observation: "observation",
  tool: "observation",
  tool_response: "observation",
  function_response: "observation",
};
const NAMES = Object.keys(ROLES);
const FIELDS = ["conversations", "conversation"];
const ROW_FIELDS = ["tools", "functions", "system", "system_prompt"];
const TURN_FIELDS = ["from", "value", "name", ...WEIGHT_FIELDS];

function isTurnList(value: unknown): boolean {
  return isListWith(value, "from") || (Array.isArray(value) && value.length === 0);
}

function partOf(value: unknown, at: string): Part {
  const name = textOf(value, at);
  const part = Object.hasOwn(ROLES, name) ? ROLES[name] : undefined;
  if (part !== undefined) return part;
  const nearest = nearestName(name, NAMES);
  const help = nearest === undefined ? `known: ${NAMES.join(", ")}` : `did you mean "${nearest}"?`;
  return refuse(at, `${at} is ${describeValue(name)}, which is no role of a conversation; ${help}`);
}

/** What may follow a turn: people and tools speak to the assistant, who answers; a call is answered by its observation. */
const FOLLOWERS: Readonly<Record<Part | "start", readonly Part[]>> = {
  start: ["system", "user"],
  system: ["user"],
  user: ["assistant", "call"],
  assistant: ["user"],
  call: ["observation"],
  observation: ["observation", "assistant", "call"],
};

function checkOrder(parts: readonly Part[], field: string): void {
  let before: Part | "start" = "start";
  for (const [i, part] of parts.entries()) {
    if (!FOLLOWERS[before].includes(part)) {
      const at = `${field}[${i}]`;
      refuse(
        `${at}.from`,
        `${at} is a turn of the ${part} ${before === "start" ? "at the start" : `after one of the ${before}`}, where one of the ${FOLLOWERS[before].join(" or ")} was expected`,
      );
    }
    before = part;
  }
  const last = parts.at(-1);
  if (last === "assistant" || last === "call") return;
  refuse(`${field}[${parts.length - 1}].from`, `${field} ends with a turn of the ${last ?? "start"}, which nobody answers`);
}

function messageOf(turn: JsonObject, part: Part, at: string): ChatMessage {
  const value = `${at}.value`;
  if (part === "call") return { role: "assistant", content: "", tool_calls: callsOf(turn["value"], value) };
  const content = textOf(turn["value"], value);
  if (part !== "observation") return { role: part, content };
  return { role: "tool", content, ...(isAbsent(turn["name"]) ? {} : { name: textOf(turn["name"], `${at}.name`) }) };
}

/** ShareGPT's conversations, with function calls and observations as LlamaFactory has them. */
export const sharegpt: Form = {
  name: "sharegpt",
  fields: "{conversations: [{from, value}]}",
  detect(row) {
    const field = FIELDS.find((candidate) => isTurnList(row[candidate]));
    return field === undefined ? null : `"${field}" is a list of turns with from and value`;
  },
  parse(row) {
    const field = FIELDS.find((candidate) => !isAbsent(row[candidate])) ?? "conversations";
    const given = listOf(jsonIn(row[field], field), field).map((turn, i) => objectOf(turn, `${field}[${i}]`));
    const parts = given.map((turn, i) => partOf(turn["from"], `${field}[${i}].from`));
    checkOrder(parts, field);
    const turns = given.map((turn, i): Turn => {
      const at = `${field}[${i}]`;
      return { message: messageOf(turn, parts[i] as Part, at), weight: weightOf(turn, at) };
    });
    const system = optionalText(row["system"] ?? row["system_prompt"], "system");
    const turnFields = given.flatMap((turn) => unusedOf(turn, TURN_FIELDS)).map((name) => `${field}[].${name}`);
    return {
      records: [{ kind: "chat", turns: withSystem(turns, system), tools: rowTools(row), variables: {} }],
      unusedFields: [...unusedOf(row, [...ROW_FIELDS, field]), ...new Set(turnFields)],
    };
  },
};
