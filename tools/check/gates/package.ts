// Building and packing, and what others will say about the packed file.
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Gate, type GateResult, localBin, SCRATCH } from "../gate.ts";
import { runCommand } from "../run-command.ts";

/** Where the `pack` gate leaves the tarball. */
const TARBALL_FOLDER = join(SCRATCH, "tarball");

/** The packed file; only after the `pack` gate. */
export async function tarballPath(): Promise<string> {
  const [name] = await readdir(TARBALL_FOLDER);
  if (name === undefined) throw new Error(`nothing was packed into ${TARBALL_FOLDER}`);
  return join(TARBALL_FOLDER, name);
}

interface PackReport {
  readonly filename: string;
  readonly entryCount: number;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}

/** What must not be shipped, and what must. */
export function findPackProblems(paths: readonly string[]): string[] {
  const unwanted = paths.filter((path) => /\.test\.|^(src|test|tools|vectors|bench)\/|\.map$|\/fixtures\//.test(path));
  const wanted = ["package.json", "README.md", "LICENSE", "NOTICE", "dist/index.js", "dist/index.d.ts", "dist/cli/main.js"];
  const missing = wanted.filter((path) => !paths.includes(path));
  return [
    ...unwanted.map((path) => `${path}: does not belong into the package`),
    ...missing.map((path) => `${path}: missing from the package`),
  ];
}

async function build(): Promise<GateResult> {
  const { status, output } = await runCommand("npm", ["run", "--silent", "build"]);
  return {
    ok: status === 0,
    note: status === 0 ? "dist/" : `${output.split("\n").filter((line) => line.includes("error")).length} errors`,
    details: output,
  };
}

async function pack(): Promise<GateResult> {
  await rm(TARBALL_FOLDER, { recursive: true, force: true });
  await runCommand("mkdir", ["-p", TARBALL_FOLDER]);
  const { status, stdout, output } = await runCommand("npm", ["pack", "--json", "--pack-destination", TARBALL_FOLDER]);
  if (status !== 0) return { ok: false, note: `npm pack ended with ${status}`, details: output };
  const [report] = JSON.parse(stdout) as PackReport[];
  if (report === undefined) return { ok: false, note: "npm pack reported nothing", details: output };
  const problems = findPackProblems(report.files.map((file) => file.path));
  const note = `${report.entryCount} files, ${(report.unpackedSize / 1e6).toFixed(1)} MB unpacked`;
  return { ok: problems.length === 0, note: problems.length === 0 ? note : `${problems.length} wrong`, details: problems.join("\n") };
}

async function judge(bin: string, args: (tarball: string) => readonly string[]): Promise<GateResult> {
  const { status, output } = await runCommand(localBin(bin), args(await tarballPath()));
  return { ok: status === 0, note: status === 0 ? "no complaint" : `exit ${status}`, details: output };
}

export const PACKAGE_GATES: readonly Gate[] = [
  { name: "build", says: "TypeScript emits dist/", run: build },
  { name: "pack", says: "the tarball holds what belongs into it", needs: ["build"], run: pack },
  {
    name: "publint",
    says: "publint finds nothing in the packed file",
    needs: ["pack"],
    run: () => judge("publint", (path) => ["run", path, "--strict"]),
  },
  {
    name: "attw",
    says: "the packed types resolve as the code does (ESM only)",
    needs: ["pack"],
    run: () => judge("attw", (path) => [path, "--profile", "esm-only", "--no-color", "--no-emoji"]),
  },
];
