import { formatCount, HeirloomError, ProblemList, readText } from "../core/index.ts";
import { openFile } from "../core/node/index.ts";
import { printable } from "../formats/index.ts";
import type { TrainOn } from "./assistant-spans.ts";
import { type ExamplePart, partsOf } from "./batch-source.ts";
import { expandDataPath } from "./data-files.ts";
import { type DatasetReport, sumFields } from "./dataset-report.ts";
import { addCounts, noCounts, type TooLongPolicy } from "./encode-batch.ts";
import type { EncoderSetup } from "./encoder.ts";
import type { Example, ToolStyle } from "./example.ts";
import { FileCollector, type LoadedFile, type PlannedFile } from "./file-collector.ts";
import { fingerprintExamples } from "./fingerprint.ts";
import type { RowForm } from "./forms/index.ts";
import { MAX_FAULTS } from "./load-file.ts";
import type { ReadingOptions } from "./read-records.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** A file, folder or pattern with what holds for it alone. */
export interface DataSource {
  readonly path: string;
  /** How often its rows come in one epoch; 0.5: half of them, the other half in the next. @defaultValue 1 */
  readonly weight?: number | null;
  /** @defaultValue that of the whole set */
  readonly format?: RowForm | null;
  /** @defaultValue those of the whole set */
  readonly columns?: Readonly<Record<string, string>> | null;
}

/** How rows become labelled tokens: what a set's record keeps, so that it can be read again alike. */
export interface DatasetReading extends ReadingOptions {
  /** What of a row is trained. @defaultValue "assistant" */
  readonly trainOn?: TrainOn;
  /** How functions and calls get into a chat. @defaultValue "template" */
  readonly tools?: ToolStyle;
  /** Rows that cannot be read rightly stop the run, or are left out and counted. @defaultValue "error" */
  readonly onInvalid?: "error" | "drop";
}

/** Which files make a data set, and what becomes of rows that are too long. */
export interface DatasetOptions extends DatasetReading {
  /** Files, folders and patterns; JSON Lines, JSON, CSV, Parquet and plain text. */
  readonly files: readonly (string | DataSource)[];
  /** Longest row in tokens. */
  readonly maxLength: number;
  /** @defaultValue "error" */
  readonly onTooLong?: TooLongPolicy;
  /** Path of a Jinja file with the chat template. @defaultValue null, the tokenizer's own */
  readonly template?: string | null;
  /** The date that a chat template may print; a resumed run must give that of the first. @defaultValue the present */
  readonly now?: Date;
  /** Folder of the cache of tokens; null: none. @defaultValue null */
  readonly cache?: string | null;
  /** Threads that tokenize; what they give is the same for any number. @defaultValue one per core for large files, none besides this for small ones */
  readonly threads?: number | null;
}

/** Tokenized examples, with what was counted while they were read. */
export interface Dataset {
  readonly examples: readonly Example[];
  readonly report: DatasetReport;
  /** SHA-256 over ids and labels of all examples, in order. */
  readonly fingerprint: string;
  /** Runs of examples with how often they come in an epoch; for `BatchSource`. */
  readonly parts: readonly ExamplePart[];
}

/** A chat template as text: of a file, else the tokenizer's own. */
export async function readTemplate(path: string | null, tokenizer: Tokenizer): Promise<EncoderSetup["template"]> {
  if (path === null) return { name: `the chat template of ${tokenizer.name}`, source: tokenizer.chatTemplate };
  const file = await openFile(path);
  try {
    return { name: path, source: await readText(file) };
  } finally {
    await file.close();
  }
}

async function planFiles(options: DatasetOptions): Promise<{ files: PlannedFile[]; skipped: string[] }> {
  const { maxLength, onTooLong = "error", format = null, columns = {}, textRows = "file", onInvalid = "error" } = options;
  const files: PlannedFile[] = [];
  const skipped: string[] = [];
  for (const given of options.files) {
    const source: DataSource = typeof given === "string" ? { path: given } : given;
    const reading = { format: source.format ?? format, columns: source.columns ?? columns, textRows };
    const found = await expandDataPath(source.path);
    skipped.push(...found.skipped);
    for (const path of found.files)
      files.push({
        path,
        weight: source.weight ?? 1,
        options: { reading, limits: { maxLength, onTooLong }, dropInvalid: onInvalid === "drop" },
      });
  }
  return { files, skipped };
}

