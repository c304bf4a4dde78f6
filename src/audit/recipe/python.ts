/**
 * A Python string literal in ASCII. Names and paths come from files that others
 * wrote: everything that could end the literal or hide is escaped.
 */
export function pyString(text: string): string {
  const escaped = Array.from(text, (character) => {
    if (character === '"' || character === "\\") return `\\${character}`;
    if (character >= " " && character <= "~") return character;
    return `\\U${(character.codePointAt(0) ?? 0).toString(16).padStart(8, "0")}`;
  });
  return `"${escaped.join("")}"`;
}

/** A Python literal of a single value; what Python has no plain literal for is None. */
export function pyValue(value: unknown): string {
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number" && Number.isFinite(value)) return String(value);
  return typeof value === "string" ? pyString(value) : "None";
}

/** A Python tuple of numbers. */
export function pyTuple(values: readonly number[]): string {
  return values.length === 1 ? `(${values[0]},)` : `(${values.join(", ")})`;
}

/**
 * A YAML scalar or flow list that reads back as `value`: JSON is YAML, but for
 * `1e-8`, which PyYAML (YAML 1.1) takes for text: its numbers with an exponent have a point.
 */
export function yamlValue(value: unknown): string {
  if (typeof value === "number") return String(value).replace(/^(-?\d+)e/, "$1.0e");
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
