import { type Document, isMap, isPair, isScalar, LineCounter, parseDocument } from "yaml";
import { HeirloomError, type Problem } from "../core/index.ts";

/** A parsed YAML or JSON file that knows the line and column of each of its keys. */
export interface ConfigFile {
  readonly name: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** `run.yaml:12:3` of the key at `path`, or of its nearest parent that is in the file. */
  locate(path: readonly PropertyKey[]): string;
}

function offsetOf(document: Document, path: readonly PropertyKey[]): number | undefined {
  let node: unknown = document.contents;
  let offset: number | undefined;
  for (const key of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(key));
      if (pair === undefined) break;
      offset = isScalar(pair.key) ? pair.key.range?.[0] : offset;
      node = pair.value;
    } else if (typeof key === "number" && typeof node === "object" && node !== null && "items" in node && Array.isArray(node.items)) {
      node = node.items[key];
      if (typeof node === "object" && node !== null && "range" in node && Array.isArray(node.range)) offset = node.range[0] as number;
    } else break;
  }
  return offset;
}

function syntaxProblems(document: Document, name: string): Problem[] {
  return document.errors.map((error) => {
    const [position] = error.linePos ?? [];
    const where = position === undefined ? name : `${name}:${position.line}:${position.col}`;
    return { code: "CONFIG_SYNTAX", message: (error.message.split("\n")[0] ?? "").replace(/ at line \d+.*$/, ""), where };
  });
}

function isJsonObject(line: string): boolean {
  if (!line.trimStart().startsWith("{")) return false;
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

/** Training data in place of a run file: told as what it is, not as a syntax error a line. */
function refuseDataFile(text: string, name: string): void {
  const [first = "", second] = text.split("\n", 50).filter((line) => line.trim() !== "");
  if (!isJsonObject(first) || !(second === undefined ? name.endsWith(".jsonl") : isJsonObject(second))) return;
  throw new HeirloomError("CONFIG_SYNTAX", "expected a run file (YAML or JSON), found JSON Lines, which is the form of training data", {
    where: name,
    hint: `name it as data: --set data.train=${name}`,
  });
}

/**
 * Parses YAML 1.2 (JSON is a part of it), in which `1e-5` is a number.
 * @throws CONFIG_SYNTAX with every fault of the text, each with line and column
 */
export function parseConfigFile(text: string, name: string): ConfigFile {
  refuseDataFile(text, name);
  const lineCounter = new LineCounter();
  let document: Document;
  let values: unknown;
  try {
    document = parseDocument(text, { lineCounter, prettyErrors: true });
    const [first, ...rest] = syntaxProblems(document, name);
    if (first !== undefined) throw HeirloomError.of([first, ...rest]);
    values = document.toJS();
  } catch (error) {
    if (error instanceof HeirloomError) throw error;
    // The parser's own limits: alias expansion, nesting deeper than the stack.
    throw new HeirloomError("CONFIG_SYNTAX", `could not be parsed (${error instanceof Error ? error.message : String(error)})`, {
      where: name,
      cause: error,
    });
  }
  values ??= {};
  if (typeof values !== "object" || Array.isArray(values)) {
    throw new HeirloomError(
      "CONFIG_SYNTAX",
      `expected a table of keys and values, found ${Array.isArray(values) ? "a list" : `the value ${JSON.stringify(values)}`}`,
      { where: name },
    );
  }
  return {
    name,
    values: values as Record<string, unknown>,
    locate(path) {
      const offset = offsetOf(document, path);
      if (offset === undefined) return name;
      const { line, col } = lineCounter.linePos(offset);
      return `${name}:${line}:${col}`;
    },
  };
}
