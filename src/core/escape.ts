/** Control characters, lone surrogates, separators of lines, and the marks that hide or reorder text on a terminal. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

function escapeUnits(characters: string): string {
  return Array.from({ length: characters.length }, (_, i) => `\\u${characters.charCodeAt(i).toString(16).padStart(4, "0")}`).join("");
}

/**
 * Text with every character that could move the cursor, colour, hide or reorder
 * it written as `\u001b`, one escape per UTF-16 unit as in JSON.
 *
 * @param kept characters that stay as they are, such as line ends
 */
export function escapeUnprintable(text: string, kept = ""): string {
  return text.replace(UNPRINTABLE, (character) => (kept.includes(character) ? character : escapeUnits(character)));
}
