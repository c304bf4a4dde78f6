import type { z } from "zod";
import { describeValue } from "../formats/index.ts";
import { ApiError, invalidValue } from "./api-error.ts";
import { type Body, refuseOthers, type Unsupported } from "./parameters.ts";

type Issue = z.core.$ZodIssue;

const KINDS: Readonly<Record<string, string>> = {
  int: "a whole number",
  number: "a number",
  string: "text",
  boolean: "true or false",
  object: "an object",
  record: "an object",
  array: "a list",
};

/** What an issue asks for: "a number", "at most 2". */
function expectation(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return KINDS[issue.expected] ?? issue.expected;
    case "invalid_value":
      return issue.values.length === 1 ? JSON.stringify(issue.values[0]) : `one of ${issue.values.map(String).join(", ")}`;
    case "too_small":
      if (issue.origin === "array" || issue.origin === "string") return "at least one of them";
      return issue.inclusive === false ? `more than ${issue.minimum}` : `at least ${issue.minimum}`;
    case "too_big":
      return issue.origin === "array" ? `at most ${issue.maximum} of them` : `at most ${issue.maximum}`;
    default:
      return issue.message;
  }
}

/** The issue that a union is really about: that of the alternative that came furthest. */
function deepest(issue: Issue, path: readonly PropertyKey[]): { readonly issue: Issue; readonly path: readonly PropertyKey[] } {
  const own = [...path, ...issue.path];
  if (issue.code !== "invalid_union") return { issue, path: own };
  const inner = issue.errors.flatMap(([first]) => (first === undefined ? [] : [deepest(first, own)]));
  const sorted = inner.toSorted((a, b) => b.path.length - a.path.length);
  const [best, second] = sorted;
  return best === undefined || best.path.length === second?.path.length ? { issue, path: own } : best;
}

function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : `${text}${text === "" ? "" : "."}${String(key)}`),
    "",
  );
}

function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined), body);
}

function alternatives(issue: Issue): string {
  if (issue.code !== "invalid_union") return expectation(issue);
  return [...new Set(issue.errors.flatMap(([first]) => (first === undefined ? [] : [expectation(first)])))].join(" or ");
}

function refusalOf(issue: Issue, body: Body): ApiError {
  const { issue: inner, path } = deepest(issue, []);
  const param = pathText(path);
  const value = valueAt(body, path);
  if (inner.code === "unrecognized_keys") {
    const name = `${param}.${inner.keys[0] ?? ""}`;
    return new ApiError(400, "unknown_parameter", `unknown parameter ${JSON.stringify(name)}`, { param: name });
  }
  if (value === undefined)
    return new ApiError(400, "missing_required_parameter", `${param} is missing: expected ${alternatives(inner)}`, { param });
  return invalidValue(param, `expected ${alternatives(inner)}, found ${describeValue(value)}`);
}

/** Reads a body by its schema; whatever is wrong, unknown or not done is refused by name. */
export function checkBody<SHAPE extends z.ZodRawShape>(
  body: unknown,
  schema: z.ZodObject<SHAPE>,
  unsupported: Unsupported,
): z.infer<z.ZodObject<SHAPE>> {
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw new ApiError(400, "invalid_json", `expected a JSON object, found ${describeValue(body)}`);
  refuseOthers(body as Body, Object.keys(schema.shape), unsupported);
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw refusalOf(parsed.error.issues[0] as Issue, body as Body);
}
