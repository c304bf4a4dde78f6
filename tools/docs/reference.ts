// The reference pages, written from the program itself: its schema, its error table, its help texts.
import { runCli } from "../../src/cli/run.ts";
import { runJsonSchema } from "../../src/config/index.ts";
import { ERROR_CODES, InternalError } from "../../src/core/index.ts";
import { verifyRulesPage } from "./verify-rules.ts";

/** A page of docs/reference. */
export interface Page {
  readonly file: string;
  readonly text: string;
}

/** The part of JSON Schema that run.yaml's schema uses. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly prefixItems?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly required?: readonly string[];
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly maximum?: number;
}

const generatedFrom = (source: string): string => `<!-- Written by \`npm run docs\` from ${source}; a test compares. -->`;
const cell = (text: string): string => text.replace(/[|*]/g, "\\$&");
const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
const code = (value: unknown): string => `\`${typeof value === "string" ? value : JSON.stringify(value)}\``;

function bounds({ minimum, exclusiveMinimum, maximum, exclusiveMaximum }: Schema): string {
  const parts = [
    ...(minimum === undefined ? [] : [`≥ ${minimum}`]),
    ...(exclusiveMinimum === undefined ? [] : [`> ${exclusiveMinimum}`]),
    ...(maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? [] : [`≤ ${maximum}`]),
    ...(exclusiveMaximum === undefined ? [] : [`< ${exclusiveMaximum}`]),
  ];
  return parts.length === 0 ? "" : ` ${parts.join(", ")}`;
}

const PLAIN: Readonly<Record<string, string>> = {
  string: "text",
  integer: "whole number",
  number: "number",
  boolean: "true or false",
  null: "`null`",
};

/** What a value may be, in a few words. */
function typeText(schema: Schema): string {
  if (schema.const !== undefined) return code(schema.const);
  if (schema.enum !== undefined) return schema.enum.map(code).join(", ");
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(typeText))].join(" or ");
  if (typeof schema.type === "object") return schema.type.map((type) => typeText({ ...schema, type })).join(" or ");
  if (schema.prefixItems !== undefined) return `${schema.prefixItems.length} numbers`;
  if (schema.type === "array") return schema.items?.properties === undefined ? `list of ${typeText(schema.items ?? {})}` : "list of tables";
  if (schema.type === "object") return "table";
  const plain = PLAIN[schema.type ?? ""];
  if (plain === undefined) throw new InternalError(`the reference has no words for ${JSON.stringify(schema)}`);
  return plain + bounds(schema);
}

/** The schema of a table that hides behind alternatives or in a list. */
function tableOf(schema: Schema): Schema | undefined {
  if (schema.properties !== undefined) return schema;
  if (schema.items !== undefined) return tableOf(schema.items);
  return schema.anyOf?.map(tableOf).find((found) => found !== undefined);
}

interface Key {
  readonly name: string;
  readonly schema: Schema;
  readonly required: boolean;
}

function keysOf(table: Schema): Key[] {
  return Object.entries(table.properties ?? {}).map(([name, schema]) => ({
    name,
    schema,
    required: table.required?.includes(name) ?? false,
  }));
}

function defaultText({ schema, required }: Key): string {
  if (required) return "**needed**";
  return schema.default === undefined ? "" : code(schema.default);
}

function keyTable(keys: readonly Key[]): string {
  const rows = keys.map(
    (key) => `| \`${key.name}\` | ${typeText(key.schema)} | ${defaultText(key)} | ${cell(key.schema.description ?? "")} |`,
  );
  return ["| key | value | default | meaning |", "|---|---|---|---|", ...rows].join("\n");
}

