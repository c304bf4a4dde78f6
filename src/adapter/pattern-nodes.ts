import { HeirloomError } from "../core/index.ts";

/** A predicate on one character (one code point). */
export type CharTest = (char: string) => boolean;

/** A zero-width test at a position between characters. */
export type PositionTest = (text: readonly string[], position: number) => boolean;

/** The syntax tree of a Python pattern, as far as it can be carried over. */
export type PatternNode =
  | { readonly kind: "char"; readonly test: CharTest }
  | { readonly kind: "sequence"; readonly items: readonly PatternNode[] }
  | { readonly kind: "choice"; readonly options: readonly PatternNode[] }
  | { readonly kind: "repeat"; readonly item: PatternNode; readonly min: number; readonly max: number; readonly lazy: boolean }
  | { readonly kind: "atomic"; readonly item: PatternNode }
  | { readonly kind: "look"; readonly item: PatternNode; readonly behind: boolean; readonly negative: boolean }
  | { readonly kind: "position"; readonly test: PositionTest };

/** Flags that change what a part of a pattern means. */
export interface PatternFlags {
  readonly ignoreCase: boolean;
  readonly multiline: boolean;
  readonly dotAll: boolean;
  readonly verbose: boolean;
  readonly ascii: boolean;
}

/** The error of every pattern that cannot be used, with the reason in it. */
export function patternError(pattern: string, reason: string): HeirloomError {
  return new HeirloomError("ADAPTER_PATTERN_UNSUPPORTED", `the pattern ${JSON.stringify(pattern)} cannot be used: ${reason}`, {
    hint: "write the pattern without it, or list the modules by name",
    details: { pattern, reason },
  });
}

/** How many characters every match of `node` has; null if that varies. */
export function fixedWidth(node: PatternNode): number | null {
  switch (node.kind) {
    case "char":
      return 1;
    case "position":
    case "look":
      return 0;
    case "atomic":
      return fixedWidth(node.item);
    case "repeat": {
      const width = fixedWidth(node.item);
      return width !== null && (node.min === node.max || width === 0) ? width * node.min : null;
    }
    case "sequence":
      return node.items.map(fixedWidth).reduce<number | null>((sum, width) => (sum === null || width === null ? null : sum + width), 0);
    case "choice": {
      const [first, ...rest] = node.options.map(fixedWidth);
      return first !== undefined && rest.every((width) => width === first) ? first : null;
    }
  }
}
