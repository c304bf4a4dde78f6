// A user's folder, outside of the repository so that nothing resolves by accident: the packed
// file installed from the registry without its optional peers, and a copy with them linked in.
import { existsSync, rmSync } from "node:fs";
import { cp, lstat, mkdir, mkdtemp, readdir, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT, SCRATCH } from "./gate.ts";
import { type CommandResult, runCommand } from "./run-command.ts";

let scratchFolder: Promise<string> | undefined;

/** A folder under the system's temporary one, removed when the check ends. */
export function temporaryFolder(): Promise<string> {
  scratchFolder ??= mkdtemp(join(tmpdir(), "heirloom-check-")).then((folder) => {
    process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
    return folder;
  });
  return scratchFolder;
}

/** Where the package is installed without optional peers. */
export const bareFolder = async (): Promise<string> => join(await temporaryFolder(), "bare");

/** Where it is installed with them. */
export const fullFolder = async (): Promise<string> => join(await temporaryFolder(), "full");

const NPM_INSTALL = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", "--loglevel=error"];

/** Installs the tarball into the bare folder, then makes the full one from it. */
export async function installConsumer(tarball: string, peers: readonly string[]): Promise<CommandResult> {
  const bare = await bareFolder();
  await mkdir(bare, { recursive: true });
  await writeFile(join(bare, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }));
  const result = await runCommand("npm", [...NPM_INSTALL, tarball], { cwd: bare });
  if (result.status !== 0) return result;
  const full = await fullFolder();
  await cp(bare, full, { recursive: true, verbatimSymlinks: true });
  for (const peer of peers) await symlink(join(ROOT, "node_modules", peer), join(full, "node_modules", peer));
  return result;
}

/** Packages installed under a node_modules folder, and the bytes of their files. */
export async function measureInstall(modules: string): Promise<{ packages: string[]; bytes: number }> {
  const packages: string[] = [];
  let bytes = 0;
  const walk = async (folder: string, isModules: boolean): Promise<void> => {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        if (isModules && !entry.name.startsWith(".") && !entry.name.startsWith("@")) packages.push(path.slice(modules.length + 1));
        await walk(path, entry.name === "node_modules" || (isModules && entry.name.startsWith("@")));
      } else {
        bytes += (await lstat(path)).size;
      }
    }
  };
  await walk(modules, true);
  return { packages, bytes };
}

/** The path of a Node binary of this major version: our own, or the one that an npm package carries. */
export async function nodeBinary(major: number): Promise<{ path: string } | { problem: string }> {
  if (process.versions.node.startsWith(`${major}.`)) return { path: process.execPath };
  const name = `node-${process.platform}-${process.arch}`;
  const folder = join(SCRATCH, `node-${major}`);
  const path = join(folder, "node_modules", name, "bin", "node");
  if (existsSync(path)) return { path };
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "package.json"), JSON.stringify({ private: true }));
  const { status, output } = await runCommand("npm", [...NPM_INSTALL, `${name}@${major}`], { cwd: folder });
  return status === 0 && existsSync(path) ? { path } : { problem: `${name}@${major} could not be installed:\n${output}` };
}
