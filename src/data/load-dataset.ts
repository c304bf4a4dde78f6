import { createHash } from "node:crypto";
import { formatCount, HeirloomError, isHeirloomError, ProblemList, readText } from "../core/index.ts";
import { openFile } from "../core/node/index.ts";
import { printable, readJsonl } from "../formats/index.ts";
import { type ChatTemplate, compileChatTemplate } from "./chat-template.ts";
import { countLabels, type Example, type RowEncoder, rowEncoder } from "./example.ts";
import { parseRow, type RowForm } from "./row-forms.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** What happens to a row of more than `maxLength` tokens; every such row is counted in the report. */
export type TooLongPolicy = "error" | "truncate" | "drop";

/** Which files make a data set, and what becomes of rows that are too long. */
export interface DatasetOptions {
  /** Paths of JSON Lines files. */
  readonly files: readonly string[];
  /** Longest row in tokens. */
  readonly maxLength: number;
  /** @defaultValue "error" */
  readonly onTooLong?: TooLongPolicy;
  /** Path of a Jinja file with the chat template. @defaultValue null, the tokenizer's own */
  readonly template?: string | null;
  /** The date that a chat template may print; a resumed run must give that of the first. @defaultValue the present */
  readonly now?: Date;
}

/** What became of the rows. */
export interface DatasetReport {
  readonly files: readonly { readonly path: string; readonly form: RowForm; readonly rows: number }[];
  readonly rows: number;
  readonly examples: number;
  /** Rows of more than `maxLength` tokens, whatever the policy did with them. */
  readonly tooLong: number;
  readonly truncated: number;
  readonly droppedTooLong: number;
  /** Rows left out because no token of theirs is a label (after truncation). */
  readonly unlabelled: number;
  /** Longest row in tokens, before truncation. */
  readonly longest: number;
  readonly tokens: number;
  /** Labels that count in the loss: after the shift, so never the first token of a row. */
  readonly labelTokens: number;
  /** Rows in which a token holds characters of both trained and masked text. */
  readonly mixedTokenRows: number;
  /** Fields that no row form uses, with the number of rows that have them. */
  readonly unusedFields: Readonly<Record<string, number>>;
  /** Whether the chat template printed the date, so that the ids depend on `now`. */
  readonly usedClock: boolean;
}

/** Tokenized examples, with what was counted while they were read. */
export interface Dataset {
  readonly examples: readonly Example[];
  readonly report: DatasetReport;
  /** SHA-256 over ids and labels of all examples, in order. */
  readonly fingerprint: string;
}

/** Faults shown before reading stops, as in the JSON Lines reader. */
const MAX_FAULTS = 20;

type Counts = { -readonly [K in keyof DatasetReport]: DatasetReport[K] };

/** Collects examples and counts; one for each data set that is loaded. */
class Collector {
  readonly examples: Example[] = [];
  readonly problems = new ProblemList();
  readonly tooLongRows: string[] = [];
  readonly counts: Counts;
  readonly #unused: Record<string, number> = {};
  readonly #files: { path: string; form: RowForm; rows: number }[] = [];
  readonly #options: DatasetOptions;
  #faults = 0;

  constructor(options: DatasetOptions) {
    this.#options = options;
    this.counts = {
      files: this.#files,
      rows: 0,
      examples: 0,
      tooLong: 0,
      truncated: 0,
      droppedTooLong: 0,
      unlabelled: 0,
      longest: 0,
      tokens: 0,
      labelTokens: 0,
      mixedTokenRows: 0,
      unusedFields: this.#unused,
      usedClock: false,
    };
  }

  get isFull(): boolean {
    return this.#faults >= MAX_FAULTS;
  }

  /** Notes a fault of a row: a sentence, or an error of ours, which keeps its code. */
  fault(where: string, fault: unknown): void {
    this.#faults++;
    // The same fault of the whole set (no chat template) would otherwise be repeated for every row.
    if (isHeirloomError(fault) && this.problems.problems.some(({ message }) => message === fault.problems[0].message)) return;
    if (typeof fault === "string") this.problems.add("DATA_FORMAT_INVALID", fault, { where: printable(where) });
    else this.problems.absorb(fault);
  }

  /** Counts a row of `path`; false if its form is not that of the rows before it. */
  form(path: string, form: RowForm): RowForm {
    const last = this.#files.at(-1);
    if (last?.path !== path) this.#files.push({ path, form, rows: 0 });
    const file = this.#files.at(-1) as { form: RowForm; rows: number };
    file.rows++;
    return file.form;
  }

  unused(fields: readonly string[]): void {
    for (const field of fields) this.#unused[field] = (this.#unused[field] ?? 0) + 1;
  }

  add(example: Example, insideToken: number): void {
    const { maxLength, onTooLong = "error" } = this.#options;
    const { counts } = this;
    let { inputIds, labels } = example;
    counts.longest = Math.max(counts.longest, inputIds.length);
    if (inputIds.length > maxLength) {
      counts.tooLong++;
      this.tooLongRows.push(`${example.source}:${example.row} (${formatCount(inputIds.length)} tokens)`);
      if (onTooLong === "drop") counts.droppedTooLong++;
      if (onTooLong !== "truncate") return;
      counts.truncated++;
      inputIds = inputIds.slice(0, maxLength);
      labels = labels.slice(0, maxLength);
    }
    const labelTokens = countLabels(labels);
    if (labelTokens === 0) {
      counts.unlabelled++;
      return;
    }
    if (insideToken > 0) counts.mixedTokenRows++;
    counts.tokens += inputIds.length;
    counts.labelTokens += labelTokens;
    this.examples.push({ ...example, inputIds, labels });
  }
}

