import { anyChar, boundaryTest, charRange, classEscape, endTest, startTest } from "./pattern-chars.ts";
import { type CharTest, fixedWidth, type PatternFlags, type PatternNode, patternError } from "./pattern-nodes.ts";

// Limits that no pattern in an adapter_config.json comes near (the longest seen
// has 900 characters and nests 6 deep); they keep the parser's stack and time small.
const MAX_PATTERN_LENGTH = 20_000;
const MAX_NESTING = 100;

const NO_FLAGS: PatternFlags = { ignoreCase: false, multiline: false, dotAll: false, verbose: false, ascii: false };
const FLAG_LETTERS: Readonly<Record<string, keyof PatternFlags>> = {
  i: "ignoreCase",
  m: "multiline",
  s: "dotAll",
  x: "verbose",
  a: "ascii",
};
const CONTROL_ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", f: "\f", v: "\v", a: "\x07" };

/** Parses a pattern in the syntax of Python's `re` module (3.11 and later). */
export class PatternParser {
  readonly #pattern: string;
  readonly #chars: readonly string[];
  #at = 0;
  #flags = NO_FLAGS;
  #depth = 0;

  constructor(pattern: string) {
    this.#pattern = pattern;
    this.#chars = Array.from(pattern);
  }

  parse(): PatternNode {
    if (this.#chars.length > MAX_PATTERN_LENGTH) this.#fail(`it is longer than ${MAX_PATTERN_LENGTH} characters`);
    this.#globalFlags();
    const node = this.#choice();
    if (this.#at < this.#chars.length) this.#fail("it has an unbalanced parenthesis");
    return node;
  }

  #fail(reason: string): never {
    throw patternError(this.#pattern, reason);
  }

  #peek(text: string): boolean {
    return Array.from(text).every((char, i) => this.#chars[this.#at + i] === char);
  }

  #take(text: string): boolean {
    if (!this.#peek(text)) return false;
    this.#at += text.length;
    return true;
  }

  #next(missing: string): string {
    const char = this.#chars[this.#at++];
    return char ?? this.#fail(missing);
  }

  /** Characters up to `end`, which is taken too. */
  #until(end: string, missing: string): string {
    const stop = this.#chars.indexOf(end, this.#at);
    if (stop < 0) this.#fail(missing);
    const text = this.#chars.slice(this.#at, stop).join("");
    this.#at = stop + 1;
    return text;
  }

  /** `(?im)` at the very start sets flags for the whole pattern. */
  #globalFlags(): void {
    for (;;) {
      const head = /^\(\?([a-zA-Z]+)\)/.exec(this.#chars.slice(this.#at, this.#at + 20).join(""));
      if (head?.[1] === undefined) return;
      this.#at += head[0].length;
      this.#flags = this.#withFlags(head[1], "");
    }
  }

  #withFlags(on: string, off: string): PatternFlags {
    const flags = { ...this.#flags };
    for (const [letters, value] of [
      [on, true],
      [off, false],
    ] as const) {
      for (const letter of letters) {
        const name = FLAG_LETTERS[letter];
        if (name !== undefined) flags[name] = value;
        else if (letter === "u" && value) flags.ascii = false;
        else this.#fail(`it uses the flag "${letter}"`);
      }
    }
    return flags;
  }

