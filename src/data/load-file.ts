import { formatCount, type Problem } from "../core/index.ts";
import { encodeFile } from "./batches.ts";
import { addCounts, type EncodeCounts, noCounts, type RowLimits } from "./encode-batch.ts";
import type { BatchEncoder } from "./encoder.ts";
import { ExampleHash } from "./fingerprint.ts";
import { FileReading, type FileReport, type ReadingOptions } from "./read-records.ts";
import { type PackedExamples, unpack } from "./token-store.ts";

/** Faults shown before reading stops, as in the JSON Lines reader. */
export const MAX_FAULTS = 20;

/** What became of the rows of one file; what the cache keeps beside the tokens. */
export interface FileCounts {
  readonly file: Omit<FileReport, "path">;
  readonly counts: EncodeCounts;
  readonly invalid: number;
  readonly usedClock: boolean;
  /** Of the examples, in order. */
  readonly fingerprint: string;
}

/** How the rows of a file are read and limited. */
export interface FileOptions {
  readonly reading: ReadingOptions;
  readonly limits: RowLimits;
  /** Whether rows that cannot be read rightly are left out instead of stopping the run. */
  readonly dropInvalid: boolean;
}

/** The examples of a file as they are made, and its account once they are all there. */
export class FileLoad {
  readonly problems: Problem[] = [];
  readonly tooLongRows: string[] = [];
  readonly #path: string;
  readonly #options: FileOptions;
  readonly #reading: FileReading;
  readonly #counts = noCounts();
  #invalid = 0;
  #usedClock = false;
  #faults = 0;
  #fingerprint = "";

  constructor(path: string, options: FileOptions) {
    this.#path = path;
    this.#options = options;
    this.#reading = new FileReading(path, options.reading);
  }

  get account(): FileCounts {
    const { path: _path, ...file } = this.#reading.report;
    return { file, counts: this.#counts, invalid: this.#invalid, usedClock: this.#usedClock, fingerprint: this.#fingerprint };
  }

  /** Whether rows are too long for the policy to do anything with them. */
  get isTooLong(): boolean {
    const { onTooLong } = this.#options.limits;
    return onTooLong === "error" ? this.#counts.tooLong > 0 : onTooLong === "split" && this.#counts.tooLong > this.#counts.split;
  }

  #fault(row: number | null, problems: readonly Problem[]): void {
    if (row !== null && this.#options.dropInvalid) {
      this.#invalid++;
      return;
    }
    this.#faults++;
    // The same fault of the whole set (no chat template) would otherwise be repeated for every row.
    for (const problem of problems) {
      const isKnown = this.problems.some(({ message, where }) => message === problem.message && where === problem.where);
      if (!isKnown) this.problems.push(problem);
    }
  }

  /** Packed examples, batch by batch; it stops early after {@link MAX_FAULTS} faults. */
  async *examples(encoder: BatchEncoder): AsyncGenerator<PackedExamples, void, undefined> {
    const { maxLength } = this.#options.limits;
    const hash = new ExampleHash();
    for await (const { batch, encoded, faults } of encodeFile(this.#path, this.#reading, encoder)) {
      for (const { row, problems } of [...faults, ...encoded.problems].sort((a, b) => (a.row ?? Infinity) - (b.row ?? Infinity))) {
        this.#fault(row, problems);
        if (this.#faults >= MAX_FAULTS) return;
      }
      addCounts(this.#counts, encoded.counts);
      this.#usedClock ||= encoded.usedClock;
      for (const [i, tokens] of encoded.tokenCounts.entries())
        if (tokens > maxLength && this.tooLongRows.length < MAX_FAULTS)
          this.tooLongRows.push(`${this.#path}:${batch.rows[i]} (${formatCount(tokens)} tokens)`);
      for (const example of unpack(encoded)) hash.add(example);
      yield encoded;
    }
    this.#fingerprint = hash.digest();
  }
}
