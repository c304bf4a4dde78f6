import { z } from "zod";
import { nearestName, type Problem } from "../core/index.ts";
import { knownElsewhere } from "./foreign-names.ts";
import { type Layer, layerOf } from "./layers.ts";
import { runSchema } from "./schema.ts";

type Issue = z.core.$ZodIssue;
type JsonSchema = {
  readonly properties?: Record<string, JsonSchema>;
  readonly anyOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly prefixItems?: readonly JsonSchema[];
};

const KIND_NAMES: Readonly<Record<string, string>> = {
  int: "a whole number",
  number: "a number",
  string: "text",
  boolean: "true or false",
  object: "a table of keys",
  record: "a table of keys",
  array: "a list",
  tuple: "a list",
  null: "null",
};

function asText(value: unknown): string {
  if (value === undefined) return "nothing";
  const json = JSON.stringify(value);
  return json.length > 60 ? `${json.slice(0, 57)}…` : json;
}

/** What the schema allows at a path, for messages about a union: `nf4, none or a table of keys`. */
function alternatives(errors: readonly (readonly Issue[])[]): string {
  const names = errors.flatMap(([issue]): string[] => {
    if (issue === undefined) return [];
    if (issue.code === "invalid_value") return issue.values.map(String);
    return issue.code === "invalid_type" ? [KIND_NAMES[issue.expected] ?? issue.expected] : [];
  });
  const distinct = [...new Set(names)];
  const last = distinct.pop() ?? "another value";
  return distinct.length === 0 ? last : `${distinct.join(", ")} or ${last}`;
}

function limit(issue: Extract<Issue, { code: "too_small" | "too_big" }>): string {
  const least = issue.code === "too_small";
  const bound = least ? issue.minimum : issue.maximum;
  if (issue.origin === "string") return "text that is not empty";
  if (issue.origin === "array") return `a list of at ${least ? "least" : "most"} ${bound}`;
  const inclusive = issue.inclusive ?? true;
  if (least) return inclusive ? `at least ${bound}` : `more than ${bound}`;
  return inclusive ? `at most ${bound}` : `less than ${bound}`;
}

function expectation(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return KIND_NAMES[issue.expected] ?? issue.expected;
    case "invalid_value":
      return issue.values.length === 1 ? String(issue.values[0]) : `one of ${issue.values.join(", ")}`;
    case "too_small":
    case "too_big":
      return limit(issue);
    case "invalid_union":
      return alternatives(issue.errors);
    default:
      return issue.message;
  }
}

/**
 * A union reports a list of issues per branch. If the value has the shape of one
 * branch (no complaint about the value itself), that branch's issues are what the user wants to read.
 */
function flatten(issue: Issue): Issue[] {
  if (issue.code !== "invalid_union") return [issue];
  const meant = issue.errors.find(
    (branch) =>
      branch.length > 0 && branch.every((inner) => inner.path.length > 0 || !["invalid_type", "invalid_value"].includes(inner.code)),
  );
  if (meant === undefined) return [issue];
  return meant.flatMap((inner) => flatten({ ...inner, path: [...issue.path, ...inner.path] }));
}

function branches(schemas: readonly JsonSchema[]): JsonSchema[] {
  return schemas.flatMap((schema) => (schema.anyOf === undefined ? [schema] : branches(schema.anyOf)));
}

/** Keys that the schema knows at `path`. */
function knownKeys(path: readonly PropertyKey[]): string[] {
  let at: JsonSchema[] = [z.toJSONSchema(runSchema, { io: "input" }) as JsonSchema];
  for (const key of path) {
    at = branches(at).flatMap((schema) => {
      const inner = typeof key === "number" ? (schema.prefixItems?.[key] ?? schema.items) : schema.properties?.[String(key)];
      return inner === undefined ? [] : [inner];
    });
  }
  return branches(at).flatMap((schema) => Object.keys(schema.properties ?? {}));
}

/** Every dotted key of the two upper levels: those of the tables, which is where people look for a word. */
function allKeys(): string[] {
  return knownKeys([]).flatMap((key) => [key, ...knownKeys([key]).map((inner) => `${key}.${inner}`)]);
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (at, key) => (typeof at === "object" && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined),
    root,
  );
}

/** `training.groups[1].learningRate` */
function dottedPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : text === "" ? String(key) : `${text}.${String(key)}`),
    "",
  );
}

function locate(layers: readonly Layer[], path: readonly PropertyKey[]): string {
  const place = layerOf(layers, path)?.locate(path) ?? layers.find((layer) => layer.source === "file")?.locate(path.slice(0, -1));
  return place ?? "configuration";
}

function unknownKeyProblems(issue: Extract<Issue, { code: "unrecognized_keys" }>, layers: readonly Layer[]): Problem[] {
  const known = knownKeys(issue.path);
  return issue.keys.map((key) => {
    const path = [...issue.path, key];
    const near = nearestName(key, known);
    // A word that is meant is better than one that looks alike: `r` is the rank.
    const nearest = knownElsewhere(key, allKeys()) ?? (near === undefined ? undefined : dottedPath([...issue.path, near]));
    return {
      code: "CONFIG_UNKNOWN_KEY",
      message: `unknown key "${dottedPath(path)}"`,
      where: locate(layers, path),
      hint: nearest === undefined ? `known here: ${known.join(", ")}` : `did you mean ${nearest}?`,
      details: { key: dottedPath(path), ...(nearest === undefined ? {} : { nearest }) },
    };
  });
}

/** Where a key that must be given can be given. */
function howToAdd(key: string, layers: readonly Layer[]): string {
  const flag = key === "base" ? "--base PATH" : `--set ${key}=…`;
  const file = layers.find((layer) => layer.source === "file")?.locate([]);
  return file === undefined ? `give it with ${flag}, or in a run file: -c run.yaml` : `add ${key} to ${file}, or give it with ${flag}`;
}

/** Turns what zod found into problems that say what was expected, what was found, and in which file and line. */
export function problemsOf(issues: readonly Issue[], merged: unknown, layers: readonly Layer[]): Problem[] {
  return issues.flatMap(flatten).flatMap((issue): Problem[] => {
    if (issue.code === "unrecognized_keys") return unknownKeyProblems(issue, layers);
    const key = dottedPath(issue.path);
    const found = valueAt(merged, issue.path);
    const where = locate(layers, issue.path);
    if (found === undefined)
      return [
        {
          code: "CONFIG_INVALID",
          message: `"${key}" is missing; expected ${expectation(issue)}`,
          where,
          hint: howToAdd(key, layers),
          details: { key },
        },
      ];
    const code = key === "adapter.rank" ? "ADAPTER_RANK_INVALID" : "CONFIG_INVALID";
    return [{ code, message: `${key}: expected ${expectation(issue)}, found ${asText(found)}`, where, details: { key, found } }];
  });
}
