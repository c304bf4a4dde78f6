/*
 * JSON as programs write it by the thousand: strings without a backslash, whole numbers, no faults. Read straight from
 * the text; at anything else these give up, and the careful reader (json.ts) says what it is.
 */
const QUOTE = 0x22;
const SPACES: ReadonlySet<number> = new Set([0x20, 0x0a, 0x0d, 0x09]);
const NOT_PLAIN = /[\\\u0000-\u001f]/;
/** So many digits are exact in a double. */
const SAFE_DIGITS = 15;

/** Where the next thing that is no space begins. */
export function skipSpaces(text: string, at: number): number {
  let next = at;
  while (SPACES.has(text.charCodeAt(next))) next++;
  return next;
}

/** The plain string that begins with the quote at `at`; null if it is none. It ends `length + 2` later. */
export function plainString(text: string, at: number): string | null {
  if (text.charCodeAt(at) !== QUOTE) return null;
  const end = text.indexOf('"', at + 1);
  if (end < 0) return null;
  const value = text.slice(at + 1, end);
  return NOT_PLAIN.test(value) ? null : value;
}

/** Where the whole number at `at` ends; -1 if there is none, or one that a double may not hold. */
export function endOfCount(text: string, at: number): number {
  let end = at;
  for (let code = text.charCodeAt(end); code >= 0x30 && code <= 0x39; code = text.charCodeAt(++end));
  const digits = end - at;
  return digits === 0 || digits > SAFE_DIGITS || (digits > 1 && text.charCodeAt(at) === 0x30) ? -1 : end;
}

/** What lies between the braces of an object of plain strings, and where it ends. */
export interface PlainObject {
  readonly pairs: ReadonlyMap<string, string>;
  /** Behind the closing brace. */
  readonly end: number;
}

/** The object of plain strings whose brace is at `at`; null if it is another, a key comes twice, or there are more than `maxPairs`. */
export function plainObject(text: string, at: number, maxPairs: number): PlainObject | null {
  const pairs = new Map<string, string>();
  if (text[at] !== "{") return null;
  let next = skipSpaces(text, at + 1);
  if (text[next] === "}") return { pairs, end: next + 1 };
  let value: string | null = null;
  for (let count = 1; ; count++) {
    const key = plainString(text, next);
    if (key === null) return null;
    next = skipSpaces(text, next + key.length + 2);
    if (text[next] !== ":") return null;
    next = skipSpaces(text, next + 1);
    // Neighbours often have the same value: one string for all of them.
    const isSame: boolean = value !== null && text.startsWith(value, next + 1) && text.charCodeAt(next + 1 + value.length) === QUOTE;
    if (!isSame || text.charCodeAt(next) !== QUOTE) value = plainString(text, next);
    if (value === null) return null;
    pairs.set(key, value);
    if (pairs.size !== count || count > maxPairs) return null;
    next = skipSpaces(text, next + value.length + 2);
    if (text[next] === "}") return { pairs, end: next + 1 };
    if (text[next] !== ",") return null;
    next = skipSpaces(text, next + 1);
  }
}
