import { ERROR_CODES, type ErrorCode, type ExitCode } from "./error-codes.ts";

/** One thing that is wrong with an input. */
export interface Problem {
  readonly code: ErrorCode;
  /** What was expected and what was found, one sentence. */
  readonly message: string;
  /** File, tensor, line, key or step; as exact as is known. */
  readonly where?: string;
  /** What to do or type next. */
  readonly hint?: string;
  /** Machine-readable facts behind the message (JSON-serializable). */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** What a {@link HeirloomError} says besides its code and message. */
export interface HeirloomErrorOptions {
  readonly where?: string;
  readonly hint?: string;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/**
 * The error of everything that a user can cause or cure. It carries a stable
 * `code`, all problems of the input, and for each what to do next.
 */
export class HeirloomError extends Error {
  override readonly name: string = "HeirloomError";
  readonly code: ErrorCode;
  readonly problems: readonly [Problem, ...Problem[]];

  constructor(code: ErrorCode, message: string, options: HeirloomErrorOptions = {}) {
    super(
      options.where === undefined ? message : `${options.where}: ${message}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    const { cause: _cause, ...facts } = options;
    this.code = code;
    this.problems = [{ code, message, ...facts }];
  }

  /** One error for several problems of one input; its code is that of the first. */
  static of(problems: readonly [Problem, ...Problem[]]): HeirloomError {
    const [first] = problems;
    const text = problems.map((p) => (p.where === undefined ? p.message : `${p.where}: ${p.message}`)).join("\n");
    const error = new HeirloomError(first.code, text);
    return Object.assign(error, { problems });
  }

  get exitCode(): ExitCode {
    return ERROR_CODES[this.code].exit;
  }

  get hint(): string | undefined {
    return this.problems.find((p) => p.hint !== undefined)?.hint;
  }

  get details(): Readonly<Record<string, unknown>> {
    return this.problems[0].details ?? {};
  }

  /** The form that crosses a worker boundary and that `--json` prints. */
  toJSON(): { name: string; code: ErrorCode; message: string; problems: readonly Problem[] } {
    return { name: this.name, code: this.code, message: this.message, problems: this.problems };
  }
}

/** A broken invariant: a bug of ours, never the user's doing. */
export class InternalError extends HeirloomError {
  override readonly name = "InternalError";

  constructor(message: string, options: HeirloomErrorOptions = {}) {
    super("INTERNAL", `internal error: ${message}`, {
      hint: "this is a fault of heirloom; please report it with the command that you ran",
      ...options,
    });
  }
}

/** True for a {@link HeirloomError}, also one from another copy of the package. */
export function isHeirloomError(value: unknown): value is HeirloomError {
  return value instanceof Error && "problems" in value && "code" in value && typeof value.code === "string" && value.code in ERROR_CODES;
}

/** Collects all problems of one input, to throw them once. */
export class ProblemList {
  readonly #problems: Problem[] = [];

  add(code: ErrorCode, message: string, facts: Omit<Problem, "code" | "message"> = {}): void {
    this.#problems.push({ code, message, ...facts });
  }

  /** Takes over the problems of `error` if it is one of ours; throws anything else on. */
  absorb(error: unknown): void {
    if (!isHeirloomError(error)) throw error;
    this.#problems.push(...error.problems);
  }

  get problems(): readonly Problem[] {
    return this.#problems;
  }

  /** Throws one {@link HeirloomError} with everything collected, if there is anything. */
  throwIfAny(): void {
    const [first, ...rest] = this.#problems;
    if (first !== undefined) throw HeirloomError.of([first, ...rest]);
  }
}
