import { formatCount } from "../core/index.ts";
import type { Dataset } from "../data/index.ts";
import { EMBEDDING_KEY } from "../engine/index.ts";
import { adapterFromConfig, tiedTraining } from "../ledger/index.ts";
import type { Prepared } from "./prepare.ts";

/** `1 row`, `2 rows`. */
function rows(count: number): string {
  return `${formatCount(count)} ${count === 1 ? "row" : "rows"}`;
}

const PLAIN_FORMS: readonly unknown[] = ["text", "prompt-completion", "messages"];

/** What of a data set is not trained on or judged as it stands in its files. */
function dataNotes(name: string, { report }: Dataset): string[] {
  const counts: readonly (readonly [number, string])[] = [
    [report.droppedTooLong, "dropped, longer than the limit"],
    [report.truncated, "cut at the limit"],
    [report.unlabelled, "left out, without a token to learn"],
    [report.invalid, "left out, not readable as what the file's rows are"],
    [report.split, "parted, longer than the limit"],
    [report.endOnly, "whose only token to learn is the end of the text (an empty completion?)"],
    [report.mixedTokenRows, "with a token that holds both trained and masked text"],
    ...Object.entries(report.unusedFields).map(([field, count]) => [count, `with a field "${field}" that nothing uses`] as const),
  ];
  // JSON Lines under the forms' own names leave nothing to decide.
  const decided = report.files.filter(({ container, form }) => container !== "jsonl" || !PLAIN_FORMS.includes(form));
  const readAs = decided.map(
    ({ path, container, form, formEvidence }) =>
      `${name}: ${path} is ${container ?? "nothing"} with rows of the form ${form ?? "none"} (${formEvidence})`,
  );
  const skipped = report.skippedFiles.length;
  return [
    ...readAs,
    ...counts.filter(([count]) => count > 0).map(([count, what]) => `${name}: ${rows(count)} ${what}`),
    ...(skipped === 0 ? [] : [`${name}: ${formatCount(skipped)} ${skipped === 1 ? "file" : "files"} passed over, hidden or no data`]),
    ...report.notes.map((note) => `${name}: ${note}`),
  ];
}

/**
 * The row of the padding token gets no gradient through the embedding (as
 * PyTorch's `padding_idx`), which matters where the token is also read as text.
 */
function paddingNote({ base, parameters, train }: Prepared): string[] {
  const pad = base.spec.padTokenId;
  if (pad === null || !parameters.some(({ keys }) => keys.includes(EMBEDDING_KEY))) return [];
  const count = train.examples.filter(({ inputIds }) => inputIds.includes(pad)).length;
  if (count === 0) return [];
  return [`training data: ${rows(count)} with the padding token (id ${pad}) as text; its embedding row is not trained, as in PyTorch`];
}

/** A 4-bit checkpoint is what it is, whatever the configuration says. */
function quantizationNote({ base, config }: Prepared): string[] {
  const stored = base.spec.quantization;
  if (stored === null) return [];
  if (config.quantization !== null && config.quantization.doubleQuant === stored.doubleQuant) return [];
  return [
    `the base is stored in NF4${stored.doubleQuant ? " with double quantization" : ""} and is used as it is; the configured quantization has no effect`,
  ];
}

/** What training a tensor that the base uses twice means. */
function tiedNote({ base, config }: Prepared): string[] {
  const tied = config.adapter === null ? null : tiedTraining(base.spec, adapterFromConfig(config.adapter, config.base));
  return tied === null ? [] : [`the base uses one tensor as embedding and head: ${tied.meaning}`];
}

/** Everything about a run's inputs that a user should know before it starts. */
export function inputNotes(prepared: Prepared): string[] {
  const held = [...prepared.evaluation].flatMap(([name, dataset]) => dataNotes(`held-out set "${name}"`, dataset));
  return [
    ...quantizationNote(prepared),
    ...tiedNote(prepared),
    ...dataNotes("training data", prepared.train),
    ...held,
    ...paddingNote(prepared),
  ];
}
