import { formatCount } from "../../core/index.ts";
import { encodeFile } from "../batches.ts";
import { expandDataPath } from "../data-files.ts";
import type { BatchEncoder } from "../encoder.ts";
import type { RowForm } from "../forms/index.ts";
import { FileReading, type FileReport, type ReadingOptions } from "../read-records.ts";
import type { DataRecord } from "../record.ts";
import { borderText, isWithoutSeparator } from "./borders.ts";
import { type DataFinding, FindingList, type RuleCount } from "./findings.ts";
import { type LengthSummary, summarizeLengths } from "./lengths.ts";
import { emptyFields, placeholderIn, type TextKeys, textKeys } from "./same-text.ts";

/** One set of data that was checked. */
export interface CheckedSet {
  readonly name: "train" | "eval";
  readonly files: readonly FileReport[];
  readonly skippedFiles: readonly string[];
  /** Records: a row that nests instances has several. */
  readonly records: number;
  /** Null without a tokenizer, or without a row that could be read. */
  readonly lengths: LengthSummary | null;
  readonly tokens: number | null;
  readonly labelTokens: number | null;
  /** Rows in which a token holds both trained and masked text. */
  readonly mixedTokenRows: number | null;
}

/** What `data check` gives back. */
export interface DataCheck {
  readonly ok: boolean;
  readonly tokenizer: string | null;
  readonly maxLength: number;
  readonly sets: readonly CheckedSet[];
  readonly counts: readonly RuleCount[];
  /** The first of each rule, equal ones as one with their number. */
  readonly findings: readonly DataFinding[];
}

/** What is checked, and how it is read. */
export interface CheckOptions {
  readonly train: readonly string[];
  readonly eval: readonly string[];
  readonly reading: ReadingOptions;
  readonly maxLength: number;
  /** Whether rows beyond it are errors: somebody asked for this limit. */
  readonly strictLength: boolean;
}

/** Where the texts of the training rows were first seen. */
class SeenTexts {
  readonly exact = new Map<string, string>();
  readonly normalized = new Map<string, string>();
  readonly prompts = new Map<string, string>();

  add({ exact, normalized, prompt }: TextKeys, place: string): void {
    if (!this.exact.has(exact)) this.exact.set(exact, place);
    if (!this.normalized.has(normalized)) this.normalized.set(normalized, place);
    if (prompt !== null && !this.prompts.has(prompt)) this.prompts.set(prompt, place);
  }
}

interface Place {
  readonly file: string;
  readonly row: number;
}

const BORDER_IN_TEXT =
  "let the completion begin with the space or line break between them, and the prompt end without; or make chats of the rows, whose template separates them: --columns question=FIELD,answer=FIELD";
const BORDER_IN_TEMPLATE = "put a space or a line break between them in the chat template (data.template)";

/** Checks one set, row by row. */
class SetCheck {
  readonly seen = new SeenTexts();
  readonly #findings: FindingList;
  readonly #options: CheckOptions;
  readonly #against: SeenTexts | null;

  constructor(findings: FindingList, options: CheckOptions, against: SeenTexts | null) {
    this.#findings = findings;
    this.#options = options;
    this.#against = against;
  }

  record(record: DataRecord, place: Place): void {
    const warn = (rule: DataFinding["rule"], message: string, field: string | null = null): void =>
      this.#findings.add({ rule, severity: "warning", ...place, field, message });
    for (const field of emptyFields(record)) warn("empty-turn", `${field} is empty`, field);
    const placeholder = placeholderIn(record);
    if (placeholder !== null) warn("placeholder", `the placeholder ${placeholder} was not filled in`);
    const keys = textKeys(record);
    const same = this.seen.exact.get(keys.exact);
    const near = this.seen.normalized.get(keys.normalized);
    if (same !== undefined) warn("duplicate", `the same as ${same}`);
    else if (near !== undefined) warn("near-duplicate", `the same as ${near}, but for case, spaces and punctuation`);
    this.seen.add(keys, `${place.file}:${place.row}`);
    if (this.#against !== null) this.#leakage(keys, this.#against, place);
  }

