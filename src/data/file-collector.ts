import { stat } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { formatBytes, HeirloomError, isHeirloomError, type Problem } from "../core/index.ts";
import { printable } from "../formats/index.ts";
import { type BatchEncoder, type EncoderSetup, encoderHere } from "./encoder.ts";
import { encoderPool } from "./encoder-pool.ts";
import { type FileCounts, FileLoad, type FileOptions, MAX_FAULTS } from "./load-file.ts";
import { TokenCache } from "./token-cache.ts";
import { joinPacked, type PackedExamples, TokenStore } from "./token-store.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** One file of a set, with what holds for it. */
export interface PlannedFile {
  readonly path: string;
  readonly weight: number;
  readonly options: FileOptions;
}

/** A file that was read. */
export interface LoadedFile {
  readonly path: string;
  readonly weight: number;
  readonly account: FileCounts;
  readonly store: TokenStore;
  readonly isCached: boolean;
}

/** How files are collected. */
export interface CollectOptions {
  /** Folder of the cache; null: none. */
  readonly cache: string | null;
  /** Null: one per core. */
  readonly threads: number | null;
  /** Memory that tokens may take where no cache holds them. @defaultValue what can be had now */
  readonly memoryBytes?: number;
}

/** Each has a tokenizer of its own, 100 MB and more with a large vocabulary; as many tokenize some 8 MB/s. */
const MAX_THREADS = 16;
/** From this size on threads are started: they take half a second, in which one thread tokenizes about half of this. */
const THREADS_FROM_BYTES = 2_000_000;

/** The parts of a file are there beside the whole that is made of them. */
const PEAK_FACTOR = 2;

/** Memory that can be had now; macOS counts pages as free only if they hold nothing at all. */
function memoryLeft(): number {
  return process.platform === "darwin" ? totalmem() : process.availableMemory();
}

/** Ends the writing of a cache entry whose file has faults. */
const notKept = new HeirloomError("DATA_FORMAT_INVALID", "the file has faults");

/** Loads the files of a set and collects what is wrong with them; one for each data set. */
export class FileCollector {
  readonly loaded: LoadedFile[] = [];
  readonly problems: Problem[] = [];
  readonly tooLongRows: string[] = [];
  readonly notes: string[] = [];
  readonly #setup: EncoderSetup;
  readonly #tokenizer: Tokenizer;
  readonly #threads: number;
  readonly #threadsFrom: number;
  readonly #cache: TokenCache | null;
  readonly #memoryBytes: number;
  #heldBytes = 0;
  #here: BatchEncoder | undefined;
  #pool: BatchEncoder | undefined;

  constructor(setup: EncoderSetup, tokenizer: Tokenizer, { cache, threads, memoryBytes = memoryLeft() }: CollectOptions) {
    this.#memoryBytes = memoryBytes;
    this.#setup = setup;
    this.#tokenizer = tokenizer;
    this.#threads = threads ?? Math.min(availableParallelism(), MAX_THREADS);
    this.#threadsFrom = threads === null ? THREADS_FROM_BYTES : 0;
    this.#cache = cache === null ? null : new TokenCache(cache, setup);
  }

  get isFull(): boolean {
    return this.problems.length >= MAX_FAULTS;
  }

  async close(): Promise<void> {
    await this.#here?.close();
    await this.#pool?.close();
  }

  /** Threads for files that are worth it, once started also for the smaller ones. */
  async #encoderFor(path: string): Promise<BatchEncoder> {
    if (this.#pool !== undefined) return this.#pool;
    const size = await stat(path).then(
      (found) => found.size,
      () => 0,
    );
    if (this.#threads > 1 && size >= this.#threadsFrom) {
      this.#pool = encoderPool(this.#setup, this.#threads);
      return this.#pool;
    }
    this.#here ??= encoderHere(this.#setup, this.#tokenizer);
    return this.#here;
  }

