import { createHash } from "node:crypto";
import { openSync } from "node:fs";
import { mkdir, readdir, rm, stat, utimes } from "node:fs/promises";
import { homedir } from "node:os";
import { extname, join } from "node:path";
import { isHeirloomError } from "../core/index.ts";
import { type FileSource, openFile, sha256, writeFileAtomic } from "../core/node/index.ts";
import type { EncoderSetup } from "./encoder.ts";
import { encoderIdentity } from "./encoder-version.ts";
import type { FileCounts, FileOptions } from "./load-file.ts";
import { type PackedExamples, TokenStore, type WordSource } from "./token-store.ts";

/**
 * An entry of the cache, little-endian: the magic; the words of all examples (see `token-store.ts`); then 32-bit lengths and
 * row numbers, one of each an example; then JSON with the account of the file; then the number of words and of examples and
 * the bytes of the JSON, 64 bits each; then the SHA-256 of everything before it.
 */
const MAGIC = new TextEncoder().encode("HLTOKENS");
const TAIL_BYTES = 24;
const HASH_BYTES = 32;
/** Entries of up to so many bytes are held in memory, which training reads faster than a file: 60 million tokens. */
const MAX_MEMORY_BYTES = 256 * 1024 * 1024;
/** Tokens cost minutes to make again at most, and a run is seldom repeated after a month. */
const MAX_AGE_MS = 30 * 24 * 3600 * 1000;
/** Every other length, form or selection of the same rows is an entry of its own: 5 billion tokens, then the longest unused go. */
const MAX_CACHE_BYTES = 20 * 2 ** 30;
/** No file takes a day to write. */
const MAX_TEMPORARY_AGE_MS = 24 * 3600 * 1000;
const CHUNK_BYTES = 4 * 1024 * 1024;
/** An account is some hundred bytes, and the names of unused fields. */
const MAX_ACCOUNT_BYTES = 64 * 1024 * 1024;

/** The folder of the cache: `HEIRLOOM_CACHE`, else that of the XDG rules; null if it is switched off with `HEIRLOOM_CACHE=off`. */
export function tokenCacheFolder(env: Readonly<Record<string, string | undefined>> = process.env): string | null {
  const { HEIRLOOM_CACHE: own = "", XDG_CACHE_HOME: xdg = "" } = env;
  if (own === "off" || own === "0") return null;
  if (own !== "") return join(own, "tokens");
  return join(xdg === "" ? join(homedir(), ".cache") : xdg, "heirloom", "tokens");
}

async function hashOf(file: FileSource, bytes = file.size): Promise<string> {
  const hash = createHash("sha256");
  for (let at = 0; at < bytes; at += CHUNK_BYTES) hash.update(await file.read(at, Math.min(bytes, at + CHUNK_BYTES)));
  return hash.digest("hex");
}

/** What of the present the tokens depend on: nothing, the day, or (a template that prints hours) the second. */
function clockOf({ template: { source }, now }: EncoderSetup): string {
  if (source?.includes("strftime_now") !== true) return "none";
  const day = `${now.getFullYear()}-${now.getMonth() + 1}-${now.getDate()}`;
  return /%(?![YymdAaBb])[A-Za-z]/.test(source.replaceAll("{%", "")) ? `${day} ${now.toTimeString()}` : day;
}

/** A cache of the tokens of files, by what they were made from. */
export class TokenCache {
  readonly #folder: string;
  readonly #setup: string;

  constructor(folder: string, setup: EncoderSetup) {
    this.#folder = folder;
    const { tokenizer, template, options } = setup;
    this.#setup = sha256(JSON.stringify([encoderIdentity(), tokenizer.files, template.source, options, clockOf(setup)]));
  }