  #choice(): PatternNode {
    if (++this.#depth > MAX_NESTING) this.#fail(`its groups nest deeper than ${MAX_NESTING}`);
    const options = [this.#sequence()];
    while (this.#take("|")) options.push(this.#sequence());
    this.#depth--;
    return options.length === 1 ? (options[0] as PatternNode) : { kind: "choice", options };
  }

  #skipVerbose(): void {
    while (this.#flags.verbose) {
      const char = this.#chars[this.#at];
      if (char === "#") {
        const stop = this.#chars.indexOf("\n", this.#at);
        this.#at = stop < 0 ? this.#chars.length : stop + 1;
      } else if (char !== undefined && " \t\n\r\f\v".includes(char)) this.#at++;
      else return;
    }
  }

  #sequence(): PatternNode {
    const items: PatternNode[] = [];
    for (;;) {
      this.#skipVerbose();
      const char = this.#chars[this.#at];
      if (char === undefined || char === "|" || char === ")") return { kind: "sequence", items };
      const start = this.#at;
      const atom = this.#atom();
      if (atom === null) continue; // a comment
      this.#skipVerbose();
      items.push(this.#quantified(atom, this.#at > start));
    }
  }

  #quantified(item: PatternNode, present: boolean): PatternNode {
    const bounds = this.#quantifier();
    if (bounds === null) return item;
    if (!present || item.kind === "position") this.#fail("it has a quantifier with nothing to repeat");
    const lazy = this.#take("?");
    const possessive = !lazy && this.#take("+");
    const repeat: PatternNode = { kind: "repeat", item, ...bounds, lazy };
    this.#skipVerbose();
    if (this.#quantifier() !== null) this.#fail("it has a quantifier upon a quantifier");
    return possessive ? { kind: "atomic", item: repeat } : repeat;
  }

  /** `*`, `+`, `?` or `{m,n}`; a brace that is no quantifier is left, as Python takes it literally. */
  #quantifier(): { min: number; max: number } | null {
    if (this.#take("*")) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.#take("+")) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (this.#take("?")) return { min: 0, max: 1 };
    if (!this.#peek("{")) return null;
    const found = /^\{(?!\})([0-9]*)(,?)([0-9]*)\}/.exec(this.#chars.slice(this.#at, this.#at + 64).join(""));
    if (found === null) return null;
    const [text, low = "", comma, high = ""] = found;
    this.#at += text.length;
    const min = low === "" ? 0 : Number(low);
    const max = comma === "" ? min : high === "" ? Number.POSITIVE_INFINITY : Number(high);
    if (max < min) this.#fail(`its repeat ${text} has a maximum below its minimum`);
    return { min, max };
  }

  #atom(): PatternNode | null {
    const char = this.#next("it ends early");
    switch (char) {
      case ".":
        return { kind: "char", test: anyChar(this.#flags) };
      case "^":
        return { kind: "position", test: startTest(this.#flags) };
      case "$":
        return { kind: "position", test: endTest(this.#flags) };
      case "[":
        return { kind: "char", test: this.#set() };
      case "(":
        return this.#group();
      case "\\":
        return this.#escape();
      case "*":
      case "+":
      case "?":
        return this.#fail("it has a quantifier with nothing to repeat");
      default:
        return { kind: "char", test: charRange(char, char, this.#flags) };
    }
  }

  #group(): PatternNode | null {
    if (!this.#take("?")) return this.#groupBody(this.#flags);
    if (this.#take("#")) {
      this.#until(")", "it has a comment without end");
      return null;
    }
    if (this.#take(":")) return this.#groupBody(this.#flags);
    if (this.#take(">")) return { kind: "atomic", item: this.#groupBody(this.#flags) };
    if (this.#take("P<")) {
      const name = this.#until(">", "it has a group name without end");
      if (!/^[\p{L}_][\p{L}\p{N}_]*$/u.test(name)) this.#fail(`it has the bad group name "${name}"`);
      return this.#groupBody(this.#flags);
    }
    if (this.#take("P=")) this.#fail("it uses a backreference to a named group");
    if (this.#take("(")) this.#fail("it uses a conditional group");
    for (const [mark, behind, negative] of [
      ["=", false, false],
      ["!", false, true],
      ["<=", true, false],
      ["<!", true, true],
    ] as const) {
      if (this.#take(mark)) return this.#look(behind, negative);
    }
    return this.#flaggedGroup();
  }

  #look(behind: boolean, negative: boolean): PatternNode {
    const item = this.#groupBody(this.#flags);
    if (behind && fixedWidth(item) === null) this.#fail("it looks behind at text of varying length");
    return { kind: "look", item, behind, negative };
  }

  #flaggedGroup(): PatternNode {
    const found = /^([a-zA-Z]*)(?:-([a-zA-Z]+))?([:)])/.exec(this.#chars.slice(this.#at, this.#at + 20).join(""));
    if (found === null) return this.#fail(`it uses the extension "(?${this.#chars[this.#at] ?? ""}"`);
    const [text, on = "", off = "", end] = found;
    if (end === ")") this.#fail("it sets flags for all of the pattern elsewhere than at its start");
    this.#at += text.length;
    return this.#groupBody(this.#withFlags(on, off));
  }

  #groupBody(flags: PatternFlags): PatternNode {
    const outer = this.#flags;
    this.#flags = flags;
    const node = this.#choice();
    this.#flags = outer;
    if (!this.#take(")")) this.#fail("it has a group without end");
    // A group is a unit: an inner repeat may be repeated again.
    return { kind: "sequence", items: [node] };
  }

  #escape(): PatternNode {
    const letter = this.#next("it ends in a backslash");
    const charClass = classEscape(letter, this.#flags);
    if (charClass !== null) return { kind: "char", test: charClass };
    if (letter === "A") return { kind: "position", test: (_text, at) => at === 0 };
    if (letter === "Z") return { kind: "position", test: (text, at) => at === text.length };
    if (letter === "b" || letter === "B") return { kind: "position", test: boundaryTest(letter === "b", this.#flags) };
    if (/[1-9]/.test(letter) && !/^[0-3][0-7]{2}/.test(letter + this.#chars.slice(this.#at, this.#at + 2).join(""))) {
      this.#fail(`it uses the backreference \\${letter}`);
    }
    const char = this.#literalEscape(letter);
    return { kind: "char", test: charRange(char, char, this.#flags) };
  }

  #literalEscape(letter: string): string {
    const control = CONTROL_ESCAPES[letter];
    if (control !== undefined) return control;
    const digits = { x: 2, u: 4, U: 8 }[letter];
    if (digits !== undefined) {
      const code = this.#chars.slice(this.#at, this.#at + digits).join("");
      if (!new RegExp(`^[0-9a-fA-F]{${digits}}$`).test(code) || Number.parseInt(code, 16) > 0x10ffff)
        this.#fail(`it has the bad escape \\${letter}${code}`);
      this.#at += digits;
      return String.fromCodePoint(Number.parseInt(code, 16));
    }
    if (/[0-7]/.test(letter)) {
      const octal = /^[0-7]{0,2}/.exec(this.#chars.slice(this.#at, this.#at + 2).join(""))?.[0] ?? "";
      this.#at += octal.length;
      return String.fromCodePoint(Number.parseInt(letter + octal, 8));
    }
    if (/[0-9A-Za-z]/.test(letter)) this.#fail(`it uses the escape \\${letter}`);
    return letter;
  }

  /** A set after its `[`: as in Python, a `]` that comes first is literal. */
  #set(): CharTest {
    const negated = this.#take("^");
    const tests: CharTest[] = [];
    for (let first = true; first || !this.#take("]"); first = false) {
      const low = this.#setMember();
      if (typeof low === "string" && this.#peek("-") && this.#chars[this.#at + 1] !== "]") {
        this.#at++;
        const high = this.#setMember();
        if (typeof high !== "string" || (high.codePointAt(0) ?? 0) < (low.codePointAt(0) ?? 0)) this.#fail("it has a bad character range");
        tests.push(charRange(low, high, this.#flags));
      } else tests.push(typeof low === "string" ? charRange(low, low, this.#flags) : low);
    }
    return (char) => tests.some((test) => test(char)) !== negated;
  }

  #setMember(): string | CharTest {
    const char = this.#next("it has a character set without end");
    if (char !== "\\") return char;
    const letter = this.#next("it ends in a backslash");
    if (letter === "b") return "\b";
    return classEscape(letter, this.#flags) ?? this.#literalEscape(letter);
  }
}
