import { patternError } from "./pattern-nodes.ts";
import { PatternParser } from "./pattern-parser.ts";
import { type Instruction, type Program, ProgramBuilder } from "./pattern-program.ts";

/** What a translated pattern offers; a `RegExp` has these too. */
export interface PythonPattern {
  /** The pattern as given. */
  readonly source: string;
  test(text: string): boolean;
}

// Of all names that one pattern is tried on, together: a real pattern takes some thousand steps on a name, and the model with
// the most modules has 70,000 of them, in short names. As many steps take about half a second.
const MAX_STEPS = 100_000_000;
// The longest real ones are some hundred characters long.
const MAX_PATTERN_CHARS = 100_000;
// Twenty times what the largest program needs on a name of 100 characters.
const MAX_SLOTS = 40_000_000;
/** Making so many places ready takes about as long as a step. */
const SLOTS_PER_STEP = 8;

/**
 * Gives a pattern the meaning that Python's `re.fullmatch` or `re.match` gives it.
 *
 * It is not handed to JavaScript's `RegExp`: that differs in sets, classes, `$`,
 * braces, possessive quantifiers and scoped flags, and it can run for hours on a
 * hostile pattern. This matcher visits each pair of instruction and position once.
 *
 * @throws ADAPTER_PATTERN_UNSUPPORTED, naming what is invalid or not carried over
 *   (backreferences, conditional groups), also from `test` if the work gets out of hand
 */
export function translatePythonPattern(pattern: string, mode: "fullmatch" | "match"): PythonPattern {
  if (pattern.length > MAX_PATTERN_CHARS) throw patternError(`${pattern.slice(0, 60)}…`, `it has ${pattern.length} characters`);
  const program = new ProgramBuilder(pattern).build(new PatternParser(pattern).parse());
  const budget = { steps: MAX_STEPS };
  return {
    source: pattern,
    test(text) {
      const chars = Array.from(text);
      return run({ chars, pattern, budget }, program, 0, mode === "fullmatch" ? chars.length : null) >= 0;
    },
  };
}

interface Run {
  readonly chars: readonly string[];
  readonly pattern: string;
  /** Shared by all names. */
  readonly budget: { steps: number };
}

/** Where the first match (by Python's order of preference) from `start` ends, or -1. `end` demands the end. */
function run(state: Run, program: Program, start: number, end: number | null): number {
  const { chars } = state;
  const width = chars.length + 1;
  const slots = program.length * width;
  // Groups inside are matched again and again: what they take to begin counts, too.
  state.budget.steps -= slots / SLOTS_PER_STEP;
  if (slots > MAX_SLOTS || state.budget.steps < 0) throw patternError(state.pattern, "matching it takes too much work");
  const seen = new Uint8Array(slots);
  const pending: [number, number][] = [[0, start]];
  for (let thread = pending.pop(); thread !== undefined; thread = pending.pop()) {
    let [pc, at] = thread;
    for (;;) {
      const slot = pc * width + at;
      if (seen[slot] === 1) break;
      seen[slot] = 1;
      if (--state.budget.steps < 0) throw patternError(state.pattern, "matching it takes too much work");
      const instruction = program[pc] as Instruction; // every target is inside the program
      if (instruction.op === "match") {
        if (end === null || at === end) return at;
        break;
      }
      if (instruction.op === "split") {
        pending.push([instruction.second, at]);
        pc = instruction.first;
      } else if (instruction.op === "jump") pc = instruction.to;
      else {
        const next = advance(state, instruction, at);
        if (next < 0) break;
        at = next;
        pc++;
      }
    }
  }
  return -1;
}

/** The position after an instruction that tests or consumes, or -1 if it fails. */
function advance(state: Run, instruction: Exclude<Instruction, { op: "match" | "split" | "jump" }>, at: number): number {
  const { chars } = state;
  switch (instruction.op) {
    case "char": {
      const char = chars[at];
      return char !== undefined && instruction.test(char) ? at + 1 : -1;
    }
    case "position":
      return instruction.test(chars, at) ? at : -1;
    case "atomic":
      return run(state, instruction.program, at, null);
    case "look": {
      const from = at - instruction.back;
      const found = from >= 0 && run(state, instruction.program, from, null) >= 0;
      return found === instruction.negative ? -1 : at;
    }
  }
}
