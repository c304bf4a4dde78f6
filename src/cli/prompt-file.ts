import { readFile } from "node:fs/promises";
import { HeirloomError, ProblemList } from "../core/index.ts";
import { fileError, openFile } from "../core/node/index.ts";
import { describeValue, readJsonl } from "../formats/index.ts";
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
 * Reads prompts: JSON Lines (a text, `{prompt}` or `{messages}` a line) or, by any other name, a text a line; empty lines are
 * left out.
 *
 * @throws DATA_FORMAT_INVALID with up to 20 lines at once; DATA_EMPTY, FILE_MISSING, JSONL_INVALID
 */
export async function readPrompts(path: string): Promise<readonly (string | CompletionPrompt)[]> {
  const prompts = /\.(?:jsonl|ndjson)$/i.test(path) ? await readJsonLines(path) : await readLines(path);
  if (prompts.length === 0) throw new HeirloomError("DATA_EMPTY", "expected at least one prompt, found none", { where: path });
  return prompts;
}

async function readLines(path: string): Promise<string[]> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw fileError(error, path);
  });
  return text.split(/\r?\n/).filter((line) => line.trim() !== "");
}

async function readJsonLines(path: string): Promise<(string | CompletionPrompt)[]> {
  const problems = new ProblemList();
  const prompts: (string | CompletionPrompt)[] = [];
  const file = await openFile(path);
  try {
    for await (const { row, value } of readJsonl(file, path)) {
      if (problems.problems.length >= MAX_FAULTS) break;
      const prompt = parsePrompt(value);
      if (prompt !== null) prompts.push(prompt);
      else
        problems.add("DATA_FORMAT_INVALID", `expected a text, {prompt} or {messages}, found ${describeValue(value)}`, {
          where: `${path}:${row}`,
        });
    }
  } finally {
    await file.close();
  }
  problems.throwIfAny();
  return prompts;
}
