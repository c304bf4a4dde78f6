import { nearestName } from "../core/index.ts";
import { ApiError } from "./api-error.ts";

/** A request's body before it is looked at closely. */
export type Body = Readonly<Record<string, unknown>>;

/** Says whether a value asks for nothing but what happens anyway. */
type Neutral = (value: unknown, body: Body) => boolean;

const onlyNull: Neutral = () => false;
const oneOf =
  (...values: readonly unknown[]): Neutral =>
  (value) =>
    values.includes(value);
const emptyObject: Neutral = (value) => typeof value === "object" && value !== null && Object.keys(value).length === 0;
const sameJson =
  (expected: unknown): Neutral =>
  (value) =>
    JSON.stringify(value) === JSON.stringify(expected);

/** Parameters of OpenAI's API that are not done here, with the values that ask for nothing. */
export type Unsupported = Readonly<Record<string, Neutral>>;

export const UNSUPPORTED_CHAT: Unsupported = {
  audio: onlyNull,
  function_call: onlyNull,
  functions: onlyNull,
  logit_bias: emptyObject,
  metadata: emptyObject,
  modalities: sameJson(["text"]),
  moderation: onlyNull,
  parallel_tool_calls: oneOf(true),
  prediction: onlyNull,
  prompt_cache_options: onlyNull,
  prompt_cache_retention: onlyNull,
  reasoning_effort: onlyNull,
  response_format: sameJson({ type: "text" }),
  service_tier: oneOf("auto", "default"),
  store: oneOf(false),
  // A template can be told of tools; that the model calls one cannot be forced.
  tool_choice: oneOf("auto", "none"),
  verbosity: onlyNull,
  web_search_options: onlyNull,
};

export const UNSUPPORTED_TEXT: Unsupported = {
  best_of: (value, { n }) => value === (n ?? 1),
  echo: oneOf(false),
  logit_bias: emptyObject,
  suffix: oneOf(""),
};

/** Values longer than this say nothing more in a message. */
const MAX_SHOWN_CHARS = 60;

function shown(value: unknown): string {
  const json = JSON.stringify(value) ?? "nothing";
  return json.length > MAX_SHOWN_CHARS ? `${json.slice(0, MAX_SHOWN_CHARS - 1)}…` : json;
}

/**
 * Refuses what is not done and what is not known: nothing in a body is left out in silence.
 *
 * @param known the parameters that are done
 */
export function refuseOthers(body: Body, known: readonly string[], unsupported: Unsupported): void {
  for (const [name, value] of Object.entries(body)) {
    const neutral = Object.hasOwn(unsupported, name) ? unsupported[name] : undefined;
    if (neutral !== undefined) {
      if (value === null || neutral(value, body)) continue;
      throw new ApiError(400, "unsupported_parameter", `${name} is not supported by this server, found ${shown(value)}`, { param: name });
    }
    if (known.includes(name)) continue;
    const near = nearestName(name, [...known, ...Object.keys(unsupported)]);
    const hint = near === undefined ? "" : `; did you mean ${near}?`;
    throw new ApiError(400, "unknown_parameter", `unknown parameter ${shown(name)}${hint}`, { param: name.slice(0, MAX_SHOWN_CHARS) });
  }
}
