import { type CharTest, fixedWidth, type PatternNode, type PositionTest, patternError } from "./pattern-nodes.ts";

// A program of this size comes from repeats like {1000} of a group; names of modules need a few dozen.
const MAX_INSTRUCTIONS = 20_000;

/** One instruction of the matcher. */
export type Instruction =
  | { readonly op: "char"; readonly test: CharTest }
  | { readonly op: "split"; first: number; second: number }
  | { readonly op: "jump"; to: number }
  | { readonly op: "position"; readonly test: PositionTest }
  | { readonly op: "look"; readonly program: Program; readonly back: number; readonly negative: boolean }
  | { readonly op: "atomic"; readonly program: Program }
  | { readonly op: "match" };

export type Program = readonly Instruction[];

/** Turns a syntax tree into a program for the matcher; repeats are written out. */
export class ProgramBuilder {
  readonly #pattern: string;
  /** Shared with the programs inside, so that nesting cannot multiply it. */
  readonly #budget: { left: number };
  readonly #code: Instruction[] = [];

  constructor(pattern: string, budget = { left: MAX_INSTRUCTIONS }) {
    this.#pattern = pattern;
    this.#budget = budget;
  }

  build(root: PatternNode): Program {
    this.#visit(root);
    this.#emit({ op: "match" });
    return this.#code;
  }

  #spend(): void {
    if (--this.#budget.left < 0) throw patternError(this.#pattern, `its repeats grow beyond ${MAX_INSTRUCTIONS} steps`);
  }

  #emit<T extends Instruction>(instruction: T): T {
    this.#spend();
    this.#code.push(instruction);
    return instruction;
  }

  #inner(node: PatternNode): Program {
    return new ProgramBuilder(this.#pattern, this.#budget).build(node);
  }

  /** A fork between `body` and what comes after it. */
  #optional(lazy: boolean, body: () => void): void {
    const fork = this.#emit({ op: "split" as const, first: 0, second: 0 });
    const inside = this.#code.length;
    body();
    fork.first = lazy ? this.#code.length : inside;
    fork.second = lazy ? inside : this.#code.length;
  }

  #visit(node: PatternNode): void {
    this.#spend();
    switch (node.kind) {
      case "char":
        this.#emit({ op: "char", test: node.test });
        return;
      case "position":
        this.#emit({ op: "position", test: node.test });
        return;
      case "sequence":
        for (const item of node.items) this.#visit(item);
        return;
      case "atomic":
        this.#emit({ op: "atomic", program: this.#inner(node.item) });
        return;
      case "look":
        this.#emit({
          op: "look",
          program: this.#inner(node.item),
          back: node.behind ? (fixedWidth(node.item) ?? 0) : 0,
          negative: node.negative,
        });
        return;
      case "choice":
        this.#choice(node.options);
        return;
      case "repeat":
        this.#repeat(node);
    }
  }

  #choice(options: readonly PatternNode[]): void {
    const ends: { to: number }[] = [];
    for (const [i, option] of options.entries()) {
      if (i === options.length - 1) this.#visit(option);
      else
        this.#optional(false, () => {
          this.#visit(option);
          ends.push(this.#emit({ op: "jump" as const, to: 0 }));
        });
    }
    for (const end of ends) end.to = this.#code.length;
  }

  #repeat({ item, min, max, lazy }: Extract<PatternNode, { kind: "repeat" }>): void {
    for (let i = 0; i < min; i++) this.#visit(item);
    if (max === Number.POSITIVE_INFINITY) {
      const loop = this.#code.length;
      this.#optional(lazy, () => {
        this.#visit(item);
        this.#emit({ op: "jump", to: loop });
      });
      return;
    }
    // x{0,2} as x?x?: what skipping early adds has been tried before.
    for (let i = min; i < max; i++) this.#optional(lazy, () => this.#visit(item));
  }
}
