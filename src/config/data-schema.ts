import { z } from "zod";

/** The `data` table of run.yaml. */

const text = z.string().min(1);

/** The forms of row that are read; `src/data/forms` has a file for each. */
const rowForm = z.enum(["text", "prompt-completion", "alpaca", "alpaca-prompt", "sharegpt", "messages", "question-answer"]);
const columns = z.record(text, text);

const source = z.strictObject({
  path: text.describe("file, folder or pattern"),
  weight: z
    .number()
    .positive()
    // A row that comes a thousand times an epoch is a mistake in the unit.
    .max(1000)
    .nullable()
    .default(null)
    .describe("how often its rows come in one epoch: 2 is twice each, 0.5 half of them, the others in the next; null: once"),
  format: rowForm.nullable().default(null).describe("the form of its rows; null: data.format"),
  columns: columns.nullable().default(null).describe("its columns; null: data.columns"),
});

const sources = z
  .union([text, z.array(z.union([text, source])).min(1)])
  .transform((value) => (typeof value === "string" ? [value] : value));

const fileList = z.union([text, z.array(text).min(1)]).transform((value) => (typeof value === "string" ? [value] : value));

const evalSets = z.union([text, z.array(text), z.record(text, fileList)]).transform((value): Record<string, string[]> => {
  if (typeof value === "string") return { eval: [value] };
  if (!Array.isArray(value)) return value;
  return value.length === 0 ? {} : { eval: value };
});

/** The zod schema of `data`. */
export const dataSchema = z.strictObject({
  train: sources.describe(
    "training files, folders or patterns (JSON Lines, JSON, CSV, Parquet, text), each a path or a table { path, weight, format, columns }",
  ),
  eval: evalSets.prefault({}).describe("held-out file or files, folders or patterns, or a table of named sets"),
  format: rowForm.nullable().default(null).describe("the form of the rows; null: told by their fields, file by file"),
  columns: columns
    .prefault({})
    .describe("fields of a form and the columns of the files that they are in: { prompt: question, completion: answer }"),
  textRows: z.enum(["file", "paragraph", "line"]).default("file").describe("what of a plain text file (.txt, .md) is a row"),
  maxLength: z.number().int().positive().default(1024).describe("longest row in tokens, and the length of a packed row"),
  packing: z.boolean().default(true).describe("put several rows into one sequence, without letting them see each other"),
  template: text.nullable().default(null).describe("a Jinja file with the chat template; null: the tokenizer's own"),
  tools: z
    .enum(["template", "hermes"])
    .default("template")
    .describe(
      "how functions and calls get into a chat: by the template, or written into the turns as Hermes has them, for templates without tools",
    ),
  trainOn: z
    .enum(["assistant", "last", "all"])
    .default("assistant")
    .describe("what is learnt: assistants' turns and completions, only the last turn, or prompts too; weights in the rows come first"),
  onTooLong: z
    .enum(["error", "truncate", "drop", "split"])
    .default("error")
    .describe("what to do with rows longer than maxLength; split: plain text becomes several rows, other forms are an error"),
  onInvalid: z.enum(["error", "drop"]).default("error").describe("what to do with rows that cannot be read rightly; drop counts them"),
  cache: z.boolean().default(true).describe("keep tokens on disk, by content, so that the same data start at once the next time"),
});
