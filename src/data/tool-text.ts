import type { ChatMessage } from "./chat-template.ts";
import type { ChatRecord, Turn } from "./record.ts";

/** JSON with a space after commas and colons, as Python writes it and models have seen it. */
function spacedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spacedJson).join(", ")}]`;
  if (typeof value === "object" && value !== null)
    return `{${Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .map(([key, item]) => `${JSON.stringify(key)}: ${spacedJson(item)}`)
      .join(", ")}}`;
  return JSON.stringify(value);
}

function toolPrompt(tools: readonly object[]): string {
  const list = tools.map(spacedJson).join("\n");
  return `You can call the functions described between <tools> and </tools>:\n<tools>\n${list}\n</tools>\nFor each call, write a JSON object with its name and arguments between <tool_call> and </tool_call>:\n<tool_call>\n{"name": <name>, "arguments": <object>}\n</tool_call>`;
}

interface Call {
  readonly function: { readonly name: string; readonly arguments: unknown };
}

function callText({ function: { name, arguments: args } }: Call): string {
  return `<tool_call>\n${spacedJson({ name, arguments: args })}\n</tool_call>`;
}

function asText(turn: Turn): Turn {
  const { tool_calls: calls, ...message } = turn.message;
  if (message.role === "tool" || message.role === "ipython" || message.role === "function")
    return { ...turn, message: { role: "user", content: `<tool_response>\n${message.content}\n</tool_response>` } };
  if (calls === undefined) return turn;
  const parts = [message.content, ...(calls as readonly Call[]).map(callText)].filter((part) => part !== "");
  return { ...turn, message: { ...message, role: message.role, content: parts.join("\n") } };
}

const isObservation = ({ message: { role } }: Turn): boolean => ["tool", "ipython", "function"].includes(role);

/** Observations that follow each other are one turn: templates want users and assistants to take turns. */
function joinObservations(turns: readonly Turn[], texts: readonly Turn[]): Turn[] {
  const joined: Turn[] = [];
  for (const [i, turn] of texts.entries()) {
    const last = joined.at(-1);
    const follows =
      last !== undefined && i > 0 && isObservation(turns[i] as Turn) && isObservation(turns[i - 1] as Turn) && last.weight === turn.weight;
    if (follows)
      joined[joined.length - 1] = { ...last, message: { ...last.message, content: `${last.message.content}\n${turn.message.content}` } };
    else joined.push(turn);
  }
  return joined;
}

/**
 * Tools as text in the manner of Hermes: described in the system turn between `<tools>` tags, called in the assistant's turn
 * between `<tool_call>` tags, answered in a user's turn between `<tool_response>` tags. For templates that know no tools.
 */
export function toolsAsText(record: ChatRecord): ChatRecord {
  const turns = joinObservations(record.turns, record.turns.map(asText));
  if (record.tools === null) return { ...record, turns };
  const prompt = toolPrompt(record.tools);
  const [first, ...rest] = turns;
  if (first?.message.role === "system") {
    const message: ChatMessage = { ...first.message, content: `${first.message.content}\n\n${prompt}` };
    return { ...record, tools: null, turns: [{ ...first, message }, ...rest] };
  }
  return { ...record, tools: null, turns: [{ message: { role: "system", content: prompt }, weight: null }, ...turns] };
}
