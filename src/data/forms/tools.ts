import { describeValue, parseJson } from "../../formats/index.ts";
import { isAbsent, type JsonObject, listOf, objectOf, refuse, textOf } from "./form.ts";

/** JSON in a text field: what the field of many files holds instead of the value itself. */
export function jsonIn(value: unknown, field: string): unknown {
  if (typeof value !== "string") return value;
  try {
    return parseJson(value, field);
  } catch {
    return refuse(field, `expected JSON in "${field}", found ${describeValue(value)}`);
  }
}

/** A function in the form that chat templates expect: `{ type: "function", function: { name, … } }`. */
function toolOf(value: unknown, at: string): object {
  const tool = objectOf(value, at);
  if (tool["type"] === "function" && !isAbsent(tool["function"])) {
    textOf(objectOf(tool["function"], `${at}.function`)["name"], `${at}.function.name`);
    return tool;
  }
  textOf(tool["name"], `${at}.name`);
  return { type: "function", function: tool };
}

/** The tools of a row: a list, or JSON text of one; null if there are none. */
export function toolsOf(value: unknown, field: string): readonly object[] | null {
  if (isAbsent(value) || (typeof value === "string" && value.trim() === "")) return null;
  const parsed = jsonIn(value, field);
  if (isAbsent(parsed) || (Array.isArray(parsed) && parsed.length === 0)) return null;
  return listOf(parsed, field).map((tool, i) => toolOf(tool, `${field}[${i}]`));
}

/**
 * A call in the form that chat templates expect; its arguments are an object, also where a file has their JSON text (OpenAI's
 * own form), because templates write them with `tojson`.
 */
function callOf(value: unknown, at: string): JsonObject {
  const call = objectOf(value, at);
  const isWrapped = !isAbsent(call["function"]);
  const inner = isWrapped ? objectOf(call["function"], `${at}.function`) : call;
  const place = isWrapped ? `${at}.function` : at;
  const name = textOf(inner["name"], `${place}.name`);
  const given = inner["arguments"] ?? inner["parameters"] ?? {};
  const isEmpty = typeof given === "string" && given.trim() === "";
  const args = isEmpty ? {} : objectOf(jsonIn(given, `${place}.arguments`), `${place}.arguments`);
  const { function: _function, type: _type, name: _name, arguments: _arguments, parameters: _parameters, ...rest } = call;
  return { ...(isWrapped ? rest : {}), type: "function", function: { name, arguments: args } };
}

/** Calls of a turn: one or a list of them, or JSON text of either. */
export function callsOf(value: unknown, field: string): readonly JsonObject[] {
  const parsed = jsonIn(value, field);
  if (!Array.isArray(parsed)) return [callOf(parsed, field)];
  return listOf(parsed, field).map((call, i) => callOf(call, `${field}[${i}]`));
}
