import { type ByteSource, formatBytes, HeirloomError } from "../core/index.ts";
import type { HttpAnswer, HttpClient } from "./http-client.ts";

/**
 * Bytes fetched by the first read of a file: the header of an adapter with full
 * copies takes 60 KB, that of a shard of a large model up to 200.
 */
const HEAD_BYTES = 1 << 18;
/** A file up to this size may come whole from a server that knows no ranges. */
const MAX_WHOLE_BYTES = 1 << 20;

const CONTENT_RANGE = /^bytes (\d+)-(\d+)\/(\d+|\*)$/;

/** Turns a status that is no content into a typed error. */
export function refuseStatus(status: number, hasToken: boolean, where: string): void {
  if (status === 200 || status === 206) return;
  if (status === 404) {
    throw new HeirloomError("FILE_MISSING", "the server has no such repository, revision or file", {
      where,
      hint: hasToken ? "check the address" : "check the address; a private one needs a token in HF_TOKEN",
    });
  }
  if (status === 401 || status === 403) {
    throw new HeirloomError("NETWORK", `the server refused access (${status})`, {
      where,
      hint: hasToken
        ? "the token in use may not read it: ask for access on the repository's page, or use another one"
        : "check the address; if it is private or gated, put a token that may read it into HF_TOKEN",
    });
  }
  throw new HeirloomError("NETWORK", `expected content, and the server answered ${status}`, { where });
}

/** A {@link ByteSource} over HTTP ranges: nothing is fetched that is not asked for, but for the head. */
export class HttpSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #url: string;
  readonly #client: HttpClient;
  #head: Promise<Uint8Array> | null = null;

  /** @param size what the listing says; a server that says otherwise is refused */
  constructor(name: string, url: string, size: number, client: HttpClient) {
    this.name = name;
    this.size = size;
    this.#url = url;
    this.#client = client;
  }

  async read(start: number, end: number): Promise<Uint8Array> {
    if (start < 0 || end < start || end > this.size) {
      throw new HeirloomError("FILE_UNREADABLE", `bytes ${start} to ${end} were asked of a file of ${this.size} bytes`, {
        where: this.name,
      });
    }
    if (start === end) return new Uint8Array(0);
    const headEnd = Math.min(HEAD_BYTES, this.size);
    if (end > headEnd) return this.#fetch(start, end);
    this.#head ??= this.#fetch(0, headEnd);
    return (await this.#head).slice(start, end);
  }

  async #fetch(start: number, end: number): Promise<Uint8Array> {
    const range = { range: `bytes=${start}-${end - 1}`, "accept-encoding": "identity" };
    const { status, body } = await this.#client.get(
      this.#url,
      this.name,
      range,
      Math.max(end - start, this.#wholeBytes(start, end)),
      (answer) => this.#accept(answer, start, end),
    );
    const wanted = status === 206 ? end - start : this.size;
    if (body.byteLength !== wanted) {
      throw new HeirloomError("NETWORK", `expected ${wanted} bytes, and the server sent ${body.byteLength}`, { where: this.name });
    }
    return status === 206 ? body : body.slice(start, end);
  }

  /** Bytes of the whole file, if taking all of it is no waste. */
  #wholeBytes(start: number, end: number): number {
    return this.size <= MAX_WHOLE_BYTES || end - start === this.size ? this.size : 0;
  }

  #accept({ status, headers }: Omit<HttpAnswer, "body">, start: number, end: number): void {
    const where = this.name;
    if (status === 416) {
      throw new HeirloomError("NETWORK", `the listing says ${this.size} bytes, and the server has no bytes ${start} to ${end}`, { where });
    }
    refuseStatus(status, this.#client.hasToken, where);
    if (status === 200) {
      if (this.#wholeBytes(start, end) > 0) return;
      throw new HeirloomError(
        "NETWORK",
        `expected bytes ${start} to ${end}, and the server ignores ranges and sends all ${formatBytes(this.size)}`,
        {
          where,
          hint: "download the file and name its folder",
        },
      );
    }
    const [, from, to, total] = CONTENT_RANGE.exec(headers.get("content-range") ?? "") ?? [];
    if (Number(from) !== start || Number(to) !== end - 1) {
      throw new HeirloomError("NETWORK", `expected bytes ${start} to ${end}, and the server sends others`, { where });
    }
    if (total !== "*" && Number(total) !== this.size) {
      throw new HeirloomError("NETWORK", `the listing says ${this.size} bytes, the server ${total}`, { where });
    }
  }
}
