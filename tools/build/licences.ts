// The licences of the packages whose code lies in the bundle: each asks that its text comes along.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { InternalError } from "../../src/core/index.ts";

/** The package that a module belongs to; null for a module of ours. */
export function packageOf(module: string): string | null {
  const inside = module.replaceAll("\\", "/").split("/node_modules/").at(-1);
  if (inside === undefined || !module.replaceAll("\\", "/").includes("/node_modules/")) return null;
  return /^(?:@[^/]+\/)?[^/]+/.exec(inside)?.[0] ?? null;
}

/** The licence file of a package; our own stands for one that says Apache-2.0 and brings no text. */
async function textOf(folder: string, license: string | undefined): Promise<string> {
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e(?:\.|$)/i.test(entry));
  if (file !== undefined) return (await readFile(join(folder, file), "utf8")).trim();
  if (license === "Apache-2.0") return "Licensed under the Apache License, Version 2.0: see the file LICENSE of this package.";
  throw new InternalError(`${folder} has no licence file`);
}

/** The licence texts of all packages that `modules` come from; refuses one that is no dependency by name. */
export async function licenceText(modules: readonly string[], dependencies: readonly string[]): Promise<string> {
  const packages = [...new Set(modules.map(packageOf).filter((name) => name !== null))].sort();
  const texts = await Promise.all(
    packages.map(async (name) => {
      if (!dependencies.includes(name)) throw new InternalError(`${name} came into the bundle, and is no dependency of ours`);
      const folder = join("node_modules", name);
      const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as Record<string, string>;
      return `${name} ${version}\n\n${await textOf(folder, license)}\n`;
    }),
  );
  return `The files of this folder contain code of these packages.\n\n${texts.join(`\n${"-".repeat(80)}\n\n`)}`;
}