  #leakage(keys: TextKeys, train: SeenTexts, place: Place): void {
    const hint = "take the row out of one of the sets: a loss on rows that were trained on says nothing";
    const same = train.exact.get(keys.exact);
    const near = train.normalized.get(keys.normalized);
    const asked = keys.prompt === null ? undefined : train.prompts.get(keys.prompt);
    if (same !== undefined) this.#findings.add({ rule: "leakage", severity: "error", ...place, message: `is trained on as ${same}`, hint });
    else if (near !== undefined)
      this.#findings.add({
        rule: "near-leakage",
        severity: "error",
        ...place,
        message: `is trained on as ${near}, but for case, spaces and punctuation`,
        hint,
      });
    else if (asked !== undefined)
      this.#findings.add({ rule: "prompt-leakage", severity: "warning", ...place, message: `its prompt is trained on in ${asked}` });
  }

  /** What becomes of the place where a prompt ends and its completion begins. @param form of the file */
  border(record: DataRecord, inside: number, form: RowForm | null, place: Place): void {
    const example = borderText(record);
    const warning = { severity: "warning", ...place, field: example === null ? null : "completion", example } as const;
    if (inside > 0)
      this.#findings.add({
        ...warning,
        rule: "border-in-token",
        message:
          example === null
            ? "a token holds both trained and masked text, and is trained whole"
            : "prompt and completion meet inside a token, which is trained whole (TRL masks it, and warns of a mismatch)",
        hint: example === null ? BORDER_IN_TEMPLATE : BORDER_IN_TEXT,
      });
    // Stanford's own prompt ends without a space.
    else if (form !== "alpaca-prompt" && isWithoutSeparator(record))
      this.#findings.add({
        ...warning,
        rule: "no-separator",
        message: "prompt and completion are joined as they stand, and nothing separates them",
        hint: BORDER_IN_TEXT,
      });
  }

  encoded(tokens: number, labels: number, place: Place): void {
    const { maxLength, strictLength } = this.#options;
    if (tokens > maxLength)
      this.#findings.add({
        rule: "too-long",
        severity: strictLength ? "error" : "warning",
        ...place,
        message: `longer than ${formatCount(maxLength)} tokens`,
        example: `${formatCount(tokens)} tokens`,
        hint: "raise data.maxLength, or set data.onTooLong to truncate or drop",
      });
    if (tokens > 0 && labels === 0)
      this.#findings.add({ rule: "no-labels", severity: "warning", ...place, message: "no token of it is trained; the row is left out" });
  }
}

async function checkSet(
  name: CheckedSet["name"],
  paths: readonly string[],
  options: CheckOptions,
  findings: FindingList,
  encoder: BatchEncoder,
  hasTokens: boolean,
  against: SeenTexts | null,
): Promise<{ set: CheckedSet; seen: SeenTexts }> {
  const check = new SetCheck(findings, options, against);
  const files: FileReport[] = [];
  const skippedFiles: string[] = [];
  const lengths: number[] = [];
  let [records, labelTokens, mixed] = [0, 0, 0];
  for (const path of paths) {
    const found = await expandDataPath(path);
    skippedFiles.push(...found.skipped);
    for (const file of found.files) {
      const reading = new FileReading(file, options.reading);
      let isBroken = false;
      for await (const { batch, encoded, faults } of encodeFile(file, reading, encoder)) {
        isBroken ||= faults.some(({ row }) => row === null);
        for (const { row, problems } of [...faults, ...encoded.problems])
          for (const { message, details, hint } of problems) {
            const field = details?.["field"];
            findings.add({
              rule: "unreadable-row",
              severity: "error",
              file,
              row,
              field: typeof field === "string" ? field : null,
              message,
              hint: hint ?? null,
            });
          }
        mixed += encoded.counts.mixedTokenRows;
        for (const [i, record] of batch.records.entries()) {
          const place = { file, row: batch.rows[i] as number };
          records++;
          check.record(record, place);
          check.border(record, encoded.insideCounts[i] ?? 0, reading.report.form, place);
          if (!hasTokens) continue;
          const [tokens = 0, labels = 0] = [encoded.tokenCounts[i], encoded.labelCounts[i]];
          if (tokens > 0) lengths.push(tokens);
          labelTokens += labels;
          check.encoded(tokens, labels, place);
        }
      }
      files.push(reading.report);
      if (reading.report.rows === 0 && !isBroken)
        findings.add({ rule: "empty-file", severity: "error", file, row: null, message: "has no rows" });
    }
  }
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const measured = hasTokens
    ? { lengths: summarizeLengths(lengths), tokens, labelTokens, mixedTokenRows: mixed }
    : { lengths: null, tokens: null, labelTokens: null, mixedTokenRows: null };
  return { set: { name, files, skippedFiles, records, ...measured }, seen: check.seen };
}

/**
 * Everything that is wrong with data files, at once: rows that cannot be read, lengths, rows without labels, empty turns,
 * duplicates, placeholders, and rows of the eval set that are trained on.
 *
 * @param encoder without a tokenizer one that encodes nothing
 * @param tokenizer its name; null: lengths and labels are not checked
 */
export async function checkData(options: CheckOptions, encoder: BatchEncoder, tokenizer: string | null): Promise<DataCheck> {
  const findings = new FindingList();
  const hasTokens = tokenizer !== null;
  const train = await checkSet("train", options.train, options, findings, encoder, hasTokens, null);
  const sets = [train.set];
  if (options.eval.length > 0) sets.push((await checkSet("eval", options.eval, options, findings, encoder, hasTokens, train.seen)).set);
  return { ok: !findings.hasErrors, tokenizer, maxLength: options.maxLength, sets, counts: findings.counts, findings: findings.listed };
}
