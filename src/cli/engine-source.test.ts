import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { EngineSource } from "../generate/index.ts";
import { engineSources } from "./engine-source.ts";

async function engineSource(text: string, folder: string): Promise<EngineSource | undefined> {
  return (await engineSources([text], folder))[0];
}

it.each([
  ["runs/a", { path: "/w/runs/a" }],
  ["/runs/a", { path: "/runs/a" }],
  ["b=runs/a", { id: "b", path: "/w/runs/a" }],
  ["b=runs/x=1", { id: "b", path: "/w/runs/x=1" }],
  ["./a=b", { path: "/w/a=b" }],
  ["hf://owner/a=b", { path: "hf://owner/a=b" }],
  ["=a", { path: "/w/=a" }],
])("%s names a model and where it is", async (text, source) => {
  expect(await engineSource(text, "/w")).toEqual(source);
});

it("a run is found by its id, or by how that begins or ends; a folder that is there comes first", async () => {
  const folder = mkdtempSync(join(tmpdir(), "heirloom-source-"));
  try {
    for (const name of ["2026-03-01T10-00-00-eaba", "2026-03-02T10-00-00-beef"]) {
      mkdirSync(join(folder, "runs", name), { recursive: true });
      writeFileSync(join(folder, "runs", name, "run.json"), "{}");
    }
    const run = join(folder, "runs", "2026-03-01T10-00-00-eaba");
    for (const word of ["eaba", "2026-03-01", "2026-03-01T10-00-00-eaba"]) expect(await engineSource(word, folder)).toEqual({ path: run });
    expect(await engineSource("old=eaba", folder)).toEqual({ id: "old", path: run });
    await expect(engineSource("2026-03", folder)).rejects.toMatchObject({ code: "USAGE" });
    expect(await engineSource("none", folder)).toEqual({ path: join(folder, "none") });
    mkdirSync(join(folder, "eaba"));
    expect(await engineSource("eaba", folder)).toEqual({ path: join(folder, "eaba") });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
