import { readFile } from "node:fs/promises";
import { HeirloomError, ProblemList } from "../core/index.ts";
import { fileError, openFile } from "../core/node/index.ts";
import { describeValue, parseJson, readJsonl } from "../formats/index.ts";
import type { CompletionPrompt } from "../generate/index.ts";

type Message = Extract<CompletionPrompt, { messages: unknown }>["messages"][number];

/** Faults shown before reading stops, as in data files. */
const MAX_FAULTS = 20;

function isMessage(value: unknown): value is Message {
  return typeof value === "object" && value !== null && "role" in value && typeof value.role === "string" && "content" in value;
}

/** A prompt on a line: a text, `{prompt}` or `{messages}`; null for anything else. */
function parsePrompt(value: unknown): string | CompletionPrompt | null {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return null;
  const { prompt, messages, tools } = value as Partial<Record<string, unknown>>;
  if (typeof prompt === "string" && messages === undefined) return prompt;
  if (!Array.isArray(messages) || messages.length === 0 || !messages.every(isMessage)) return null;
  return Array.isArray(tools) ? { messages, tools } : { messages };
}

/**
 * Reads prompts: JSON Lines (a text, `{prompt}` or `{messages}` a line), a JSON list of the same or, by any other name, a text
 * a line; empty lines are left out.
 *
 * @throws DATA_FORMAT_INVALID with up to 20 lines at once; DATA_EMPTY, FILE_MISSING, JSON_INVALID, JSONL_INVALID
 */
export async function readPrompts(path: string): Promise<readonly (string | CompletionPrompt)[]> {
  const [ending = ""] = /\.(?:jsonl|ndjson|json)$/i.exec(path) ?? [];
  const prompts = ending === "" ? await readLines(path) : await readRows(path, ending.toLowerCase() === ".json" ? listRows : lineRows);
  if (prompts.length === 0) throw new HeirloomError("DATA_EMPTY", "expected at least one prompt, found none", { where: path });
  return prompts;
}

async function readWhole(path: string): Promise<string> {
  return readFile(path, "utf8").catch((error: unknown) => {
    throw fileError(error, path);
  });
}

async function readLines(path: string): Promise<string[]> {
  const text = await readWhole(path);
  return text.split(/\r?\n/).filter((line) => line.trim() !== "");
}

interface PromptRow {
  readonly row: number;
  readonly value: unknown;
}

async function* lineRows(path: string): AsyncGenerator<PromptRow, void, undefined> {
  const file = await openFile(path);
  try {
    yield* readJsonl(file, path);
  } finally {
    await file.close();
  }
}

async function* listRows(path: string): AsyncGenerator<PromptRow, void, undefined> {
  const value = parseJson(await readWhole(path), path);
  for (const [i, each] of (Array.isArray(value) ? (value as unknown[]) : [value]).entries()) yield { row: i + 1, value: each };
}

async function readRows(path: string, rows: (path: string) => AsyncIterable<PromptRow>): Promise<(string | CompletionPrompt)[]> {
  const problems = new ProblemList();
  const prompts: (string | CompletionPrompt)[] = [];
  for await (const { row, value } of rows(path)) {
    if (problems.problems.length >= MAX_FAULTS) break;
    const prompt = parsePrompt(value);
    if (prompt !== null) prompts.push(prompt);
    else
      problems.add("DATA_FORMAT_INVALID", `expected a text, {prompt} or {messages}, found ${describeValue(value)}`, {
        where: `${path}:${row}`,
      });
  }
  problems.throwIfAny();
  return prompts;
}