async function readTemplate(options: DatasetOptions, tokenizer: Tokenizer): Promise<() => ChatTemplate> {
  const path = options.template ?? null;
  let source = tokenizer.chatTemplate;
  if (path !== null) {
    const file = await openFile(path);
    try {
      source = await readText(file);
    } finally {
      await file.close();
    }
  }
  const name = path ?? `the chat template of ${tokenizer.name}`;
  let compiled: ChatTemplate | undefined;
  return () => {
    if (source === null) {
      throw new HeirloomError("CHAT_TEMPLATE_INVALID", "the data have {messages}, and the tokenizer has no chat template", {
        where: tokenizer.name,
        hint: "name a Jinja file as data.template, or use {prompt, completion} rows",
      });
    }
    compiled ??= compileChatTemplate(source, {
      name,
      namedTokens: tokenizer.namedTokens,
      ...(options.now === undefined ? {} : { now: options.now }),
    });
    return compiled;
  };
}

function readRow(path: string, row: number, value: unknown, collector: Collector, encode: RowEncoder): void {
  const where = `${path}:${row}`;
  const parsed = parseRow(value);
  if ("fault" in parsed) {
    collector.fault(where, parsed.fault);
    return;
  }
  const { form } = parsed.row;
  const expected = collector.form(path, form);
  if (expected !== form) {
    collector.fault(where, `the row is of the form ${form}, those before it are ${expected}: keep one form in a file`);
    return;
  }
  collector.unused(parsed.unusedFields);
  try {
    const { insideToken, ...encoded } = encode(parsed.row, where);
    collector.add({ ...encoded, row, source: path }, insideToken);
  } catch (error) {
    collector.fault(where, error);
  }
}

async function readFile(path: string, collector: Collector, encode: RowEncoder): Promise<void> {
  const file = await openFile(path);
  const rowsBefore = collector.counts.rows;
  try {
    for await (const { row, value } of readJsonl(file, path)) {
      if (collector.isFull) return;
      collector.counts.rows++;
      readRow(path, row, value, collector, encode);
    }
    if (collector.counts.rows === rowsBefore) {
      const hint = "check that data.train and data.eval name the right files";
      collector.problems.add("DATA_EMPTY", "expected at least one row, found none", { where: printable(path), hint });
    }
  } catch (error) {
    collector.fault(path, error);
  } finally {
    await file.close();
  }
}

/** Throws if the rows that were read leave nothing to train on, or if too long ones are an error. */
function checkOutcome(collector: Collector, options: DatasetOptions): void {
  const { counts, tooLongRows } = collector;
  const where = printable(options.files.join(", "));
  if (tooLongRows.length > 0 && (options.onTooLong ?? "error") === "error") {
    const shown = tooLongRows.slice(0, MAX_FAULTS).join(", ");
    const more = tooLongRows.length > MAX_FAULTS ? ` and ${formatCount(tooLongRows.length - MAX_FAULTS)} more` : "";
    throw new HeirloomError(
      "DATA_ROW_TOO_LONG",
      `${formatCount(tooLongRows.length)} of ${formatCount(counts.rows)} rows are longer than ${formatCount(options.maxLength)} tokens: ${printable(shown, 2000)}${more}`,
      {
        where,
        hint: `raise data.maxLength (the longest row has ${formatCount(counts.longest)} tokens), or set data.onTooLong to truncate or drop`,
        details: { tooLong: tooLongRows.length, longest: counts.longest },
      },
    );
  }
  if (collector.examples.length > 0) return;
  if (counts.unlabelled === 0) {
    throw new HeirloomError(
      "DATA_EMPTY",
      `all ${formatCount(counts.rows)} rows are longer than ${formatCount(options.maxLength)} tokens and were dropped`,
      { where, hint: "raise data.maxLength, or set data.onTooLong to truncate" },
    );
  }
  throw new HeirloomError("DATA_NO_LABELS", `none of the ${formatCount(counts.rows)} rows has a token to learn`, {
    where,
    hint:
      counts.truncated > 0
        ? "truncation cut the completions off: raise data.maxLength"
        : "each row needs a completion, an assistant's turn or some text",
    details: { unlabelled: counts.unlabelled, truncated: counts.truncated },
  });
}

/** SHA-256 over the lengths, ids and labels of all examples; equal content gives an equal fingerprint, wherever it lies. */
export function fingerprintExamples(examples: readonly Pick<Example, "inputIds" | "labels">[]): string {
  const hash = createHash("sha256");
  for (const { inputIds, labels } of examples) hash.update(Int32Array.of(inputIds.length)).update(inputIds).update(labels);
  return hash.digest("hex");
}

/**
 * Reads JSON Lines files of {@link Row} forms and tokenizes them; nothing is left out in silence.
 *
 * @throws DATA_FORMAT_INVALID listing the rows (up to 20) with their faults; CHAT_TEMPLATE_INVALID; DATA_ROW_TOO_LONG under
 * the policy "error"; DATA_EMPTY; DATA_NO_LABELS; JSONL_INVALID; FILE_MISSING.
 */
export async function loadDataset(options: DatasetOptions, tokenizer: Tokenizer): Promise<Dataset> {
  const collector = new Collector(options);
  const template = await readTemplate(options, tokenizer);
  const encode = rowEncoder(tokenizer, template);
  for (const path of options.files) {
    if (!collector.isFull) await readFile(path, collector, encode);
  }
  collector.problems.throwIfAny();
  checkOutcome(collector, options);
  const usesMessages = collector.counts.files.some(({ form }) => form === "messages");
  const report = { ...collector.counts, examples: collector.examples.length, usedClock: usesMessages && template().usedClock };
  return { examples: collector.examples, report, fingerprint: fingerprintExamples(collector.examples) };
}
