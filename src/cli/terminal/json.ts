import { escapeUnprintable } from "../../core/index.ts";

/** Version of every JSON document that the commands print; rises when a field changes its meaning or goes away. */
const SCHEMA_VERSION = 1;

/** One JSON document on one or more lines, ending in a line end, with `schemaVersion` first and no raw control characters. */
export function renderJson(document: object): string {
  return `${escapeUnprintable(JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...document }, null, 2), "\n")}\n`;
}
