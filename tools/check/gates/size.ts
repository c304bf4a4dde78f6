// Files of at most 400 lines, functions of at most 60, counted as they stand, comments included.
import ts from "typescript";
import { fromFindings, type Gate } from "../gate.ts";
import { isTypeScript, type SourceFile, sourceFiles } from "../source-files.ts";

const MAX_FILE_LINES = 400;
const MAX_FUNCTION_LINES = 60;

/** Exempt by name: code that no person writes, and tables that are data. */
const EXEMPT: readonly { readonly path: RegExp; readonly why: string }[] = [
  { path: /_pb\.ts$/, why: "generated from a protobuf schema" },
  { path: /\/wasm_kernels\.ts$/, why: "generated from assembly/" },
  { path: /\.table\.ts$/, why: "a table of data" },
];

/** A `describe` callback is a chapter of tests, not a function that one reads as a whole. */
function isDescribeCallback(node: ts.Node): boolean {
  return (
    ts.isCallExpression(node.parent) &&
    node.parent.arguments.some((argument) => argument === node) &&
    /^describe\b/.test(node.parent.expression.getText())
  );
}

function functionName(node: ts.SignatureDeclaration): string {
  if (node.name !== undefined) return node.name.getText();
  if (ts.isConstructorDeclaration(node)) return "constructor";
  const { parent } = node;
  if (
    (ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent) || ts.isPropertyDeclaration(parent)) &&
    parent.name !== undefined
  )
    return parent.name.getText();
  return "a function without a name";
}

/** What is too long in one file, as lines for the report. */
export function findOversized({ path, text }: SourceFile): string[] {
  if (EXEMPT.some((exempt) => exempt.path.test(path))) return [];
  const findings: string[] = [];
  const lineCount = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
  if (lineCount > MAX_FILE_LINES) findings.push(`${path}: ${lineCount} lines, at most ${MAX_FILE_LINES}`);
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && "body" in node && node.body !== undefined && !isDescribeCallback(node)) {
      const start = file.getLineAndCharacterOfPosition(node.getStart()).line;
      const length = file.getLineAndCharacterOfPosition(node.getEnd()).line - start + 1;
      if (length > MAX_FUNCTION_LINES)
        findings.push(`${path}:${start + 1}: ${functionName(node)} has ${length} lines, at most ${MAX_FUNCTION_LINES}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return findings;
}

export const sizeGate: Gate = {
  name: "size",
  says: `files of at most ${MAX_FILE_LINES} lines, functions of at most ${MAX_FUNCTION_LINES}`,
  async run() {
    const files = await sourceFiles(isTypeScript);
    return fromFindings(files.flatMap(findOversized), `${files.length} files`);
  },
};
