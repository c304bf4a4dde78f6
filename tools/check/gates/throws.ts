// A user's mistake ends in a HeirloomError with a code, a broken invariant in an InternalError;
// a bare Error tells nobody what to do. Only core/ may make one.
import ts from "typescript";
import { fromFindings, type Gate } from "../gate.ts";
import { isTest, type SourceFile, sourceFiles } from "../source-files.ts";

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
  says: "no bare Error is thrown outside core/",
  async run() {
    const files = await sourceFiles((path) => /^src\/(?!core\/).*\.ts$/.test(path) && !isTest(path));
    return fromFindings(files.flatMap(findBareThrows), `${files.length} files`);
  },
};
