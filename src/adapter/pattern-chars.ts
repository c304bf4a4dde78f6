import type { CharTest, PatternFlags, PositionTest } from "./pattern-nodes.ts";

// Python's str methods, not JavaScript's classes: \s has U+001C to U+001F and
// U+0085 but not U+FEFF, \d and \w are Unicode unless the flag `a` is set.
const SPACE = /^[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]$/u;
const SPACE_ASCII = /^[\t-\r ]$/u;
const DIGIT = /^\p{Nd}$/u;
const DIGIT_ASCII = /^[0-9]$/u;
const WORD = /^[\p{L}\p{N}_]$/u;
const WORD_ASCII = /^[0-9A-Za-z_]$/u;

/** The class that `\d`, `\s`, `\w` or one of their complements stands for, or null. */
export function classEscape(letter: string, flags: PatternFlags): CharTest | null {
  const expression = {
    d: flags.ascii ? DIGIT_ASCII : DIGIT,
    s: flags.ascii ? SPACE_ASCII : SPACE,
    w: flags.ascii ? WORD_ASCII : WORD,
  }[letter.toLowerCase()];
  if (expression === undefined) return null;
  const wanted = letter === letter.toLowerCase();
  return (char) => expression.test(char) === wanted;
}

/** Characters from `first` to `last`, in any case if the flag `i` is set. */
export function charRange(first: string, last: string, flags: PatternFlags): CharTest {
  const low = first.codePointAt(0) ?? 0;
  const high = last.codePointAt(0) ?? 0;
  const inside = (char: string) => {
    const code = char.codePointAt(0) ?? -1;
    return code >= low && code <= high;
  };
  return flags.ignoreCase ? (char) => inside(char) || inside(char.toLowerCase()) || inside(char.toUpperCase()) : inside;
}

/** The test of `.`. */
export function anyChar(flags: PatternFlags): CharTest {
  return flags.dotAll ? () => true : (char) => char !== "\n";
}

/** The test of `^`. */
export function startTest(flags: PatternFlags): PositionTest {
  return flags.multiline ? (text, at) => at === 0 || text[at - 1] === "\n" : (_text, at) => at === 0;
}

/** The test of `$`: the end, or before a newline that ends the text. */
export function endTest(flags: PatternFlags): PositionTest {
  if (flags.multiline) return (text, at) => at === text.length || text[at] === "\n";
  return (text, at) => at === text.length || (at === text.length - 1 && text[at] === "\n");
}

/** The test of `\b` (`wanted` true) or `\B`. */
export function boundaryTest(wanted: boolean, flags: PatternFlags): PositionTest {
  const word = flags.ascii ? WORD_ASCII : WORD;
  const isWord = (char: string | undefined) => char !== undefined && word.test(char);
  return (text, at) => (isWord(text[at - 1]) !== isWord(text[at])) === wanted;
}
