import { isHeirloomError, nearestName, type Problem, ProblemList } from "../core/index.ts";
import { describeValue, printable } from "../formats/index.ts";
import { detectForm, likelyForm, parseRow, type RowForm } from "./forms/index.ts";
import { type Container, readRows, type TextRows } from "./readers/index.ts";
import type { DataRecord } from "./record.ts";

/** How the rows of a file are understood. */
export interface ReadingOptions {
  /** The form of the rows; null: told by their fields. @defaultValue null */
  readonly format?: RowForm | null;
  /** Fields of a form, and the columns of the file that they are found in. @defaultValue none */
  readonly columns?: Readonly<Record<string, string>>;
  /** What of a plain text file is a row. @defaultValue "file" */
  readonly textRows?: TextRows;
}

/** What a file was taken for, and why. */
export interface FileReport {
  readonly path: string;
  readonly container: Container | null;
  readonly containerEvidence: string;
  /** Null if no row of it was of a known form. */
  readonly form: RowForm | null;
  readonly formEvidence: string;
  readonly rows: number;
  /** Fields that play no part, with the number of rows that have them. */
  readonly unusedFields: Readonly<Record<string, number>>;
}

/** A row of a file: what it holds, or why it is none. */
export type ReadRow =
  | { readonly row: number; readonly records: readonly DataRecord[] }
  | { readonly row: number | null; readonly problems: readonly Problem[] };

/** Fields that a column can be mapped to. */
const COLUMN_TARGETS = [
  ...["text", "prompt", "completion", "messages", "conversations", "question", "answer"],
  ...["instruction", "input", "output", "system", "history", "tools"],
];

/** @throws DATA_FORMAT_INVALID for fields that no form has */
function checkColumns(columns: Readonly<Record<string, string>>): void {
  const problems = new ProblemList();
  for (const target of Object.keys(columns)) {
    if (COLUMN_TARGETS.includes(target)) continue;
    const nearest = nearestName(target, COLUMN_TARGETS);
    problems.add("DATA_FORMAT_INVALID", `no form has a field ${describeValue(target)} that a column could be`, {
      where: "data.columns",
      hint: nearest === undefined ? `known: ${COLUMN_TARGETS.join(", ")}` : `did you mean ${nearest}?`,
    });
  }
  problems.throwIfAny();
}

/** The row with its columns under the names that the forms have for them. */
function renamed(value: unknown, columns: Readonly<Record<string, string>>): unknown {
  const pairs = Object.entries(columns);
  if (pairs.length === 0 || typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const row = value as Readonly<Record<string, unknown>>;
  const sources = new Set(pairs.map(([, source]) => source));
  // A field of the file that has the name of a target means something else there.
  const kept = Object.entries(row).filter(([field]) => !sources.has(field) && !Object.hasOwn(columns, field));
  return Object.fromEntries([...kept, ...pairs.flatMap(([target, source]) => (row[source] === undefined ? [] : [[target, row[source]]]))]);
}

/** What a row that is of no form lacks of the columns that were named. */
function missingColumn(value: unknown, columns: Readonly<Record<string, string>>): Problem | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const [target, source] = Object.entries(columns).find(([, name]) => !Object.hasOwn(value, name)) ?? [];
  if (target === undefined || source === undefined) return null;
  const near = nearestName(source, Object.keys(value));
  return {
    code: "DATA_FORMAT_INVALID",
    message: `the row has no field ${describeValue(source)}, which was to be its ${target}; found ${describeValue(Object.keys(value).join(", "))}`,
    ...(near === undefined ? {} : { hint: `did you mean ${target}=${near}?` }),
  };
}

/** Understands the rows of one file, and keeps account of what it was taken for. */
export class FileReading {
  readonly #path: string;
  readonly #options: Required<ReadingOptions>;
  readonly #unused: Record<string, number> = {};
  #container: { container: Container; evidence: string } | undefined;
  #form: { form: RowForm; evidence: string } | undefined;
  #rows = 0;

  /** @throws DATA_FORMAT_INVALID for columns that no form has */
  constructor(path: string, { format = null, columns = {}, textRows = "file" }: ReadingOptions = {}) {
    checkColumns(columns);
    this.#path = path;
    this.#options = { format, columns, textRows };
    if (format !== null) this.#form = { form: format, evidence: "as asked for" };
  }

  get report(): FileReport {
    return {
      path: this.#path,
      container: this.#container?.container ?? null,
      containerEvidence: this.#container?.evidence ?? "",
      form: this.#form?.form ?? null,
      formEvidence: this.#form?.evidence ?? "",
      rows: this.#rows,
      unusedFields: this.#unused,
    };
  }

  /** Its rows in order; after a fault of the file itself, as broken JSON, nothing more. */
  async *rows(): AsyncGenerator<ReadRow, void, undefined> {
    const source = readRows(this.#path, this.#options.textRows, (found) => {
      this.#container = found;
    });
    try {
      for await (const { row, value } of source) {
        this.#rows++;
        const read = this.#understand(row, renamed(value, this.#options.columns));
        const missing = "problems" in read ? missingColumn(value, this.#options.columns) : null;
        yield missing === null ? read : { row, problems: [{ ...missing, where: printable(`${this.#path}:${row}`) }] };
      }
    } catch (error) {
      if (!isHeirloomError(error)) throw error;
      yield { row: null, problems: error.problems };
    }
  }

  /** For a form that was asked for and does not fit: the one that the row looks like. */
  #otherForm(value: unknown): string | undefined {
    const { format } = this.#options;
    const likely = format === null ? null : likelyForm(value);
    return likely === null || likely === format
      ? undefined
      : `the row looks like ${likely}: --format ${likely} (data.format), or leave it out`;
  }

  #understand(row: number, value: unknown): ReadRow {
    const where = printable(`${this.#path}:${row}`);
    const fault = (message: string, facts: Omit<Problem, "code" | "message"> = {}): ReadRow => ({
      row,
      problems: [{ code: "DATA_FORMAT_INVALID", message, where, ...facts }],
    });
    if (this.#options.format === null) {
      let found: { form: RowForm; evidence: string };
      try {
        found = detectForm(value);
      } catch (error) {
        if (!isHeirloomError(error)) throw error;
        return { row, problems: error.problems.map((problem) => ({ ...problem, where })) };
      }
      this.#form ??= found;
      if (found.form !== this.#form.form)
        return fault(`the row is of the form ${found.form}, those before it are ${this.#form.form}: keep one form in a file`);
    }
    const parsed = parseRow(value, this.#form?.form ?? "text");
    if ("fault" in parsed) {
      const hint = parsed.hint ?? this.#otherForm(value);
      return fault(parsed.fault, {
        ...(parsed.field === null ? {} : { details: { field: parsed.field } }),
        ...(hint === undefined ? {} : { hint }),
      });
    }
    for (const field of parsed.unusedFields) this.#unused[field] = (this.#unused[field] ?? 0) + 1;
    return { row, records: parsed.records };
  }
}
