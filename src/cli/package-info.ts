import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { InternalError } from "../core/index.ts";

/** Absolute path of something in the package's root folder; the same from `src/` and from `dist/`. */
export function packagePath(relative: string): string {
  return fileURLToPath(new URL(`../../${relative}`, import.meta.url));
}

/** The version in package.json. */
export async function packageVersion(): Promise<string> {
  const parsed: unknown = JSON.parse(await readFile(packagePath("package.json"), "utf8"));
  if (typeof parsed === "object" && parsed !== null && "version" in parsed && typeof parsed.version === "string") return parsed.version;
  throw new InternalError("package.json has no version");
}