function reportOf({ loaded, notes }: FileCollector, skippedFiles: readonly string[]): DatasetReport {
  const counts = noCounts();
  for (const { account } of loaded) addCounts(counts, account.counts);
  const sum = (pick: (file: LoadedFile) => number): number => loaded.reduce((total, file) => total + pick(file), 0);
  return {
    ...counts,
    files: loaded.map(({ path, account }) => ({ path, ...account.file })),
    rows: sum(({ account }) => account.file.rows),
    examples: sum(({ store }) => store.lengths.length),
    invalid: sum(({ account }) => account.invalid),
    unusedFields: sumFields(loaded.map(({ account }) => account.file)),
    usedClock: loaded.some(({ account }) => account.usedClock),
    skippedFiles,
    cachedFiles: loaded.filter(({ isCached }) => isCached).length,
    notes,
  };
}

/** Throws if the rows that were read leave nothing to train on, or if too long ones are an error. */
function checkOutcome(report: DatasetReport, tooLongRows: readonly string[], options: DatasetOptions): void {
  const where = printable(options.files.map((file) => (typeof file === "string" ? file : file.path)).join(", "));
  const { onTooLong = "error" } = options;
  const unsplit = onTooLong === "split" ? report.tooLong - report.split : 0;
  if (report.tooLong > 0 && (onTooLong === "error" || unsplit > 0)) {
    const shown = tooLongRows.slice(0, MAX_FAULTS).join(", ");
    const more = report.tooLong > MAX_FAULTS ? ` and ${formatCount(report.tooLong - MAX_FAULTS)} more` : "";
    const problem = unsplit > 0 ? `, and only plain text can be split` : "";
    throw new HeirloomError(
      "DATA_ROW_TOO_LONG",
      `${formatCount(report.tooLong)} of ${formatCount(report.rows)} rows are longer than ${formatCount(options.maxLength)} tokens${problem}: ${printable(shown, 2000)}${more}`,
      {
        where,
        hint: `raise data.maxLength (the longest row has ${formatCount(report.longest)} tokens), or set data.onTooLong to truncate, drop or (plain text) split`,
        details: { tooLong: report.tooLong, longest: report.longest },
      },
    );
  }
  if (report.examples > 0) return;
  if (report.invalid === report.rows)
    throw new HeirloomError("DATA_EMPTY", `none of the ${formatCount(report.rows)} rows could be read rightly, and all were dropped`, {
      where,
      hint: "leave data.onInvalid out to see what is wrong with them",
    });
  if (report.unlabelled === 0) {
    throw new HeirloomError(
      "DATA_EMPTY",
      `all ${formatCount(report.rows)} rows are longer than ${formatCount(options.maxLength)} tokens and were dropped`,
      { where, hint: "raise data.maxLength, or set data.onTooLong to truncate" },
    );
  }
  throw new HeirloomError("DATA_NO_LABELS", `none of the ${formatCount(report.rows)} rows has a token to learn`, {
    where,
    hint:
      report.truncated > 0
        ? "truncation cut the completions off: raise data.maxLength"
        : "each row needs a completion, an assistant's turn or some text",
    details: { unlabelled: report.unlabelled, truncated: report.truncated },
  });
}

/**
 * Reads data files of any container and row form and tokenizes them; nothing is left out in silence.
 *
 * @throws DATA_FORMAT_INVALID listing the rows (up to 20) with their faults; CHAT_TEMPLATE_INVALID; DATA_ROW_TOO_LONG under
 * the policy "error"; DATA_EMPTY; DATA_NO_LABELS; JSONL_INVALID; JSON_INVALID; FILE_MISSING.
 */
export async function loadDataset(options: DatasetOptions, tokenizer: Tokenizer): Promise<Dataset> {
  const { maxLength, onTooLong = "error", trainOn = "assistant", tools = "template" } = options;
  const setup: EncoderSetup = {
    tokenizer: { name: tokenizer.name, files: tokenizer.files },
    template: await readTemplate(options.template ?? null, tokenizer),
    now: options.now ?? new Date(),
    options: { trainOn, tools },
    limits: { maxLength, onTooLong },
  };
  const { files, skipped } = await planFiles(options);
  const collector = new FileCollector(setup, tokenizer, { cache: options.cache ?? null, threads: options.threads ?? null });
  try {
    for (const file of files) if (!collector.isFull) await collector.load(file);
  } finally {
    await collector.close();
  }
  const problems = new ProblemList();
  for (const { code, message, ...facts } of collector.problems) problems.add(code, message, facts);
  problems.throwIfAny();
  const report = reportOf(collector, skipped);
  checkOutcome(report, collector.tooLongRows, options);
  const [first, second] = collector.loaded;
  const examples = collector.loaded.flatMap(({ store }) => store.examples());
  const parts = partsOf(collector.loaded.map(({ store, weight }) => ({ count: store.lengths.length, weight })));
  const fingerprint = first !== undefined && second === undefined ? first.account.fingerprint : fingerprintExamples(examples);
  return { examples, report, fingerprint, parts };
}
