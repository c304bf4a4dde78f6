// A user's mistake ends in a HeirloomError with a code, a broken invariant in an InternalError;
// a bare Error tells nobody what to do. Only core/ may make one.
import ts from "typescript";
import { fromFindings, type Gate } from "../gate.ts";
import { isTypeScript, type SourceFile, sourceFiles } from "../source-files.ts";

/** Where a bare error may be thrown, by path, and why. Everything else under src/ is read by users when it fails. */
const EXEMPT: readonly { readonly path: RegExp; readonly why: string }[] = [
  { path: /^src\/core\//, why: "the errors with codes are made here, and a fixture stands for Node's own" },
  { path: /\.test\.ts$|\/fixtures\//, why: "fails a test, or plays what Node and browsers throw: it does not ship" },
  { path: /^(?:tools|bench|test)\//, why: "programs for developers of this repository, who read the stack: they do not ship" },
  { path: /^[^/]+\.config\.ts$/, why: "settings of tools" },
];

/** Whether the rule holds for a file. */
export const mustThrowCodes = (path: string): boolean => isTypeScript(path) && !EXEMPT.some((exempt) => exempt.path.test(path));

const BARE = /^(Aggregate|Eval|Range|Reference|Syntax|Type|URI)?Error$/;

function isBareError(node: ts.Expression | undefined): boolean {
  return node !== undefined && (ts.isNewExpression(node) || ts.isCallExpression(node)) && BARE.test(node.expression.getText());
}

/** Bare errors thrown, or handed to a promise's reject, in one file. */
export function findBareThrows({ path, text }: SourceFile): string[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const findings: string[] = [];
  const visit = (node: ts.Node): void => {
    const thrown = ts.isThrowStatement(node) && isBareError(node.expression);
    const rejected = ts.isCallExpression(node) && /(^|\.)reject$/.test(node.expression.getText()) && isBareError(node.arguments[0]);
    if (thrown || rejected) {
      findings.push(`${path}:${file.getLineAndCharacterOfPosition(node.getStart()).line + 1}: use HeirloomError or InternalError`);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return findings;
}

export const throwsGate: Gate = {
  name: "throws",
  says: "no bare Error is thrown outside core/, by what ships",
  async run() {
    const files = await sourceFiles(mustThrowCodes);
    return fromFindings(files.flatMap(findBareThrows), `${files.length} files`);
  },
};
