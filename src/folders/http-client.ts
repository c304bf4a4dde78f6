import { formatBytes, HeirloomError } from "../core/index.ts";

/** How a server is spoken to. */
export interface HttpOptions {
  /** Sent as `Authorization: Bearer`, to the endpoint only; never part of a message. */
  readonly token?: string | undefined;
  /** @defaultValue the global `fetch` */
  readonly fetch?: typeof fetch;
  /** Longest wait for the next byte, in milliseconds. @defaultValue 20,000 */
  readonly stallMs?: number;
  /** Further tries after a fault that may pass. @defaultValue 3 */
  readonly retries?: number;
  /** Wait before the first further try, in milliseconds; it doubles. @defaultValue 500 */
  readonly waitMs?: number;
}

/** A whole response. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);
/** A server may ask for longer; nobody waits that long at a terminal. */
const MAX_WAIT_MS = 10_000;
/** Slower than any modem: a server that sends a byte now and then would hold a command for hours. */
const MIN_BYTES_PER_MS = 1;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A fault after which the same request may well succeed. */
class PassingFault extends Error {
  readonly waitMs: number;
  constructor(message: string, waitMs = 0) {
    super(message);
    this.waitMs = waitMs;
  }
}

function retryAfter(headers: Headers): number {
  const seconds = Number(headers.get("retry-after"));
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(MAX_WAIT_MS, seconds * 1000) : 0;
}

/**
 * Reads a body up to `maxBytes`.
 *
 * @param alive is told how many bytes have come; throws if they come too slowly
 */
async function readBody(response: Response, maxBytes: number, alive: (bytes: number) => void, where: string): Promise<Uint8Array> {
  const reader = response.body?.getReader();
  if (reader === undefined) return new Uint8Array(0);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const chunk = read.value as Uint8Array;
    size += chunk.byteLength;
    alive(size);
    if (size > maxBytes) {
      await reader.cancel();
      throw new HeirloomError("NETWORK", `expected at most ${formatBytes(maxBytes)}, and the server went on sending`, { where });
    }
    chunks.push(chunk);
  }
  const body = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.byteLength;
  }
  return body;
}

/** Requests with limits on time and size; says what went wrong without saying the token. */
export class HttpClient {
  readonly #options: HttpOptions;

  constructor(options: HttpOptions) {
    this.#options = options;
  }

  /** Whether requests carry a token. */
  get hasToken(): boolean {
    return this.#options.token !== undefined && this.#options.token !== "";
  }

  /**
   * Fetches an address whole.
   *
   * @param where what to call it in messages
   * @param accept decides by status and headers whether the body is wanted; throws if not
   * @throws NETWORK
   */
  async get(
    url: string,
    where: string,
    headers: Readonly<Record<string, string>>,
    maxBytes: number,
    accept: (answer: Omit<HttpAnswer, "body">) => void,
  ): Promise<HttpAnswer> {
    const { retries = 3, waitMs = 500 } = this.#options;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#once(url, where, headers, maxBytes, accept);
      } catch (error) {
        if (error instanceof HeirloomError) throw error;
        const reason = error instanceof PassingFault ? error.message : causeOf(error);
        if (attempt >= retries) {
          // The cause is not passed on: it may repeat what was sent.
          throw new HeirloomError("NETWORK", `${reason} (${attempt + 1} tries)`, {
            where,
            hint: "check the connection, or download the files and name their folder",
          });
        }
        await sleep(Math.min(MAX_WAIT_MS, Math.max(error instanceof PassingFault ? error.waitMs : 0, waitMs * 2 ** attempt)));
      }
    }
  }

  async #once(
    url: string,
    where: string,
    headers: Readonly<Record<string, string>>,
    maxBytes: number,
    accept: (answer: Omit<HttpAnswer, "body">) => void,
  ): Promise<HttpAnswer> {
    const { token, fetch: send = fetch, stallMs = 20_000 } = this.#options;
    const stop = new AbortController();
    const started = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const alive = (bytes: number): void => {
      clearTimeout(timer);
      const late = performance.now() - started - stallMs;
      if (late > bytes / MIN_BYTES_PER_MS)
        stop.abort(new PassingFault(`the server sent only ${bytes} bytes in ${((late + stallMs) / 1000).toFixed(0)} s`));
      timer = setTimeout(() => stop.abort(new PassingFault(`the server sent nothing for ${stallMs / 1000} s`)), stallMs);
    };
    alive(0);
    try {
      const authorization: Record<string, string> = token === undefined || token === "" ? {} : { authorization: `Bearer ${token}` };
      const response = await send(url, { headers: { ...headers, ...authorization }, signal: stop.signal });
      if (PASSING.has(response.status)) {
        await response.body?.cancel();
        throw new PassingFault(`the server answered ${response.status}`, retryAfter(response.headers));
      }
      const { status, headers: answered } = response;
      try {
        accept({ status, headers: answered });
      } catch (error) {
        await response.body?.cancel();
        throw error;
      }
      return { status, headers: answered, body: await readBody(response, maxBytes, alive, where) };
    } catch (error) {
      if (error instanceof HeirloomError) throw error;
      throw stop.signal.aborted ? (stop.signal.reason as unknown) : error;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** What `fetch` hides behind "fetch failed". */
function causeOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "the server's name could not be found";
  if (code === "ECONNREFUSED") return "the server refused the connection";
  return `the connection broke (${code === "" ? (cause instanceof Error ? cause.name : "unknown") : code})`;
}
