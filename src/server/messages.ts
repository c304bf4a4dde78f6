import type { ChatMessage } from "../data/index.ts";
import { describeValue, parseJson } from "../formats/index.ts";
import { ApiError, invalidValue } from "./api-error.ts";
import type { MessageBody } from "./schema.ts";

/** Fields of OpenAI's messages that hold more than text. */
const UNSUPPORTED_FIELDS = ["audio", "function_call", "refusal"];
/** Fields that OpenAI's own answers have empty, and that clients send back. */
const EMPTY_FIELDS = ["annotations"];

function unsupported(param: string, what: string): ApiError {
  return new ApiError(400, "unsupported_value", `${param}: ${what} is not supported by this server, which reads text only`, { param });
}

/** Parts are put together without anything between, as they are in training. */
function textOf(content: NonNullable<MessageBody["content"]>, at: string): string {
  if (typeof content === "string") return content;
  const texts = content.map((part, i) => {
    if (part.type !== "text") throw unsupported(`${at}[${i}].type`, `a part of the type ${describeValue(part.type)}`);
    const text = part["text"];
    if (typeof text !== "string") throw invalidValue(`${at}[${i}].text`, `expected text, found ${describeValue(text)}`);
    return text;
  });
  return texts.join("");
}

type CallBody = NonNullable<MessageBody["tool_calls"]>[number];

/** Templates write arguments with `tojson`, so they get them as an object; OpenAI's API sends their JSON text. */
function callOf(call: CallBody, at: string): object {
  const { arguments: given } = call.function;
  if (typeof given !== "string") return call;
  let parsed: unknown;
  try {
    parsed = given.trim() === "" ? {} : parseJson(given, at);
  } catch {
    parsed = undefined;
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed))
    throw invalidValue(`${at}.function.arguments`, `expected the JSON text of an object, found ${describeValue(given)}`);
  return { ...call, function: { ...call.function, arguments: parsed } };
}

function messageOf(message: MessageBody, at: string): ChatMessage {
  const { role, content, tool_calls: calls, ...others } = message;
  for (const field of UNSUPPORTED_FIELDS) {
    if ((others[field] ?? null) !== null) throw unsupported(`${at}.${field}`, `"${field}"`);
  }
  const hasCalls = calls !== undefined && calls !== null && calls.length > 0;
  if (hasCalls && role !== "assistant") throw invalidValue(`${at}.tool_calls`, `only the assistant calls tools, found the role ${role}`);
  if ((content === undefined || content === null) && !hasCalls)
    throw new ApiError(400, "missing_required_parameter", `${at}.content is missing: expected text or a list`, { param: `${at}.content` });
  const kept = Object.entries(others).filter(
    ([field, value]) =>
      value !== null && value !== undefined && !(EMPTY_FIELDS.includes(field) && Array.isArray(value) && value.length === 0),
  );
  return {
    ...Object.fromEntries(kept),
    role,
    content: textOf(content ?? "", `${at}.content`),
    ...(hasCalls ? { tool_calls: calls.map((call, i) => callOf(call, `${at}.tool_calls[${i}]`)) } : {}),
  };
}

/** The messages of a request as a chat template takes them, in the form that training gives them. */
export function chatMessages(messages: readonly MessageBody[]): ChatMessage[] {
  return messages.map((message, i) => messageOf(message, `messages[${i}]`));
}
