// merge, quantize, export and convert through the built program: what they tell, and their exit codes.
import { appendFileSync, existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExportScene } from "../../src/export/fixtures/scene.ts";
import { heirloom, isBuilt } from "./fixtures/program.ts";

let scene: ExportScene;
beforeAll(async () => {
  scene = new ExportScene();
  const base = await scene.model("base", { dtype: "BF16" });
  await scene.adapter("adapter", base);
  await scene.adapter("copies", base, { config: { modules_to_save: ["lm_head"] } });
});
afterAll(() => scene.close());

/** Runs a line in the scene's folder. */
const run = (...line: readonly string[]) => heirloom(line, { folder: scene.folder });

describe.skipIf(!isBuilt)("merge", () => {
  test("tells what it made and how it was checked, and what was taken for granted", async () => {
    const { code, out } = await run("merge", "adapter", "-o", "merged", "--held-as", "nf4-double");
    expect(code).toBe(0);
    for (const text of ["6 of 21 tensors changed", "in bf16", "agrees", "over 96 tokens", "q_proj", "no record of its training"])
      expect(out).toContain(text);
  });

  test("gives one JSON document, and goes without the comparison only if it is told to", async () => {
    const { code, out } = await run("merge", "adapter", "-o", "unchecked", "--no-check", "--dtype", "fp32", "--json");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ dtype: "fp32", onto: "trained", check: null, changed: 6, difference: null });
  });

  test("ends with its own exit codes", async () => {
    expect(await run("merge", "adapter", "-o", "base")).toMatchObject({ code: 40 });
    expect(await run("merge", "adapter", "-o", "x", "--dtype", "int8")).toMatchObject({ code: 2 });
    expect(await run("merge", "adapter")).toMatchObject({ code: 2 });
    expect(await run("merge", "nowhere", "-o", "x")).toMatchObject({ code: 11 });
    expect(existsSync(scene.path("x"))).toBe(false);
  });
});

describe.skipIf(!isBuilt)("quantize", () => {
  test("tells what it kept, what became smaller, and how far the weights moved", async () => {
    const { code, out } = await run("quantize", "base", "-o", "nf4", "--double-quant");
    expect(code).toBe(0);
    for (const text of ["14 in NF4, scales in 8 bits", "7 as they were", "relative"]) expect(out).toContain(text);
    expect(await run("quantize", "nf4", "-o", "again")).toMatchObject({ code: 11 });
  });
});

describe.skipIf(!isBuilt)("export", () => {
  test("writes a merged model and an adapter by itself", async () => {
    const { code, out } = await run("export", "adapter", "--to", "gguf", "-o", "model.gguf", "--type", "q8_0");
    expect(code).toBe(0);
    for (const text of ["× Q8_0", "byte-level BPE, split as gpt-2", "llama"]) expect(out).toContain(text);
    const lora = await run("export", "adapter", "--to", "gguf", "-o", "lora.gguf", "--lora", "--json");
    expect(JSON.parse(lora.out)).toMatchObject({ kind: "lora", types: { F32: 12 } });
  });

  test("says what to do with an adapter that GGUF cannot hold", async () => {
    const { code, err } = await run("export", "copies", "--to", "gguf", "-o", "copies.gguf", "--lora");
    expect(code).toBe(12);
    expect(err).toContain("modules_to_save");
    expect(err).toContain("without --lora");
  });
});

describe.skipIf(!isBuilt)("convert", () => {
  test("goes there and back", async () => {
    const there = await run("convert", "adapter", "--to", "mlx", "-o", "mlx");
    expect(there).toMatchObject({ code: 0 });
    expect(there.out).toContain("rank 4, scale 2, 6 modules in 2 layers");
    expect(await run("convert", "mlx", "--to", "peft", "-o", "peft", "--json")).toMatchObject({ code: 0 });
    expect(await run("convert", "copies", "--to", "mlx", "-o", "no")).toMatchObject({ code: 12 });
  });
});

test.skipIf(!isBuilt)("a merged model has its lineage, and a broken link exits 20", async () => {
  const { code, out } = await run("runs", "lineage", "unchecked", "--json");
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({
    ok: true,
    links: [{ what: "merged model" }, { what: "base model" }, { what: "parent adapter" }],
  });
  appendFileSync(scene.path("unchecked", "config.json"), " ");
  expect(await run("runs", "lineage", "unchecked")).toMatchObject({ code: 20 });
});

test.skipIf(!isBuilt)("a merged model is evaluated and completed like any model", async () => {
  scene.write("held.jsonl", [{ prompt: "amber 1:", completion: " am" }]);
  const { code, out } = await run("eval", "merged", "--data", "held.jsonl", "--gate", "dataset: eval, atMost: 1000", "--json");
  expect(out).toContain("evaluations");
  expect(code).toBe(0);
});
