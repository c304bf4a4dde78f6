import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { OPS } from "./index.ts";

const files = readdirSync(import.meta.dirname)
  .filter((file) => !file.includes(".test.") && file !== "index.ts")
  .map((file) => file.replace(/\.ts$/, "").replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()));

describe("the table of ops", () => {
  it("has exactly the ops that the folder has files for", () => {
    expect(Object.keys(OPS).sort()).toEqual(files.sort());
  });

  it.each(Object.entries(OPS))("files %s under its own name, frozen", (name, op) => {
    expect(op.name).toBe(name);
    expect(Object.isFrozen(op)).toBe(true);
  });

  it.each(Object.values(OPS))("declares for $name whether it has gradients", (op) => {
    expect(op.gradient === undefined).toBe(op.withoutGradient === "all");
  });
});