  async load(file: PlannedFile): Promise<void> {
    if (this.#cache === null || !(await this.#loadThroughCache(file, this.#cache))) await this.#loadPlainly(file);
  }

  async #loadPlainly(file: PlannedFile): Promise<void> {
    const load = new FileLoad(file.path, file.options);
    const parts: PackedExamples[] = [];
    for await (const part of load.examples(await this.#encoderFor(file.path))) {
      parts.push(part);
      this.#hold(part, file.path);
    }
    this.#add(file, load, load.account, joinPacked(parts));
  }

  /** Tokens that no cache holds stay in memory: what does not fit is refused here, before the system ends the process. */
  #hold({ words, lengths, rows }: PackedExamples, path: string): void {
    this.#heldBytes += words.byteLength + lengths.byteLength + rows.byteLength;
    if (PEAK_FACTOR * this.#heldBytes <= this.#memoryBytes) return;
    throw new HeirloomError(
      "DATA_TOO_LARGE",
      `expected tokens that fit into memory, found more than ${formatBytes(this.#heldBytes)} up to here (they need that twice while they are joined, and ${formatBytes(this.#memoryBytes)} can be had)`,
      {
        where: printable(path),
        hint: "let the tokens lie on disk, 4⅛ bytes each: leave out data.cache: false and HEIRLOOM_CACHE=off, and see that the cache's folder can be written",
        details: { bytes: this.#heldBytes, memoryBytes: this.#memoryBytes },
      },
    );
  }

  /** @returns false if the cache cannot be used; the file is then read without it */
  async #loadThroughCache(file: PlannedFile, cache: TokenCache): Promise<boolean> {
    let entry: string;
    try {
      entry = await cache.entry(file.path, file.options);
    } catch (error) {
      // Reading the file plainly says what is wrong with it.
      if (!isHeirloomError(error)) throw error;
      return false;
    }
    const found = await cache.open(entry, file.path);
    if (found === "damaged") this.notes.push(`the cached tokens of ${file.path} were damaged and are made anew`);
    else if (found !== null) {
      this.loaded.push({ path: file.path, weight: file.weight, ...found, isCached: true });
      return true;
    }
    const load = new FileLoad(file.path, file.options);
    const encoder = await this.#encoderFor(file.path);
    const hasFaults = (): boolean => load.problems.length > 0 || load.isTooLong || load.account.file.rows === 0;
    async function* whole(): AsyncGenerator<PackedExamples, void, undefined> {
      yield* load.examples(encoder);
      if (hasFaults()) throw notKept;
    }
    try {
      await cache.write(entry, whole(), () => load.account);
    } catch (error) {
      if (!isHeirloomError(error)) throw error;
      if (error === notKept) {
        this.#add(file, load, load.account, joinPacked([]));
        return true;
      }
      if (error.code !== "WRITE_FAILED" && error.code !== "DISK_FULL") throw error;
      this.notes.push(`the tokens of ${file.path} were not cached: ${error.message}`);
      return false;
    }
    const written = await cache.open(entry, file.path);
    if (written === null || written === "damaged") return false;
    this.loaded.push({ path: file.path, weight: file.weight, ...written, isCached: false });
    return true;
  }

  #add(
    { path, weight }: PlannedFile,
    { problems, tooLongRows }: FileLoad,
    account: FileCounts,
    { words, lengths, rows }: PackedExamples,
  ): void {
    this.loaded.push({ path, weight, account, store: new TokenStore(path, words, lengths, rows), isCached: false });
    this.tooLongRows.push(...tooLongRows);
    for (const problem of problems) {
      const isKnown = this.problems.some(({ message, where }) => message === problem.message && where === problem.where);
      if (!isKnown) this.problems.push(problem);
    }
    if (account.file.rows > 0 || problems.length > 0) return;
    const hint = "check that data.train and data.eval name the right files";
    this.problems.push({ code: "DATA_EMPTY", message: "expected at least one row, found none", where: printable(path), hint });
  }
}
