import { HeirloomError } from "../core/index.ts";

/** Alternatives of `{a,b}` in a pattern; real ones have a handful. */
const MAX_ALTERNATIVES = 1000;

/** Whether a path is a pattern. */
export function isGlob(path: string): boolean {
  return /[*?{]/.test(path);
}

/** Lays `{a,b}` out as alternatives: `x{a,b}` → `xa`, `xb`; nested ones from the inside. @throws USAGE beyond a thousand */
export function expandBraces(pattern: string): string[] {
  const done: string[] = [];
  const open = [pattern];
  while (open.length > 0) {
    const next = open.pop() as string;
    const found = /\{([^{}]*)\}/.exec(next);
    if (found === null) done.push(next);
    else {
      const [whole, inner = ""] = found;
      const [before, after] = [next.slice(0, found.index), next.slice(found.index + whole.length)];
      open.push(...inner.split(",").map((part) => before + part + after));
    }
    if (done.length + open.length > MAX_ALTERNATIVES)
      throw new HeirloomError("USAGE", `expected at most ${MAX_ALTERNATIVES} alternatives in a pattern, found more`, { where: pattern });
  }
  return done.reverse();
}

/** Matches one name against a pattern with `*` and `?`, in time that grows with their product. */
export function matchName(pattern: string, name: string): boolean {
  const letters = Array.from(pattern);
  const text = Array.from(name);
  let [p, t, star, resume] = [0, 0, -1, 0];
  while (t < text.length) {
    if (p < letters.length && letters[p] === "*") {
      star = p++;
      resume = t;
    } else if (p < letters.length && (letters[p] === "?" || letters[p] === text[t])) {
      p++;
      t++;
    } else if (star >= 0) {
      p = star + 1;
      t = ++resume;
    } else return false;
  }
  while (letters[p] === "*") p++;
  return p === letters.length;
}
