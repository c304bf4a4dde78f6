import { type ErrorCode, ProblemList } from "../core/index.ts";

/** A value as a message shows it: JSON, cut where it gets long. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** True for a plain JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Reads typed fields of a configuration object. A wrong value is noted in
 * `problems` and replaced by one of the right type, so that reading goes on and
 * all problems are reported together.
 */
export class FieldReader {
  readonly values: Readonly<Record<string, unknown>>;
  readonly where: string;
  readonly problems: ProblemList;
  /** Prefix of keys in messages, for a nested object. */
  readonly #prefix: string;

  constructor(values: Readonly<Record<string, unknown>>, where: string, problems = new ProblemList(), prefix = "") {
    this.values = values;
    this.where = where;
    this.problems = problems;
    this.#prefix = prefix;
  }

  /** A nested object that shares the list of problems; null if absent or null. */
  object(key: string): FieldReader | null {
    const value = this.values[key];
    if (value === undefined || value === null) return null;
    if (isRecord(value)) return new FieldReader(value, this.where, this.problems, `${this.#prefix}${key}.`);
    this.invalid(key, "an object", shown(value));
    return null;
  }

  /** A whole number from 1 to `max`; `fallback` null means that the key is required. */
  count(key: string, fallback: number | null, max: number): number {
    const value = this.values[key] ?? fallback;
    if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= max) return value;
    this.invalid(key, `a whole number from 1 to ${max}`, value === null ? "nothing" : shown(value));
    return 1;
  }

  /** A positive whole number or null; an absent key gives `fallback`. */
  optionalCount(key: string, fallback: number | null): number | null {
    const value = this.values[key];
    if (value === undefined) return fallback;
    if (value === null) return null;
    if (typeof value === "number" && Number.isInteger(value) && value >= 1) return value;
    this.invalid(key, "a positive whole number or null", shown(value));
    return null;
  }

  /** A whole number of at least 0. */
  wholeNumber(key: string, fallback: number): number {
    const value = this.values[key] ?? fallback;
    if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
    this.invalid(key, "a whole number", shown(value));
    return fallback;
  }

  /** A finite number above 0; `fallback` null means that the key is required. */
  positive(key: string, fallback: number | null): number {
    const value = this.values[key] ?? fallback;
    if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
    this.invalid(key, "a number above 0", value === null ? "nothing" : shown(value));
    return 1;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.values[key] ?? fallback;
    if (typeof value === "boolean") return value;
    this.invalid(key, "true or false", shown(value));
    return fallback;
  }

  optionalString(key: string): string | null {
    const value = this.values[key] ?? null;
    if (value === null || typeof value === "string") return value;
    this.invalid(key, "a string", shown(value));
    return null;
  }

  optionalStrings(key: string): string[] | null {
    const value = this.values[key] ?? null;
    if (value === null) return null;
    if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
    this.invalid(key, "a list of strings", shown(value));
    return null;
  }

  /** Token ids: a number, a list of them or nothing; negative ones mean none. */
  tokenIds(key: string, fallback: number | null): number[] {
    const value = this.values[key] === undefined ? fallback : this.values[key];
    const ids: readonly unknown[] = value === null ? [] : Array.isArray(value) ? value : [value];
    if (ids.every((id): id is number => typeof id === "number" && Number.isInteger(id))) return ids.filter((id) => id >= 0);
    this.invalid(key, "a token id, a list of them or null", shown(value));
    return [];
  }

  invalid(key: string, expected: string, found: string): void {
    this.problems.add("MODEL_CONFIG_INVALID", `${this.#prefix}${key}: expected ${expected}, found ${found}`, {
      where: this.where,
      details: { key: `${this.#prefix}${key}` },
    });
  }

  /** Notes a feature that is known but not implemented. */
  unsupported(what: string, details: Record<string, unknown>, code: ErrorCode = "ARCHITECTURE_UNSUPPORTED"): void {
    this.problems.add(code, `${what} is not supported`, { where: this.where, details });
  }
}