  /** Where the tokens of a file lie, whether they do or not. */
  async entry(path: string, options: FileOptions): Promise<string> {
    const file = await openFile(path);
    try {
      // The name's ending says how the file is read.
      const key = sha256(JSON.stringify([this.#setup, await hashOf(file), extname(path).toLowerCase(), options]));
      return join(this.#folder, key.slice(0, 2), `${key}.tokens`);
    } finally {
      await file.close();
    }
  }

  /**
   * The tokens of an entry, checked to the last byte.
   * @returns null if there is no entry; "damaged" if there was one that was not whole, which is then removed
   */
  async open(entry: string, path: string): Promise<{ store: TokenStore; account: FileCounts } | "damaged" | null> {
    let file: FileSource;
    try {
      file = await openFile(entry);
    } catch (error) {
      if (!isHeirloomError(error)) throw error;
      return null;
    }
    try {
      const found = await readEntry(file, entry, path);
      if (found !== null) {
        // So that a clean-up by age spares what is used.
        const now = new Date();
        await utimes(entry, now, now).catch(() => undefined);
        return found;
      }
    } finally {
      await file.close();
    }
    await rm(entry, { force: true }).catch(() => undefined);
    return "damaged";
  }

  /** Writes an entry whole or not at all, as its examples come. */
  async write(entry: string, examples: AsyncIterable<PackedExamples>, account: () => FileCounts): Promise<void> {
    await mkdir(join(entry, ".."), { recursive: true }).catch(() => undefined); // the write says what is wrong
    await writeFileAtomic(entry, encodeEntry(examples, account));
    await this.#prune(entry).catch(() => undefined); // another process may be at it
  }

  /** Removes what has not been used for a month or is too much, and what a killed process left half-written; never `kept`. */
  async #prune(kept: string): Promise<void> {
    const entries: { readonly path: string; readonly size: number; readonly usedAt: number }[] = [];
    for (const shelf of await readdir(this.#folder)) {
      if (!/^[0-9a-f]{2}$/.test(shelf)) continue;
      for (const name of await readdir(join(this.#folder, shelf))) {
        const maxAge = name.endsWith(".tokens") ? MAX_AGE_MS : name.endsWith(".tmp") ? MAX_TEMPORARY_AGE_MS : Infinity;
        const path = join(this.#folder, shelf, name);
        const { mtimeMs: usedAt, size } = await stat(path);
        if (Date.now() - usedAt > maxAge) await rm(path, { force: true });
        else if (name.endsWith(".tokens") && path !== kept) entries.push({ path, size, usedAt });
      }
    }
    let bytes = (await stat(kept)).size;
    for (const { path, size } of entries.sort((a, b) => b.usedAt - a.usedAt)) {
      bytes += size;
      if (bytes > MAX_CACHE_BYTES) await rm(path, { force: true });
    }
  }
}

const bytesOf = (array: Int32Array | Uint32Array): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

async function* encodeEntry(
  examples: AsyncIterable<PackedExamples>,
  account: () => FileCounts,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash("sha256");
  const hashed = (bytes: Uint8Array): Uint8Array => {
    hash.update(bytes);
    return bytes;
  };
  yield hashed(MAGIC);
  const lengths: Uint32Array[] = [];
  const rows: Uint32Array[] = [];
  let [words, count] = [0, 0];
  for await (const part of examples) {
    lengths.push(part.lengths);
    rows.push(part.rows);
    words += part.words.length;
    count += part.lengths.length;
    yield hashed(bytesOf(part.words));
  }
  for (const index of [...lengths, ...rows]) yield hashed(bytesOf(index));
  const json = new TextEncoder().encode(JSON.stringify(account()));
  yield hashed(json);
  yield hashed(new Uint8Array(BigUint64Array.of(BigInt(words), BigInt(count), BigInt(json.length)).buffer));
  yield hash.digest();
}

async function readEntry(file: FileSource, entry: string, path: string): Promise<{ store: TokenStore; account: FileCounts } | null> {
  const end = file.size - HASH_BYTES;
  if (end < MAGIC.length + TAIL_BYTES) return null;
  const expected = Buffer.from(await file.read(end, file.size)).toString("hex");
  if ((await hashOf(file, end)) !== expected) return null;
  const tail = new DataView((await file.read(end - TAIL_BYTES, end)).buffer);
  const [words = 0, count = 0, jsonBytes = 0] = [0, 8, 16].map((at) => Number(tail.getBigUint64(at, true)));
  const indexAt = MAGIC.length + 4 * words;
  const jsonAt = indexAt + 8 * count;
  if (jsonAt + jsonBytes + TAIL_BYTES !== end || jsonBytes > MAX_ACCOUNT_BYTES) return null;
  const index = new Uint32Array((await file.read(indexAt, jsonAt)).buffer);
  const account = JSON.parse(new TextDecoder().decode(await file.read(jsonAt, jsonAt + jsonBytes))) as FileCounts;
  let source: WordSource;
  if (4 * words <= MAX_MEMORY_BYTES) source = new Int32Array((await file.read(MAGIC.length, indexAt)).buffer);
  // Kept open as long as the process lives: a file that is removed meanwhile stays readable.
  else source = { descriptor: openSync(entry, "r"), firstByte: MAGIC.length };
  return { store: new TokenStore(path, source, index.subarray(0, count), index.subarray(count)), account };
}
