// The package's public doors, read from package.json.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "./gate.ts";

export interface PackageJson {
  readonly name: string;
  readonly version: string;
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
}

export async function readPackageJson(): Promise<PackageJson> {
  return JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as PackageJson;
}

/** The source file behind each code export: `{ "heirloom/model": "src/model/index.ts" }`. */
export function exportSources({ name, exports }: PackageJson): Record<string, string> {
  const pairs = Object.entries(exports).flatMap(([subpath, target]) =>
    typeof target === "string" ? [] : [[name + subpath.slice(1), target.default.replace(/^\.\/dist\//, "src/").replace(/\.js$/, ".ts")]],
  );
  return Object.fromEntries(pairs) as Record<string, string>;
}
