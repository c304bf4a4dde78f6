// package.json: every public folder has its subpath, every subpath its file, every version is exact.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fromFindings, type Gate, ROOT } from "../gate.ts";
import { LAYERS } from "../layers.mjs";
import { exportSources, type PackageJson, readPackageJson } from "../package-exports.ts";

/** Programs, not libraries: reached through the command. */
const PRIVATE = ["cli", "server"];

/** Disagreements of the export map with the folders of src/. */
function findExportProblems(manifest: PackageJson, exists: (path: string) => boolean): string[] {
  const sources = exportSources(manifest);
  const missing = Object.entries(sources)
    .filter(([, path]) => !exists(path))
    .map(([name, path]) => `${name}: ${path} does not exist`);
  const folders = LAYERS.filter((layer) => !PRIVATE.includes(layer) && exists(`src/${layer}/index.ts`));
  const hidden = folders
    .filter((folder) => !(`${manifest.name}/${folder}` in sources))
    .map((folder) => `src/${folder}/ has a door but no subpath "./${folder}"`);
  return [...missing, ...hidden];
}

/** Versions that are ranges: what is installed must be what was tested. */
function findRanges({ dependencies, devDependencies }: PackageJson): string[] {
  return Object.entries({ ...dependencies, ...devDependencies })
    .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
    .map(([name, version]) => `${name}: "${version}" is not one exact version`);
}

/** Everything that is wrong with a manifest. */
export function findManifestProblems(manifest: PackageJson, exists: (path: string) => boolean): string[] {
  return [...findExportProblems(manifest, exists), ...findRanges(manifest)];
}

export const exportsGate: Gate = {
  name: "exports",
  says: "the export map matches the folders, versions are exact",
  async run() {
    const manifest = await readPackageJson();
    const findings = findManifestProblems(manifest, (path) => existsSync(join(ROOT, path)));
    return fromFindings(findings, `${Object.keys(manifest.exports).length} subpaths`);
  },
};
