import type { Tokenizer } from "../data/index.ts";

const REPLACEMENT = "\ufffd";
/** A character of UTF-8 lacks at most so many bytes, each of which a decoder may show as one U+FFFD. */
const MAX_MISSING_BYTES = 3;
/** Tokens that are kept at either end of a window that goes on without a whole text: more than a character has bytes. */
const KEPT_TOKENS = 8;
/** Where such a window is cut: often enough that a token costs the decoding of some twenty, whatever has come before. */
const MOST_TOKENS = 3 * KEPT_TOKENS;

/**
 * Turns tokens into text as they come. A token may end within a character; what could still become one is held back. What
 * is given out, put together, is the text of all tokens. (A byte-fallback tokenizer shows a run of bytes that is no UTF-8
 * as a whole; if a run that was UTF-8 so far goes on like that, what has gone out stays as it was.)
 */
class Detokenizer {
  readonly #tokenizer: Tokenizer;
  /** Tokens from the one before the last that was given out: a decoder looks at neighbours (blanks between words). */
  #window: number[] = [];
  /** How many of the window were given out with the last whole text. */
  #read = 0;
  #given = 0;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  push(id: number): string {
    this.#window.push(id);
    const text = this.#tokenizer.decode(this.#window);
    let end = text.length;
    while (end > this.#given && text.length - end < MAX_MISSING_BYTES && text[end - 1] === REPLACEMENT) end--;
    const fresh = text.slice(this.#given, end);
    this.#given = Math.max(this.#given, end);
    if (end === text.length) {
      this.#window = this.#window.slice(this.#read);
      this.#read = this.#window.length;
      this.#given = this.#tokenizer.decode(this.#window).length;
    } else if (this.#window.length - this.#read > MOST_TOKENS) this.#cut(text.length - this.#given);
    return fresh;
  }

  /**
   * Leaves out the middle of a window that is no UTF-8, of whose text all but the last `held` characters were given out. Its
   * first tokens stay, as a byte-fallback tokenizer judges a run of bytes from its beginning, and its last ones, which may
   * still become a character.
   */
  #cut(held: number): void {
    this.#window = [...this.#window.slice(0, this.#read + KEPT_TOKENS), ...this.#window.slice(-KEPT_TOKENS)];
    this.#given = this.#tokenizer.decode(this.#window).length - held;
  }

  /** What is held back. */
  end(): string {
    const rest = this.#tokenizer.decode(this.#window).slice(this.#given);
    this.#given += rest.length;
    return rest;
  }
}

/** How many characters at the end of `text` may be the beginning of one of `stops`. */
function possibleStart(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (stop.startsWith(text.slice(text.length - length))) longest = length;
    }
  }
  return longest;
}

/** The text of a completion as it comes: whole characters, up to where a stop text begins. */
export class TextStream {
  readonly #detokenizer: Detokenizer;
  readonly #stops: readonly string[];
  #held = "";
  #stopped = false;

  /** @param stops empty ones are ignored */
  constructor(tokenizer: Tokenizer, stops: readonly string[]) {
    this.#detokenizer = new Detokenizer(tokenizer);
    this.#stops = stops.filter((stop) => stop !== "");
  }

  /** True once a stop text has come. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Takes a token; returns the text that is certain now. */
  push(id: number): string {
    return this.#take(this.#detokenizer.push(id), false);
  }

  /** Returns the rest: nothing more comes. */
  end(): string {
    return this.#take(this.#detokenizer.end(), true);
  }

  #take(fresh: string, isLast: boolean): string {
    if (this.#stopped) return "";
    const text = this.#held + fresh;
    const first = this.#stops.reduce((least, stop) => {
      const found = text.indexOf(stop);
      return found >= 0 && found < least ? found : least;
    }, Number.POSITIVE_INFINITY);
    if (first < Number.POSITIVE_INFINITY) {
      this.#stopped = true;
      this.#held = "";
      return text.slice(0, first);
    }
    const held = isLast ? 0 : possibleStart(text, this.#stops);
    this.#held = text.slice(text.length - held);
    return text.slice(0, text.length - held);
  }
}
