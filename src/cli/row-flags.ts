import type { RowForm, ToolStyle } from "../data/index.ts";
import { parseColumns } from "./columns.ts";

// data's own list, which loading here would slow every command's start.
const FORMATS = [
  "text",
  "prompt-completion",
  "alpaca",
  "alpaca-prompt",
  "sharegpt",
  "messages",
  "question-answer",
] as const satisfies readonly RowForm[];

const TOOL_STYLES = ["template", "hermes"] as const satisfies readonly ToolStyle[];

/** How the rows of data files are understood: the flags that looking at data and training on them have in common. */
export interface RowFlags {
  readonly format?: RowForm;
  readonly columns?: Readonly<Record<string, string>>;
  readonly tools?: ToolStyle;
}

/** Argument table of {@link RowFlags}. */
export const rowFlags = {
  format: { kind: "enum", values: FORMATS, optional: true, brief: "Form of the rows; default: told by their fields" },
  columns: {
    kind: "parsed",
    parse: parseColumns,
    optional: true,
    brief: "Which columns are which fields, for example prompt=question,completion=answer",
    placeholder: "field=column,…",
  },
  tools: { kind: "enum", values: TOOL_STYLES, optional: true, brief: "How functions and calls get into a chat; default: template" },
} as const;
