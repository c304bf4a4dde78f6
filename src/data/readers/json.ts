import { HeirloomError, isHeirloomError } from "../../core/index.ts";
import { describeValue, parseJson, printable } from "../../formats/index.ts";
import { containerFault, MAX_ROW_BYTES, type Reader, type SourceRow, textOf } from "./reader.ts";

/** What changes where an element ends; everything between is skipped at once. */
const STRUCTURE = /["{}[\],]/g;
const STRING_END = /["\\]/g;

/** Cuts the elements of a JSON array out of text that comes in pieces; each is then parsed by itself. */
class ElementSplitter {
  #pending = "";
  #at = 0;
  #depth = 0;
  #inString = false;
  #state: "before" | "inside" | "after" = "before";
  readonly #where: string;
  count = 0;

  constructor(where: string) {
    this.#where = where;
  }

  get isDone(): boolean {
    return this.#state === "after";
  }

  #fail(expected: string, found: string): never {
    throw containerFault(
      this.#where,
      `expected ${expected} after element ${this.count} of the list, found ${found}`,
      "mend the file at that place, or download it again if it was cut short",
    );
  }

  *push(piece: string): Generator<string, void, undefined> {
    this.#pending += piece;
    if (this.#state === "before") {
      const start = this.#pending.search(/[^ \t\r\n]/);
      if (start < 0) return;
      this.#pending = this.#pending.slice(start + 1);
      this.#state = "inside";
    }
    if (this.#state === "inside") yield* this.#elements();
    if (this.#state === "after" && this.#pending.trim() !== "")
      this.#fail("the end of the file", describeValue(this.#pending.trim().slice(0, 12)));
  }

  #skipString(): boolean {
    for (;;) {
      STRING_END.lastIndex = this.#at;
      const found = STRING_END.exec(this.#pending);
      if (found === null) {
        this.#at = this.#pending.length;
        return false;
      }
      if (found[0] === '"') {
        this.#at = found.index + 1;
        this.#inString = false;
        return true;
      }
      if (found.index + 1 >= this.#pending.length) {
        // The escaped character is in the next piece.
        this.#at = found.index;
        return false;
      }
      this.#at = found.index + 2;
    }
  }

  *#elements(): Generator<string, void, undefined> {
    while (this.#state === "inside") {
      if (this.#inString && !this.#skipString()) break;
      STRUCTURE.lastIndex = this.#at;
      const found = STRUCTURE.exec(this.#pending);
      if (found === null) {
        this.#at = this.#pending.length;
        break;
      }
      this.#at = found.index + 1;
      const [mark] = found;
      if (mark === '"') this.#inString = true;
      else if (mark === "{" || mark === "[") this.#depth++;
      else if (this.#depth > 0 && mark !== ",") this.#depth--;
      else if (this.#depth === 0) yield* this.#element(mark, found.index);
    }
    if (this.#pending.length > MAX_ROW_BYTES)
      throw containerFault(this.#where, `element ${this.count + 1}: expected at most ${MAX_ROW_BYTES} characters in a row, found more`);
  }

  /** Ends the element before a comma or the closing bracket. */
  *#element(mark: string, end: number): Generator<string, void, undefined> {
    const element = this.#pending.slice(0, end);
    this.#pending = this.#pending.slice(end + 1);
    this.#at = 0;
    if (mark === "}") this.#fail('"," or "]"', '"}"');
    const isBlank = element.trim() === "";
    if (mark === "]") this.#state = "after";
    if (isBlank && (mark === "," || this.count > 0)) this.#fail("an element", `"${mark}"`);
    if (isBlank) return;
    this.count++;
    yield element;
  }

  end(): void {
    if (this.#state !== "after") this.#fail('"]"', "the end of the file");
  }
}

/** Faulty elements are passed over and collected, as in JSON Lines. */
const MAX_FAULTY_ROWS = 20;

async function* arrayRows(texts: AsyncIterable<string>, where: string): AsyncGenerator<SourceRow, void, undefined> {
  const splitter = new ElementSplitter(where);
  const faults: HeirloomError[] = [];
  let row = 0;
  const failIfAny = (): void => {
    const [first, ...rest] = faults.flatMap(({ problems }) => problems);
    if (first !== undefined) throw HeirloomError.of([first, ...rest]);
  };
  for await (const piece of texts) {
    for (const element of splitter.push(piece)) {
      row++;
      try {
        yield { row, value: parseJson(element, `${where}:${row}`) };
      } catch (error) {
        if (!isHeirloomError(error) || error.code !== "JSON_INVALID") throw error;
        faults.push(error);
        if (faults.length >= MAX_FAULTY_ROWS) failIfAny();
      }
    }
  }
  splitter.end();
  failIfAny();
}

/** Lists that are the turns of one row, never rows. */
const TURNS = ["messages", "conversations"];

/** The rows of an object that holds them in one field, as exports of some tools do. */
function rowsOfObject(value: unknown, where: string): readonly unknown[] {
  if (TURNS.some((key) => Array.isArray((value as Readonly<Record<string, unknown>>)[key]))) return [value];
  const lists = Object.entries(value as object).filter(([, held]) => Array.isArray(held) && held.length > 0 && typeof held[0] === "object");
  const wrapper = lists.filter(([key]) => ["data", "rows", "examples", "train", "instances"].includes(key));
  const [first, second] = lists.length === 1 && Object.keys(value as object).length === 1 ? lists : wrapper;
  if (first !== undefined && second === undefined && !(first[0] === "instances" && "instruction" in (value as object)))
    return first[1] as unknown[];
  if (second !== undefined)
    throw containerFault(
      where,
      `the file is one object with several lists of rows (${printable(lists.map(([key]) => key).join(", "))}): keep one`,
    );
  return [value];
}

/** A JSON array of rows, read element by element, or one object: a row, or a wrapper with the rows in a field. */
export const json: Reader = {
  container: "json",
  extensions: [".json"],
  async *rows(file, { where }) {
    const texts = textOf(file, where)[Symbol.asyncIterator]();
    const { value: head = "" } = await texts.next();
    async function* all(): AsyncGenerator<string, void, undefined> {
      yield head;
      for (;;) {
        const { value, done } = await texts.next();
        if (done === true) return;
        yield value;
      }
    }
    const start = /[^ \t\r\n]/.exec(head)?.[0];
    if (start === "[") {
      yield* arrayRows(all(), where);
      return;
    }
    let whole = "";
    for await (const piece of all()) {
      whole += piece;
      if (whole.length > MAX_ROW_BYTES)
        throw containerFault(where, `expected a list of rows, found one object of more than ${MAX_ROW_BYTES} characters`);
    }
    const value = parseJson(whole, where);
    if (typeof value !== "object" || value === null) throw containerFault(where, `expected a list of rows, found ${describeValue(value)}`);
    for (const [i, row] of rowsOfObject(value, where).entries()) yield { row: i + 1, value: row };
  },
};
