import { nearestName } from "../../core/index.ts";
import { describeValue } from "../../formats/index.ts";
import type { ChatMessage } from "../chat-template.ts";
import type { Turn } from "../record.ts";
import { isAbsent, isListWith, type JsonObject, listOf, objectOf, refuse, textOf, WEIGHT_FIELDS, weightOf } from "./form.ts";
import { callsOf } from "./tools.ts";

/** Roles of OpenAI's messages; `ipython` is LLaMA 3's name for `tool`. */
const ROLES = ["system", "developer", "user", "assistant", "tool", "ipython", "function"];

/** What a message is made of here; further fields reach the template as they are. */
const USED_FIELDS = ["role", "content", "tool_calls", "function_call", ...WEIGHT_FIELDS];

interface Parts {
  content: string;
  readonly calls: JsonObject[];
  reasoning: string;
}

function addPart(value: unknown, at: string, parts: Parts): void {
  if (typeof value === "string") {
    parts.content += textOf(value, at);
    return;
  }
  const part = objectOf(value, at);
  const type = textOf(part["type"], `${at}.type`);
  const held = part["text"] ?? part["value"];
  switch (type) {
    case "text":
    case "input_text":
    case "output_text":
      parts.content += textOf(held, `${at}.${part["text"] === undefined ? "value" : "text"}`);
      return;
    case "reasoning":
    case "thinking":
      parts.reasoning += textOf(held ?? part[type], `${at}.value`);
      return;
    case "tool_call":
    case "function_call":
      parts.calls.push(...callsOf(held ?? part[type], `${at}.value`));
      return;
    default:
      refuse(`${at}.type`, `${at} is of the type ${describeValue(type)}: only text is trained`);
  }
}

function partsOf(content: unknown, at: string): Parts {
  const parts: Parts = { content: "", calls: [], reasoning: "" };
  if (isAbsent(content)) return parts;
  if (Array.isArray(content)) for (const [i, part] of content.entries()) addPart(part, `${at}[${i}]`, parts);
  else parts.content = textOf(content, at);
  return parts;
}

function roleOf(value: unknown, at: string): string {
  const role = textOf(value, at);
  if (ROLES.includes(role)) return role;
  const nearest = nearestName(role, ROLES);
  const help = nearest === undefined ? `known: ${ROLES.join(", ")}` : `did you mean "${nearest}"?`;
  return refuse(at, `${at} is ${describeValue(role)}, which is no role of a message; ${help}`);
}

/** A message as the template takes it: content is one text, calls have their arguments as objects. */
function turnOf(value: unknown, at: string): Turn {
  const given = objectOf(value, at);
  const role = roleOf(given["role"], `${at}.role`);
  const { content, calls, reasoning } = partsOf(given["content"], `${at}.content`);
  if (!isAbsent(given["tool_calls"])) calls.push(...callsOf(given["tool_calls"], `${at}.tool_calls`));
  if (!isAbsent(given["function_call"])) calls.push(...callsOf(given["function_call"], `${at}.function_call`));
  if (calls.length > 0 && role !== "assistant")
    refuse(`${at}.tool_calls`, `${at} is of the role "${role}", and only the assistant calls tools`);
  if (isAbsent(given["content"]) && calls.length === 0)
    refuse(`${at}.content`, `expected text in "${at}.content", found ${describeValue(given["content"])}`);
  const others = Object.fromEntries(Object.entries(given).filter(([field, held]) => !USED_FIELDS.includes(field) && !isAbsent(held)));
  const message: ChatMessage = {
    ...others,
    role,
    content,
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
  };
  return { message, weight: weightOf(given, at) };
}

/** Whether a value is a list of messages with roles, or the JSON text of one. */
export function isMessageList(value: unknown): boolean {
  return isListWith(value, "role");
}

/** The turns of a list of messages. */
export function messageTurns(value: unknown, field: string): Turn[] {
  return listOf(value, field).map((message, i) => turnOf(message, `${field}[${i}]`));
}
