import type { EncodeCounts } from "./encode-batch.ts";
import type { FileReport } from "./read-records.ts";

/** What became of the rows. */
export interface DatasetReport extends Readonly<EncodeCounts> {
  /** File by file: what it was taken for, and why. */
  readonly files: readonly FileReport[];
  readonly rows: number;
  readonly examples: number;
  /** Rows left out because they could not be read rightly, under the policy that drops them. */
  readonly invalid: number;
  /** Fields that no row form uses, with the number of rows that have them. */
  readonly unusedFields: Readonly<Record<string, number>>;
  /** Whether the chat template printed the date, so that the ids depend on `now`. */
  readonly usedClock: boolean;
  /** Files of folders and patterns that were passed over: hidden ones, and those that are no data. */
  readonly skippedFiles: readonly string[];
  /** Files whose tokens came from the cache. */
  readonly cachedFiles: number;
  /** What a user should know besides. */
  readonly notes: readonly string[];
}

/** Adds up what rows of several files have that nothing uses. */
export function sumFields(files: readonly Pick<FileReport, "unusedFields">[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { unusedFields } of files) for (const [field, count] of Object.entries(unusedFields)) sum[field] = (sum[field] ?? 0) + count;
  return sum;
}