/** The keys of run.yaml: those of the top level, then a table for each nested one. */
function runFilePage(): Page {
  const root = runJsonSchema() as Schema;
  const isNested = ({ schema }: Key): boolean => tableOf(schema) !== undefined;
  const section = (path: string, schema: Schema): string[] => {
    const keys = keysOf(tableOf(schema) ?? {});
    const title = path === "" ? [] : [`## \`${path}\``, ...(schema.description === undefined ? [] : [sentence(schema.description)])];
    const nested = keys.filter(isNested).flatMap((key) => section(path === "" ? key.name : `${path}.${key.name}`, key.schema));
    return [...title, keyTable(path === "" ? keys.filter((key) => !isNested(key) || key.name === "quantization") : keys), ...nested];
  };
  const intro = `# run.yaml

${generatedFrom("src/config/schema.ts")}

The file that \`train\` and \`continue\` take with \`-c\`, in YAML or JSON. Flags override it, it overrides a preset (\`--preset\`), a preset
overrides the defaults; any key can be a flag: \`--set training.accumulation=8\`. Unknown keys are errors. Paths are relative to the file.
\`continue\` inherits whatever is left out from the adapter and its record. \`run.json\` says where each value came from.`;
  return { file: "run-yaml.md", text: `${[intro, ...section("", root)].join("\n\n")}\n` };
}

function errorCodesPage(): Page {
  const rows = Object.entries(ERROR_CODES)
    .sort(([, a], [, b]) => a.exit - b.exit)
    .map(([name, { exit, summary }]) => `| ${exit} | \`${name}\` | ${cell(summary)} |`);
  const text = `# Error codes

${generatedFrom("src/core/error-codes.ts")}

A command that fails ends with an exit code and prints, for each problem, what was expected and found, where, and what to do next; with
\`--json\` as \`{ schemaVersion, error: { code, problems: [{ code, message, where, hint, details }] } }\` on stdout. In code, the same is a
\`HeirloomError\` with \`code\`, \`problems\` and \`exitCode\`. The codes are stable. Exit 0 is success.

| exit | code | meaning |
|---|---|---|
${rows.join("\n")}
`;
  return { file: "error-codes.md", text };
}

/** What a command line prints, without colour. */
async function printed(inputs: readonly string[]): Promise<string> {
  let text = "";
  const stdout = {
    isTTY: false,
    columns: 100,
    write(part: string) {
      text += part;
    },
  };
  const stderr = { ...stdout, write: () => undefined };
  const nothing = { lines: async function* () {}, onInterrupt: () => () => undefined, endInterrupted: () => undefined };
  const status = await runCli(inputs, { stdout, stderr, env: {}, folder: ".", ...nothing });
  if (status !== 0) throw new InternalError(`heirloom ${inputs.join(" ")} ended with ${status}`);
  return text
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n")
    .trim();
}

/** Names of the commands that a help text lists. */
function namesIn(help: string): string[] {
  const at = help.indexOf("\nCommands\n");
  if (at < 0) return [];
  return [...help.slice(at + "\nCommands\n".length).matchAll(/^ {2}(\w+) /gm)].map((match) => match[1] ?? "");
}

function section(words: readonly string[], help: string): string {
  return `## heirloom ${words.join(" ")}\n\n\`\`\`text\n${help}\n\`\`\``;
}

async function commandsPage(): Promise<Page> {
  const overview = await printed(["--help"]);
  const sections: string[] = [];
  for (const name of namesIn(overview)) {
    const help = await printed([name, "--help"]);
    sections.push(section([name], help));
    for (const inner of namesIn(help)) sections.push(section([name, inner], await printed([name, inner, "--help"])));
  }
  const text = `# Commands

${generatedFrom("the help texts in src/cli/commands/")}

\`\`\`text
${overview}
\`\`\`

${sections.join("\n\n")}
`;
  return { file: "commands.md", text };
}

/** Every page of docs/reference that is written from the program. */
export async function referencePages(): Promise<Page[]> {
  return [runFilePage(), errorCodesPage(), await commandsPage(), verifyRulesPage(generatedFrom("src/audit/verify/rules"))];
}
