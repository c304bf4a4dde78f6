import { containerFault, MAX_ROW_BYTES, type Reader, type SourceRow, textOf } from "./reader.ts";

const SEPARATORS = { file: null, paragraph: /\r?\n(?:[ \t]*\r?\n)+/, line: /\r?\n/ } as const;

/**
 * Plain text as `{text}` rows: the whole file, its paragraphs or its lines. The whole file is the default, because a
 * document is what a model should learn to continue; `load_dataset("text")` of Hugging Face gives lines.
 */
export const text: Reader = {
  container: "text",
  extensions: [".txt", ".md"],
  async *rows(file, { where, textRows }): AsyncGenerator<SourceRow, void, undefined> {
    const separator = SEPARATORS[textRows];
    let pending = "";
    let row = 0;
    for await (const piece of textOf(file, where)) {
      pending += piece;
      if (separator !== null) {
        // A line break at the end may be the first half of a separator.
        const end = pending.trimEnd().length;
        const rest = pending.slice(end);
        const parts = pending.slice(0, end).split(separator);
        pending = (parts.pop() ?? "") + rest;
        for (const part of parts) if (part.trim() !== "") yield { row: ++row, value: { text: part } };
      }
      if (pending.length > MAX_ROW_BYTES)
        throw containerFault(
          where,
          `expected at most ${MAX_ROW_BYTES} characters in one text, found more`,
          "set data.textRows to paragraph or line, or part the file",
        );
    }
    const last = separator === null ? [pending] : pending.split(separator);
    for (const part of last) if (part.trim() !== "") yield { row: ++row, value: { text: part } };
  },
};
