import { PythonFloat } from "./python-float.ts";

/** `repr(float)` of Python: shortest digits as in JavaScript, with `.0`, and exponents from 1e16 and below 1e-4. */
export function pythonFloat(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "Infinity" : "-Infinity";
  if (Object.is(value, -0)) return "-0.0";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  }
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

/** A quoted text with everything beyond ASCII escaped (`ensure_ascii`); control characters are escaped by JSON. */
function pythonString(text: string): string {
  return JSON.stringify(text).replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function write(value: unknown, indent: string, asFloat: boolean): string {
  if (typeof value === "number") return asFloat || !Number.isInteger(value) ? pythonFloat(value) : String(value);
  if (value instanceof PythonFloat) return pythonFloat(value.value);
  if (typeof value === "string") return pythonString(value);
  if (typeof value === "boolean") return String(value);
  if (typeof value !== "object" || value === null) return "null";
  const inner = `${indent}  `;
  const open = Array.isArray(value) ? "[" : "{";
  const close = Array.isArray(value) ? "]" : "}";
  const items = Array.isArray(value)
    ? value.map((item) => write(item, inner, false))
    : writePairs(value as Record<string, unknown>, inner, new Set());
  return items.length === 0 ? open + close : `${open}\n${items.map((item) => inner + item).join(",\n")}\n${indent}${close}`;
}

function writePairs(object: Readonly<Record<string, unknown>>, indent: string, floats: ReadonlySet<string>): string[] {
  return Object.keys(object)
    .sort()
    .map((key) => `${pythonString(key)}: ${write(object[key], indent, floats.has(key))}`);
}

/**
 * `json.dumps(object, indent=2, sort_keys=True)` of Python. A `PythonFloat` is
 * written as a float wherever it stands.
 *
 * @param floats top-level keys whose numbers Python holds as floats (`0` becomes `0.0`)
 */
export function pythonJson(object: Readonly<Record<string, unknown>>, floats: ReadonlySet<string>): string {
  const pairs = writePairs(object, "  ", floats);
  return pairs.length === 0 ? "{}" : `{\n${pairs.map((pair) => `  ${pair}`).join(",\n")}\n}`;
}
