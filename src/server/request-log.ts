/** What is told of a request once it is over: never its prompt, its answer or its token. */
export interface RequestLog {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly status: number;
  /** As the client named it; null if the request got no further. */
  readonly model: string | null;
  readonly promptTokens: number | null;
  readonly completionTokens: number | null;
  readonly ms: number;
  /** `code` of the error that ended it, also where that was within a streamed answer; null: none. */
  readonly error: string | null;
}

/** A {@link RequestLog} that is being written. */
export interface LogEntry {
  status: number;
  model: string | null;
  promptTokens: number | null;
  completionTokens: number | null;
  error: string | null;
}

/** Longest foreign text in a log line. */
const MAX_SHOWN_CHARS = 100;

function short(text: string): string {
  return text.length > MAX_SHOWN_CHARS ? `${text.slice(0, MAX_SHOWN_CHARS)}…` : text;
}

/** `\u2028` and the like: JSON leaves them as they are. */
function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** One line about a request: `POST /v1/completions 200 model=a prompt=12 completion=30 345 ms`. */
export function requestLine({ method, path, status, model, promptTokens, completionTokens, ms, error }: RequestLog): string {
  return [
    method,
    // A path comes decoded: a line feed in it would be a line of the log that nobody asked for.
    /^[\x21-\x7e]*$/.test(path) ? short(path) : JSON.stringify(short(path)).replace(/[^\x20-\x7e]/g, escaped),
    String(status),
    ...(model === null ? [] : [`model=${/^[\w./:@-]+$/.test(model) ? short(model) : JSON.stringify(short(model))}`]),
    ...(promptTokens === null ? [] : [`prompt=${promptTokens}`]),
    ...(completionTokens === null ? [] : [`completion=${completionTokens}`]),
    ...(error === null ? [] : [`error=${error}`]),
    `${Math.round(ms)} ms`,
  ].join(" ");
}
