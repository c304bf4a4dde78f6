import { PythonFloat, parseJson, pythonFloat } from "../formats/index.ts";

/** Numbers that Python would read as another type if they were printed as JavaScript does: `10000.0`, `1e-05`. */
const NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** Python's floats as marked texts: `6.0` is no integer there. */
function withFloats(_key: string, value: unknown): unknown {
  return value instanceof PythonFloat ? `\u0001${pythonFloat(value.value)}` : value;
}

/**
 * A configuration's text with some keys replaced; `undefined` takes one out, a new one goes to the end. The others keep their
 * order, and every number its spelling: transformers' classes check whether `10000.0` is a float.
 *
 * @throws JSON_INVALID
 */
export function editConfigText(text: string, where: string, changes: Readonly<Record<string, unknown>>): string {
  parseJson(text, where); // says what is wrong with it, by line
  // A text with a control character before it stands for a number; no text of a configuration begins so.
  const marked = text.replace(NUMBER, (token) => (token.startsWith('"') || !/[.eE]/.test(token) ? token : `"\\u0001${token}"`));
  const config = JSON.parse(marked) as Record<string, unknown>;
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) delete config[key];
    else config[key] = value;
  }
  const printed = JSON.stringify(config, withFloats, 2).replaceAll(/"\\u0001([^"]+)"/g, "$1");
  return `${printed}\n`;
}

/** The key under which a configuration keeps its dtype: transformers 5 writes `dtype`, 4 wrote `torch_dtype`. */
export function dtypeKey(raw: Readonly<Record<string, unknown>>): "dtype" | "torch_dtype" {
  return Object.hasOwn(raw, "dtype") ? "dtype" : "torch_dtype";
}
