import { HeirloomError } from "../core/index.ts";

/** Parses a flag that counts something: 1, 2, 3 … @throws USAGE */
export function wholeNumber(text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new HeirloomError("USAGE", `expected a whole number above 0, found "${text}"`, {
    hint: "give it in digits: 1, 2, 3 …; leave the flag out for its default",
  });
}
