import { HeirloomError, ProblemList } from "../../core/index.ts";
import { type GgufMetadata, type GgufValue, printable } from "../../formats/index.ts";

/** A value as a message shows it. */
function shown(entry: GgufValue | undefined): string {
  if (entry === undefined) return "nothing";
  if (entry.type === "ARRAY") return `an array of ${entry.values.length}`;
  return entry.type === "STRING" ? `"${printable(entry.value, 60)}"` : String(entry.value);
}

/**
 * Reads typed values of GGUF metadata. A wrong value is noted and replaced by one
 * of the right type, so that all problems are reported together.
 */
export class MetadataReader {
  readonly metadata: GgufMetadata;
  readonly where: string;
  readonly problems = new ProblemList();

  constructor(metadata: GgufMetadata, where: string) {
    this.metadata = metadata;
    this.where = where;
  }

  has(key: string): boolean {
    return this.metadata.has(key);
  }

  text(key: string): string | null {
    const entry = this.metadata.get(key);
    if (entry === undefined) return null;
    if (entry.type === "STRING") return entry.value;
    this.invalid(key, "a text", shown(entry));
    return null;
  }

  flag(key: string): boolean | null {
    const entry = this.metadata.get(key);
    if (entry === undefined) return null;
    if (entry.type === "BOOL") return entry.value;
    this.invalid(key, "true or false", shown(entry));
    return null;
  }

  /** A number of any type; null if the key is not there. An array of equal numbers, one for each layer, counts as that number. */
  number(key: string): number | null {
    const entry = this.metadata.get(key);
    if (entry === undefined) return null;
    if (entry.type === "ARRAY") return this.#same(key, entry.values);
    if (entry.type !== "STRING" && entry.type !== "BOOL") return entry.type === "FLOAT32" ? shortest(entry.value) : Number(entry.value);
    this.invalid(key, "a number", shown(entry));
    return null;
  }

  #same(key: string, values: readonly unknown[]): number | null {
    const [first] = values;
    if (typeof first === "number" && values.every((value) => value === first)) return first;
    this.unsupported(`${key}: values that differ by layer`);
    return null;
  }

  /** A whole number of at least 1 that must be there. */
  count(key: string): number {
    const value = this.number(key);
    if (value !== null && Number.isSafeInteger(value) && value >= 1) return value;
    this.invalid(key, "a whole number of at least 1", shown(this.metadata.get(key)));
    return 1;
  }

  /** A number above 0 that must be there. */
  positive(key: string): number {
    const value = this.number(key);
    if (value !== null && Number.isFinite(value) && value > 0) return value;
    this.invalid(key, "a number above 0", shown(this.metadata.get(key)));
    return 1;
  }

  /** A token's id: a whole number; null if it is not there, or "none" as some files write it (2³² − 1). */
  tokenId(key: string): number | null {
    const value = this.number(key);
    if (value === null || value === 0xffffffff || value === -1) return null;
    if (Number.isSafeInteger(value) && value >= 0) return value;
    this.invalid(key, "a token id", shown(this.metadata.get(key)));
    return null;
  }

  /** Texts in a row; null if the key is not there. */
  texts(key: string): readonly string[] | null {
    const entry = this.metadata.get(key);
    if (entry === undefined) return null;
    if (entry.type === "ARRAY" && entry.elementType === "STRING") return entry.values as readonly string[];
    this.invalid(key, "an array of texts", shown(entry));
    return null;
  }

  /** Numbers in a row; null if the key is not there. */
  numbers(key: string): readonly number[] | null {
    const entry = this.metadata.get(key);
    if (entry === undefined) return null;
    if (entry.type === "ARRAY" && entry.values.every((value) => typeof value === "number")) return entry.values;
    this.invalid(key, "an array of numbers", shown(entry));
    return null;
  }

  invalid(key: string, expected: string, found: string): void {
    this.problems.add("GGUF_INVALID", `${key}: expected ${expected}, found ${found}`, { where: this.where, details: { key } });
  }

  /** Notes a feature that cannot be taken over. */
  unsupported(what: string): void {
    this.problems.add("GGUF_UNSUPPORTED", `${what} cannot be imported`, { where: this.where });
  }

  /** Throws everything noted, what cannot be imported first. */
  throwIfAny(): void {
    const rank = (code: string): number => (code === "GGUF_INVALID" ? 1 : 0);
    const [first, ...rest] = [...this.problems.problems].sort((a, b) => rank(a.code) - rank(b.code));
    if (first !== undefined) throw HeirloomError.of([first, ...rest]);
  }
}

/** The shortest decimal that is this fp32: 1e-5 was written, 9.999999747378752e-6 is what the file holds. */
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const candidate = Number(value.toPrecision(digits));
    if (Math.fround(candidate) === value) return candidate;
  }
  return value;
}
