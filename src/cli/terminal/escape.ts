/** C0 and C1 controls, DEL, line separators, and the marks that hide or reorder text on a terminal. */
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|\p{Cs}/gu;

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** A name as it may be printed: whatever could move the cursor, colour, hide or reorder text is shown as `\u001b`. */
export function escapeName(text: string): string {
  return text.replace(UNPRINTABLE, escapeCharacter);
}

/** {@link escapeName} for text of several lines: line ends and tabs stay. */
export function escapeText(text: string): string {
  return text.replace(UNPRINTABLE, (character) => (character === "\n" || character === "\t" ? character : escapeCharacter(character)));
}
