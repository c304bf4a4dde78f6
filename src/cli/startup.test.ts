import { existsSync, readFileSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { expect, it } from "vitest";

/** Modules that a static import of `entry` loads: files of ours by path, packages by name. Type imports load nothing. */
function loadedBy(entry: string): Set<string> {
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const source = readFileSync(file, "utf8");
    for (const [, clause = "", from = ""] of source.matchAll(/^(?:import|export) (?!type )([^"']*?)\s*from "([^"]+)";/gms)) {
      const names = /\{([^}]*)\}/s.exec(clause)?.[1];
      const onlyTypes =
        names !== undefined &&
        !/^\s*\w+\s*,/.test(clause) &&
        names.split(",").every((name) => name.trim() === "" || name.trim().startsWith("type "));
      if (onlyTypes) continue;
      if (from.startsWith(".")) visit(resolve(dirname(file), from));
      else seen.add(from);
    }
  };
  visit(resolve(entry));
  return seen;
}

it("loads only the command line, core and stricli at start-up: everything else waits for its command", () => {
  const loaded = [...loadedBy("src/cli/main.ts")].map((name) => (existsSync(name) ? relative(".", name) : name));
  const allowed = /^(src\/cli\/|src\/core\/|node:|@stricli\/core$)/;
  expect(loaded.filter((name) => !allowed.test(name))).toEqual([]);
  expect(loaded).toContain("src/cli/commands/train.ts");
});
