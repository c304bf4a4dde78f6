/** Version of every JSON document that the commands print; rises when a field changes its meaning or goes away. */
const SCHEMA_VERSION = 1;

/** Legal inside JSON strings, but not to be shown raw on a terminal. */
const UNSHOWABLE = /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

/** One JSON document on one or more lines, ending in a line end, with `schemaVersion` first and no raw control characters. */
export function renderJson(document: object): string {
  const text = JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...document }, null, 2);
  return `${text.replace(UNSHOWABLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)}\n`;
}
