import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parsePeftConfig } from "../formats/index.ts";
import { parseModelConfig } from "../model/index.ts";
import {
  type AdapterTensor,
  adapterForEngine,
  adapterFromPeft,
  adapterTensors,
  peftFromAdapter,
  resolveForEngine,
  resolveTargets,
  storedAdapter,
} from "./index.ts";

const vectors = new URL("../../vectors/", import.meta.url);
const readVector = (path: string) => JSON.parse(readFileSync(new URL(path, vectors), "utf8"));
const folders = (path: string): string[] =>
  readdirSync(new URL(path, vectors), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
const peftOf = (folder: string) => parsePeftConfig(readVector(`${folder}/adapter_config.json`), folder);
const specOf = (folder: string) => parseModelConfig(readVector(`${folder}/config.json`), folder);

/** Cases whose PEFT feature the engine lacks, with the key that must be named. */
const REFUSED: Readonly<Record<string, string>> = {
  bias_all: "bias",
  bias_lora_only: "bias",
  dora: "use_dora",
  lora_embedding: "target_modules",
  tied_lora_embedding: "target_modules",
  trainable_tokens: "trainable_token_indices",
};

const shapes = (tensors: readonly AdapterTensor[], name: "name" | "liveName") =>
  Object.fromEntries(tensors.map((tensor) => [tensor[name], tensor.shape]));

describe("an adapter that PEFT made", () => {
  const cases = folders("peft-banners/").filter((name) => !name.startsWith("base"));

  it.each(cases)("resolves to PEFT's modules, names, order and scaling: %s", (name) => {
    const record = readVector(`peft-banners/${name}/record.json`);
    const spec = specOf(`peft-banners/${record.base}`);
    const resolved = resolveTargets(spec, adapterFromPeft(peftOf(`peft-banners/${name}/adapter`)));
    const tensors = adapterTensors(resolved);
    const trained = tensors.filter(({ frozen }) => frozen !== true);
    expect(trained.map(({ liveName }) => liveName)).toEqual(Object.keys(record.trainable));
    expect(shapes(trained, "liveName")).toEqual(record.trainable);
    expect(Object.fromEntries(resolved.lora.map(({ module, scaling }) => [module, scaling]))).toEqual(record.scaling);
    expect(shapes(tensors, "name")).toEqual(
      Object.fromEntries(Object.entries(record.saved as Record<string, { shape: number[] }>).map(([key, { shape }]) => [key, shape])),
    );
  });

  it.each(cases)("is run, or refused by the name of what the engine lacks: %s", (name) => {
    const record = readVector(`peft-banners/${name}/record.json`);
    const open = () => resolveForEngine(specOf(`peft-banners/${record.base}`), adapterForEngine(peftOf(`peft-banners/${name}/adapter`)));
    const feature = REFUSED[name];
    if (feature === undefined) expect(open().lora.length).toBeGreaterThan(0);
    else {
      expect(open).toThrow(
        expect.objectContaining({
          code: "ADAPTER_UNSUPPORTED",
          problems: expect.arrayContaining([expect.objectContaining({ details: expect.objectContaining({ feature }) })]),
        }),
      );
    }
  });

  it("gives the same tensors from the configuration as first given as from the stored one", () => {
    const record = readVector("peft-banners/all_linear/record.json");
    const spec = specOf("peft-banners/base");
    const stored = adapterFromPeft(peftOf("peft-banners/all_linear/adapter"));
    const given = { ...stored, targetModules: "all-linear" };
    expect(adapterTensors(resolveTargets(spec, given)).map(({ liveName }) => liveName)).toEqual(Object.keys(record.trainable));
    expect([storedAdapter(spec, given).targetModules].flat().sort()).toEqual([stored.targetModules].flat().sort());
  });
});

describe("an adapter on each architecture", () => {
  const cases = folders("arch-variants/").filter((name) => name !== "gemma2" && name !== "phi3");

  it.each(cases)("has PEFT's tensors, in memory and on disk: %s", (name) => {
    const scalars = readVector(`arch-variants/${name}/scalars.json`);
    const tensors = adapterTensors(
      resolveTargets(specOf(`arch-variants/${name}/base`), adapterFromPeft(peftOf(`arch-variants/${name}/adapter`))),
    );
    const own = tensors.filter(({ aliasOf }) => aliasOf === undefined);
    expect(own.map(({ liveName }) => liveName)).toEqual(Object.keys(scalars.trainable));
    expect(shapes(own, "liveName")).toEqual(scalars.trainable);
    const stored = Object.entries(scalars.adapter_tensors as Record<string, { shape: number[] }>).map(([key, { shape }]) => [key, shape]);
    expect(shapes(tensors, "name")).toEqual(Object.fromEntries(stored));
  });

  it.each(cases.filter((name) => name.startsWith("llama-tied")))("shares the storage that PEFT shares: %s", (name) => {
    const behaviour = readVector(`arch-variants/${name}/peft_behaviour.json`);
    const spec = specOf(`arch-variants/${name}/base`);
    const tensors = adapterTensors(resolveTargets(spec, adapterFromPeft(peftOf(`arch-variants/${name}/adapter`))));
    expect(tensors.filter(({ aliasOf }) => aliasOf === undefined).map(({ liveName }) => liveName)).toEqual(behaviour.trainable);
    // The file lists its tensors by name, as safetensors writes those of one dtype.
    expect(tensors.map((tensor) => tensor.name).sort()).toEqual(Object.keys(behaviour.saved_tensors));
    const copies = tensors.filter(({ role }) => role === "full_copy");
    const groups = copies
      .filter(({ aliasOf }) => aliasOf === undefined)
      .map(({ liveName }) => [liveName, ...copies.filter(({ aliasOf }) => aliasOf === liveName).map((alias) => alias.liveName)]);
    const shared = (behaviour.shared_after_peft as string[][]).filter((group) =>
      group.some((tensor) => tensor.includes("modules_to_save")),
    );
    expect(groups).toEqual(shared);
  });

  it("resolves what a user first writes for tied embeddings as PEFT does", () => {
    const spec = specOf("arch-variants/llama-tied-save-lmhead-ensured/base");
    for (const [name, first] of [
      ["llama-tied-save-lmhead-ensured", ["lm_head"]],
      ["llama-tied-save-both-ensured", ["embed_tokens", "lm_head"]],
    ] as const) {
      const stored = adapterFromPeft(peftOf(`arch-variants/${name}/adapter`));
      const given = { ...stored, modulesToSave: first };
      expect(adapterTensors(resolveTargets(spec, given))).toEqual(adapterTensors(resolveTargets(spec, stored)));
      expect(storedAdapter(spec, given).modulesToSave).toEqual(stored.modulesToSave);
    }
  });
});

describe("peftFromAdapter", () => {
  it.each([
    "peft-banners/all7",
    "peft-banners/layers_to_transform",
    "peft-banners/regex",
    "peft-banners/exclude_modules",
    "peft-banners/rank_and_alpha_pattern",
    "peft-banners/rslora",
    "peft-banners/dora",
    "peft-banners/trainable_tokens",
    "arch-variants/llama-tied-save-both-ensured",
    "llama-tiny",
  ])("gives back the configuration of %s", (folder) => {
    const config = peftOf(folder === "llama-tiny" ? "llama-tiny/adapter-initial" : `${folder}/adapter`);
    const adapter = adapterFromPeft(config);
    expect({ ...peftFromAdapter(adapter), raw: null }).toEqual({ ...config, raw: null });
    expect(adapterFromPeft(peftFromAdapter(adapter))).toEqual(adapter);
  });
});
