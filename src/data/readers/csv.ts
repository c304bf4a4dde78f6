import { CsvError, parse } from "csv-parse";
import { printable } from "../../formats/index.ts";
import { containerFault, MAX_ROW_BYTES, type Reader, type SourceRow, textOf } from "./reader.ts";

/** Real tables have a dozen columns; more is a file that is no table. */
const MAX_COLUMNS = 1000;

function checkHeader(header: readonly string[], where: string): readonly string[] {
  const seen = new Set<string>();
  const separator = header.length === 1 ? /[;\t|]/.exec(header[0] ?? "")?.[0] : undefined;
  if (separator !== undefined)
    throw containerFault(
      where,
      `the header has one column, "${printable(header[0] ?? "", 60)}": are the fields separated by ${separator === "\t" ? "a tab" : `"${separator}"`}?`,
      separator === "\t" ? "call the file .tsv" : "save it with commas, or with tabs as .tsv",
    );
  for (const [i, name] of header.entries()) {
    if (name === "")
      throw containerFault(
        where,
        `column ${i + 1} of the header has no name`,
        "give every column a name in the first row (pandas: to_csv(index=False) leaves out its numbers)",
      );
    if (seen.has(name)) throw containerFault(where, `two columns of the header are called "${printable(name, 60)}"`, "rename one of them");
    seen.add(name);
  }
  if (header.length > MAX_COLUMNS) throw containerFault(where, `expected at most ${MAX_COLUMNS} columns, found ${header.length}`);
  return header;
}

const QUOTES_HINT = "fields with quotes, separators or line breaks must stand in quotes, quotes in them doubled";

function faultOf(error: unknown, where: string): unknown {
  if (!(error instanceof CsvError)) return error;
  const { lines, records = 0 } = error as CsvError & { readonly lines?: number; readonly records?: number };
  const at = lines === undefined ? "" : ` (line ${lines})`;
  const reasons: Readonly<Record<string, string>> = {
    CSV_QUOTE_NOT_CLOSED: "a quoted field is not closed before the file ends",
    CSV_INVALID_CLOSING_QUOTE: "text follows the closing quote of a field",
    INVALID_OPENING_QUOTE: "a quote stands inside a field that does not begin with one",
    CSV_MAX_RECORD_SIZE: `a row has more than ${MAX_ROW_BYTES} characters`,
  };
  const reason = reasons[error.code] ?? printable(error.message);
  return containerFault(
    `${where}:${Math.max(1, records)}`, // the header is a record too
    `${reason}${at}`,
    QUOTES_HINT,
    error,
  );
}

/** A table with a header row; commas, or tabs in `.tsv` files. Every field is text; an empty one counts as absent. */
export const csv: Reader = {
  container: "csv",
  extensions: [".csv", ".tsv"],
  async *rows(file, { where, extension }): AsyncGenerator<SourceRow, void, undefined> {
    let row = 0;
    let header: readonly string[] = [];
    const parser = parse({
      delimiter: extension === ".tsv" ? "\t" : ",",
      // Here and not below: what is wrong with the rows would be told first.
      on_record(record: string[]): string[] | null {
        if (header.length > 0) return record;
        header = checkHeader(record, where);
        return null;
      },
      // Checked below: the parser would drop the rows before.
      relax_column_count: true,
      // Files that were put together from several have both.
      record_delimiter: ["\r\n", "\n", "\r"],
      skip_empty_lines: true,
      max_record_size: MAX_ROW_BYTES,
    });
    const feeding = (async (): Promise<void> => {
      try {
        for await (const piece of textOf(file, where)) {
          if (!parser.write(piece)) await new Promise((resolve) => parser.once("drain", resolve));
          if (parser.destroyed) return;
        }
        parser.end();
      } catch (error) {
        parser.destroy(error as Error);
      }
    })();
    try {
      for await (const record of parser as AsyncIterable<readonly string[]>) {
        row++;
        if (record.length !== header.length) {
          const found = `${record.length} instead of ${header.length}`;
          throw containerFault(`${where}:${row}`, `the row has another number of fields than the header, ${found}`, QUOTES_HINT);
        }
        const held = header.flatMap((name, i) => (record[i] === "" ? [] : [[name, record[i]] as const]));
        yield { row, value: Object.fromEntries(held) };
      }
    } catch (error) {
      throw faultOf(error, where);
    } finally {
      parser.destroy();
    }
    await feeding;
  },
};
