import type { FlagParametersForType } from "@stricli/core";
import type { TextRows, Tokenizer, TrainOn } from "../data/index.ts";
import type { CliContext } from "./command.ts";
import { textFlag } from "./config-flags.ts";
import { pathFrom } from "./paths.ts";
import { type RowFlags, rowFlags } from "./row-flags.ts";

/** The flags of the commands that look at data files. */
export interface DataFlags extends RowFlags {
  readonly base?: string;
  readonly tokenizer?: string;
  readonly textRows?: TextRows;
  readonly template?: string;
  readonly trainOn?: TrainOn;
}

/** Argument table of {@link DataFlags}. */
export const dataFlags: FlagParametersForType<DataFlags, CliContext> = {
  base: textFlag("Model whose tokenizer and chat template are used", "path"),
  tokenizer: textFlag("Folder with tokenizer.json, instead of a whole model", "path"),
  ...rowFlags,
  textRows: {
    kind: "enum",
    values: ["file", "paragraph", "line"],
    optional: true,
    brief: "What of a plain text file is a row; default: file",
  },
  template: textFlag("A Jinja file with the chat template; default: the tokenizer's own", "path"),
  trainOn: { kind: "enum", values: ["assistant", "last", "all"], optional: true, brief: "What of a row is learnt; default: assistant" },
};

/** How rows are understood, as the flags say. */
export function readingOf({ format, columns, textRows }: DataFlags) {
  return { format: format ?? null, columns: columns ?? {}, textRows: textRows ?? "file" } as const;
}

/** How rows become tokens, as the flags say. */
export function encodingOf(folder: string, { template, tools, trainOn }: DataFlags) {
  return {
    template: template === undefined ? null : pathFrom(folder, template),
    tools: tools ?? "template",
    trainOn: trainOn ?? "assistant",
  } as const;
}

/** The tokenizer that the flags name; null if none. @throws USAGE for both */
export async function tokenizerOf(folder: string, { base, tokenizer }: DataFlags): Promise<Tokenizer | null> {
  const path = tokenizer ?? base;
  if (path === undefined) return null;
  const { loadTokenizer } = await import("../data/index.ts");
  (await import("../folders/index.ts")).refuseGguf(pathFrom(folder, path));
  return loadTokenizer(pathFrom(folder, path));
}
