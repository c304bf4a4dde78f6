// Every export of a public subpath says in TSDoc what it is.
import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import ts from "typescript";
import { fromFindings, type Gate, ROOT } from "../gate.ts";
import { exportSources, readPackageJson } from "../package-exports.ts";

/** Generated code carries the comments of its schema, or none. */
const GENERATED = /(_pb|\/wasm_kernels)\.ts$/;

/** The exports of `doors` (absolute paths) that have no documentation, one line each, at their declaration. */
export function findUndocumented(doors: readonly string[], root: string): { checked: number; findings: string[] } {
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    allowImportingTsExtensions: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
  };
  const program = ts.createProgram([...doors], options);
  const checker = program.getTypeChecker();
  const findings = new Map<ts.Symbol, string>();
  const seen = new Set<ts.Symbol>();
  for (const door of doors) {
    const file = program.getSourceFile(door);
    const module = file === undefined ? undefined : checker.getSymbolAtLocation(file);
    for (const exported of module === undefined ? [] : checker.getExportsOfModule(module)) {
      const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
      const [declaration] = symbol.declarations ?? [];
      if (seen.has(symbol) || declaration === undefined || ts.isSourceFile(declaration)) continue;
      seen.add(symbol);
      const source = declaration.getSourceFile();
      if (GENERATED.test(source.fileName) || symbol.getDocumentationComment(checker).length > 0) continue;
      const { line } = source.getLineAndCharacterOfPosition(declaration.getStart());
      findings.set(symbol, `${relative(root, source.fileName)}:${line + 1}: ${exported.name} has no TSDoc`);
    }
  }
  return { checked: seen.size, findings: [...findings.values()].sort() };
}

export const tsdocGate: Gate = {
  name: "tsdoc",
  says: "every export of a subpath is documented",
  async run() {
    const doors = Object.values(exportSources(await readPackageJson())).map((path) => join(ROOT, path));
    const { checked, findings } = findUndocumented(
      doors.filter((door) => existsSync(door)),
      ROOT,
    );
    return fromFindings(findings, `${checked} exports`);
  },
};
