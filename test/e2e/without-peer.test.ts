// The package as somebody's CI installs it: without onnxruntime-node.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { heirloom, isBuilt, MAIN } from "./fixtures/program.ts";

describe.skipIf(!isBuilt)("without onnxruntime-node", () => {
  const root = resolve(dirname(MAIN), "../..");
  const folder = mkdtempSync(join(tmpdir(), "heirloom-bare-"));
  const installed = join(folder, "node_modules", "heirloom");
  const main = join(installed, "dist/cli/main.js");

  beforeAll(() => {
    mkdirSync(installed, { recursive: true });
    for (const part of ["dist", "package.json", "presets", "assets"]) cpSync(join(root, part), join(installed, part), { recursive: true });
    const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { dependencies: Record<string, string> };
    for (const name of Object.keys(manifest.dependencies)) {
      mkdirSync(dirname(join(folder, "node_modules", name)), { recursive: true });
      symlinkSync(join(root, "node_modules", name), join(folder, "node_modules", name));
    }
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("files can be inspected", async () => {
    const path = join(root, "vectors/llama-tiny-qlora/base-4bit");
    const { code, out } = await heirloom(["inspect", path, "--json"], { main, folder });
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ kind: "model" });
  });

  it.each([
    ["demo", ["demo"]],
    ["merge", ["merge", join(root, "vectors/llama-tiny/adapter-initial"), "--base", join(root, "vectors/llama-tiny/base"), "-o", "merged"]],
    ["generate", ["generate", join(root, "vectors/llama-tiny-qlora/base-4bit"), "--prompt", "a"]],
  ])("%s says which package is missing and the line to type, exit 13", async (_name, inputs) => {
    const { code, out, err } = await heirloom(inputs, { main, folder });
    expect({ code, out }).toEqual({ code: 13, out: "" });
    expect(err).toContain("npm install --ignore-scripts onnxruntime-node");
    expect(err).toContain("PEER_MISSING, exit 13");
  });

  it("an adapter is merged if it is said that nothing is compared", async () => {
    const [adapter, base] = [join(root, "vectors/llama-tiny/adapter-initial"), join(root, "vectors/llama-tiny/base")];
    const { code, out } = await heirloom(["merge", adapter, "--base", base, "-o", "merged", "--no-check"], { main, folder });
    expect(code).toBe(0);
    expect(out).toContain("NOT compared");
  });
});
