// review: what data files mean and what is wrong with them, for `data show` and `data check`. Trains nothing, keeps nothing.
import { availableParallelism } from "node:os";
import { noCounts } from "../encode-batch.ts";
import { type EncoderSetup, encoderHere } from "../encoder.ts";
import { encoderPool } from "../encoder-pool.ts";
import type { DatasetOptions } from "../load-dataset.ts";
import { readTemplate } from "../load-dataset.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { type CheckOptions, checkData as checkWith, type DataCheck } from "./check-data.ts";
import { type ShownData, type ShowOptions, showRows } from "./show-rows.ts";

export type { CheckedSet, CheckOptions, DataCheck } from "./check-data.ts";
export type { DataFinding } from "./findings.ts";
export type { LengthSummary } from "./lengths.ts";
export type { ShownData, ShownFile, ShownRow, ShowOptions } from "./show-rows.ts";

/** How rows become tokens, where there is a tokenizer. */
export type ReviewEncoding = Pick<DatasetOptions, "template" | "trainOn" | "tools" | "now" | "threads">;

async function setupOf(
  tokenizer: Tokenizer,
  { template, trainOn = "assistant", tools = "template", now }: ReviewEncoding,
): Promise<EncoderSetup> {
  return {
    tokenizer: { name: tokenizer.name, files: tokenizer.files },
    template: await readTemplate(template ?? null, tokenizer),
    now: now ?? new Date(),
    options: { trainOn, tools },
    // A review looks at rows whole.
    limits: { maxLength: Infinity, onTooLong: "truncate" },
  };
}

/**
 * The first rows of files as a model will see them, with what is trained.
 *
 * @param tokenizer null: rows are shown as they stand
 * @throws what is wrong with the rows, if none could be shown; FILE_MISSING; CHAT_TEMPLATE_INVALID
 */
export async function showData(
  paths: readonly string[],
  options: ShowOptions,
  tokenizer: Tokenizer | null,
  encoding: ReviewEncoding,
): Promise<ShownData> {
  return showRows(paths, options, tokenizer, tokenizer === null ? null : await setupOf(tokenizer, encoding));
}

/**
 * Everything that is wrong with data files, at once.
 *
 * @param tokenizer null: lengths and labels are not checked
 * @throws FILE_MISSING; CHAT_TEMPLATE_INVALID
 */
export async function checkData(options: CheckOptions, tokenizer: Tokenizer | null, encoding: ReviewEncoding): Promise<DataCheck> {
  if (tokenizer === null) {
    const nothing = { words: new Int32Array(), lengths: new Uint32Array(), rows: new Uint32Array(), problems: [], usedClock: false };
    const none = new Uint32Array();
    const encode = () => Promise.resolve({ ...nothing, counts: noCounts(), tokenCounts: none, labelCounts: none, insideCounts: none });
    return checkWith(options, { capacity: 1, encode, close: () => Promise.resolve() }, null);
  }
  const setup = await setupOf(tokenizer, encoding);
  const threads = encoding.threads ?? availableParallelism();
  const encoder = threads > 1 ? encoderPool(setup, threads) : encoderHere(setup, tokenizer);
  try {
    return await checkWith(options, encoder, tokenizer.name);
  } finally {
    await encoder.close();
  }
}
