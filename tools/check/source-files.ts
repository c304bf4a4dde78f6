// Which files the gates read: those that git tracks or would track, so never build output.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "./gate.ts";
import { runCommand } from "./run-command.ts";

export interface SourceFile {
  /** Path from the repository's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

/** Files under git's eye that match `wanted`, in path order; deleted ones left out. */
export async function sourceFiles(wanted: (path: string) => boolean): Promise<SourceFile[]> {
  const { stdout } = await runCommand("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
  const paths = [...new Set(stdout.split("\0"))].filter((path) => path !== "" && wanted(path)).sort();
  const files = await Promise.all(
    paths.map(async (path) => {
      const text = await readFile(join(ROOT, path), "utf8").catch(() => null);
      return text === null ? [] : [{ path, text }];
    }),
  );
  return files.flat();
}

/** True for TypeScript of ours, tests included. */
export const isTypeScript = (path: string): boolean => /^(src|tools|test|bench)\/.*\.ts$|^[^/]+\.config\.ts$/.test(path);

/** True for any kind of test, and for what only tests import. */
export const isTest = (path: string): boolean => path.endsWith(".test.ts") || path.includes("/fixtures/");
