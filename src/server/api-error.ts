import { type ErrorCode, isHeirloomError } from "../core/index.ts";

/** Statuses that requests are refused with; 499 is only ever logged, as the client is gone. */
export type ErrorStatus = 400 | 401 | 403 | 404 | 405 | 413 | 415 | 429 | 499 | 500 | 503;

/** The body of every refusal, as in OpenAI's API. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    /** Where in the request's body it lies. */
    readonly param: string | null;
    readonly code: string;
  };
}

/** What an {@link ApiError} says beside its status, code and message. */
export interface ApiErrorOptions {
  readonly param?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

/** A refusal of one request; it never leaves this folder other than as a response. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: ErrorStatus;
  readonly code: string;
  readonly param: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: ErrorStatus, code: string, message: string, { param, headers = {}, cause }: ApiErrorOptions = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.status = status;
    this.code = code;
    this.param = param ?? null;
    this.headers = headers;
  }

  get body(): ErrorBody {
    const type = this.status === 429 ? "requests" : this.status >= 500 ? "server_error" : "invalid_request_error";
    return { error: { message: this.message, type, param: this.param, code: this.code } };
  }
}

/** A value in the body that cannot be what it is. */
export function invalidValue(param: string, message: string): ApiError {
  return new ApiError(400, "invalid_value", `${param}: ${message}`, { param });
}

/** What the engine's errors mean to a client. Whatever is not here is the server's fault, and its words stay in the log. */
const MEANINGS: Partial<Record<ErrorCode, { readonly status: ErrorStatus; readonly code: string; readonly inPrompt: boolean }>> = {
  MODEL_UNKNOWN: { status: 404, code: "model_not_found", inPrompt: false },
  PROMPT_TOO_LONG: { status: 400, code: "context_length_exceeded", inPrompt: true },
  DATA_EMPTY: { status: 400, code: "invalid_value", inPrompt: true },
  CHAT_TEMPLATE_INVALID: { status: 400, code: "chat_template_invalid", inPrompt: true },
  SAMPLING_INVALID: { status: 400, code: "invalid_value", inPrompt: false },
  INTERRUPTED: { status: 503, code: "shutting_down", inPrompt: false },
};

/** Whatever was thrown, as a refusal; `promptParam` is what the prompt is called in the request. */
export function asApiError(thrown: unknown, promptParam: string): ApiError {
  if (thrown instanceof ApiError) return thrown;
  const meaning = isHeirloomError(thrown) ? MEANINGS[thrown.code] : undefined;
  if (!isHeirloomError(thrown) || meaning === undefined) {
    const code = isHeirloomError(thrown) ? thrown.code.toLowerCase() : "internal";
    return new ApiError(500, code, `the server failed to answer (${code}); its log says more`, { cause: thrown });
  }
  // Without `where` (it may be a path on this machine) and hints (they are for the command line).
  const message = thrown.problems.map((problem) => problem.message).join("; ");
  return new ApiError(meaning.status, meaning.code, message, { ...(meaning.inPrompt ? { param: promptParam } : {}), cause: thrown });
}
