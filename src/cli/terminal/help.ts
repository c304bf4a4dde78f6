import { displayWidth, wrapText } from "./table.ts";

/** Narrower than this a text is not put beside what it is about. */
const MIN_ROOM = 24;
/** Colour and emphasis, which take no place. */
const EFFECT = /\u001b\[[0-9;]*m/g;

/** Where the text of a line goes on: below its last column, or below its beginning if that leaves no room. */
function hangingIndent(line: string, width: number): number {
  const own = /^ */.exec(line)?.[0].length ?? 0;
  // Columns are two spaces apart, words one.
  const gap = /\S {2,}(?=\S)/.exec(line);
  const at = gap === null ? own : gap.index + gap[0].length;
  return width - at >= MIN_ROOM ? at : Math.min(own + 2, Math.max(0, width - MIN_ROOM));
}

/**
 * A help text in the width of a terminal: descriptions go on below themselves, broken between words; lines that had to be broken lose their effects.
 * @param width null for a file or a pipe, where each line is one
 */
export function wrappedHelp(text: string, width: number | null): string {
  if (width === null) return text;
  return text
    .split("\n")
    .flatMap((line) => {
      const plain = line.replace(EFFECT, "");
      if (displayWidth(plain) <= width) return [line];
      const indent = hangingIndent(plain, width);
      const hasRoomBeside = width - indent >= MIN_ROOM && plain.slice(0, indent).trim() !== "";
      const head = hasRoomBeside ? plain.slice(0, indent) : " ".repeat(/^ */.exec(plain)?.[0].length ?? 0);
      const body = plain.slice(hasRoomBeside ? indent : head.length).replace(/ {2,}/g, " ");
      const [first = "", ...rest] = wrapText(body, width - indent);
      return [`${head}${first}`, ...rest.map((part) => `${" ".repeat(indent)}${part}`)];
    })
    .join("\n");
}
