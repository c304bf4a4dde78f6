import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type ModelSpec, parameterCount, parseModelConfig } from "./index.ts";

const vectors = new URL("../../vectors/", import.meta.url);
const readVector = (path: string): unknown => JSON.parse(readFileSync(new URL(path, vectors), "utf8"));

const bases = [
  "llama-tiny/base",
  "hf-trainer-checkpoint/base",
  "peft-banners/base",
  "peft-banners/base-bias",
  "peft-banners/base-tied",
].concat(
  readdirSync(new URL("arch-variants/", vectors), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => `arch-variants/${name}/base`),
);
const unsupported = ["arch-variants/gemma2/base", "arch-variants/phi3/base"];
const withoutRaw = ({ raw: _raw, ...spec }: ModelSpec) => spec;

describe("parseModelConfig on what transformers writes", () => {
  it.each(bases.filter((base) => !unsupported.includes(base)))("reads %s the same in both spellings", (base) => {
    expect(existsSync(new URL(`${base}/config.legacy.json`, vectors))).toBe(true);
    const spec = parseModelConfig(readVector(`${base}/config.json`), base);
    expect(withoutRaw(parseModelConfig(readVector(`${base}/config.legacy.json`), base))).toEqual(withoutRaw(spec));
    expect(spec.torchDtype).toBe("float32");
  });

  it.each(unsupported)("refuses %s by name", (base) => {
    for (const file of ["config.json", "config.legacy.json"]) {
      expect(() => parseModelConfig(readVector(`${base}/${file}`), base)).toThrow(
        expect.objectContaining({ code: "ARCHITECTURE_UNSUPPORTED", message: expect.stringContaining(base.split("/")[1] as string) }),
      );
    }
  });

  it("reads what is special about each variant", () => {
    const of = (name: string) => parseModelConfig(readVector(`arch-variants/${name}/base/config.json`), name);
    expect(of("mistral").slidingWindows).toEqual([null, null]);
    expect(of("mistral-sliding").slidingWindows).toEqual([7, 7]);
    expect(of("qwen2-tied")).toMatchObject({
      tieWordEmbeddings: true,
      biases: { q: true, k: true, v: true, o: false, mlp: false },
      headDim: 12,
    });
    expect(of("qwen3")).toMatchObject({ qkNorm: true, headDim: 20, biases: { q: false } });
    expect(of("llama-bias").biases).toEqual({ q: true, k: true, v: true, o: true, mlp: true });
    expect(of("llama-rope-linear").rope.scaling.kind).toBe("linear");
    expect(of("llama-rope-llama3").rope.scaling.kind).toBe("llama3");
  });

  it("counts LLaMA-3.1-8B's parameters", () => {
    expect(parameterCount(parseModelConfig(readVector("configs/llama-3.1-8b.json"), "llama-3.1-8b.json"))).toBe(8_030_261_248);
  });
});
