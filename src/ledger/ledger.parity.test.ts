import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type AdapterSpec, adapterFromPeft } from "../adapter/index.ts";
import { formatBytes } from "../core/index.ts";
import { loraPeftConfig, parsePeftConfig } from "../formats/index.ts";
import { parseModelConfig } from "../model/index.ts";
import {
  compareLedgers,
  ledgerCounts,
  ledgerTable,
  observeLedger,
  type PredictOptions,
  peftBanner,
  peftBanners,
  predictLedger,
  readLedger,
  type StoredEntry,
  trainerParameterIndex,
} from "./index.ts";

const vectors = new URL("../../vectors/", import.meta.url);
const readVector = (path: string) => JSON.parse(readFileSync(new URL(path, vectors), "utf8"));
const folders = (path: string): string[] =>
  readdirSync(new URL(path, vectors), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
const peftOf = (folder: string) => parsePeftConfig(readVector(`${folder}/adapter_config.json`), folder);
const specOf = (folder: string) => parseModelConfig(readVector(`${folder}/config.json`), folder);
const stored = (table: Record<string, { shape: number[]; dtype: string }>): StoredEntry[] =>
  Object.entries(table).map(([name, tensor]) => ({ name, ...tensor }));

const dense: PredictOptions = { baseDtype: "F32", quantization: null };
const nf4: PredictOptions = { baseDtype: "F32", quantization: { doubleQuant: true, skipModules: ["lm_head"] } };

const cases = folders("peft-banners/").filter((name) => !name.startsWith("base"));

describe("the banner and the trainable list of PEFT", () => {
  it.each(cases)("are predicted to the digit: %s", (name) => {
    const record = readVector(`peft-banners/${name}/record.json`);
    const spec = specOf(`peft-banners/${record.base}`);
    const ledger = predictLedger(spec, adapterFromPeft(peftOf(`peft-banners/${name}/adapter`)), [], record.load_in_4bit ? nf4 : dense);
    expect(peftBanners(ledgerCounts(ledger))).toEqual({
      fresh: record.fresh,
      reloadedFrozen: record.reload_frozen,
      reloadedTrainable: record.reload_trainable,
    });
    expect(ledger.entries.filter(({ trainable }) => trainable).map((entry) => entry.name)).toEqual(Object.keys(record.trainable));
    expect(ledger.entries.some(({ role }) => role === "quantized_base")).toBe(record.load_in_4bit);
  });

  it.each(cases.filter((name) => !name.includes("lora_embedding") && name !== "trainable_tokens"))(
    "are read from the file's headers: %s",
    (name) => {
      const record = readVector(`peft-banners/${name}/record.json`);
      const spec = specOf(`peft-banners/${record.base}`);
      const ledger = readLedger({ tensors: stored(record.saved), config: peftOf(`peft-banners/${name}/adapter`), spec });
      const trainable = ledger.entries.filter((entry) => entry.trainable).map((entry) => entry.name);
      // bias="all" also trains the biases of modules without LoRA; all are in the file.
      expect([...trainable].sort()).toEqual(Object.keys(record.trainable).sort());
      expect(peftBanners(ledgerCounts(ledger))).toEqual({
        fresh: record.fresh,
        reloadedFrozen: record.reload_frozen,
        reloadedTrainable: record.reload_trainable,
      });
    },
  );

  it.each(["lora_embedding", "tied_lora_embedding"])("leave the base weights that PEFT stored beside LoRA frozen: %s", (name) => {
    const record = readVector(`peft-banners/${name}/record.json`);
    const ledger = readLedger({
      tensors: stored(record.saved),
      config: peftOf(`peft-banners/${name}/adapter`),
      spec: specOf(`peft-banners/${record.base}`),
    });
    expect(peftBanner(ledgerCounts(ledger))).toBe(record.fresh);
  });
});

describe("the ledger on each architecture", () => {
  it.each(folders("arch-variants/").filter((name) => name !== "gemma2" && name !== "phi3"))(
    "is the same predicted and read: %s",
    (name) => {
      const folder = `arch-variants/${name}`;
      const scalars = readVector(`${folder}/scalars.json`);
      const config = peftOf(`${folder}/adapter`);
      const spec = specOf(`${folder}/base`);
      const predicted = predictLedger(spec, adapterFromPeft(config), [], dense);
      expect(predicted.entries.filter(({ trainable }) => trainable).map((entry) => entry.name)).toEqual(Object.keys(scalars.trainable));
      const read = readLedger({ tensors: stored(scalars.adapter_tensors), config, spec });
      expect(compareLedgers(predicted, read)).toEqual([]);
      expect(read.entries.map((entry) => entry.name)).toEqual(predicted.entries.map((entry) => entry.name));
      expect(ledgerCounts(read)).toEqual(ledgerCounts(predicted));
    },
  );
});

describe("trainerParameterIndex", () => {
  it("names the tensors behind the indices of a Trainer's optimizer.pt", () => {
    const { parameters, param_groups: groups } = readVector("hf-trainer-checkpoint/optimizer-10.json");
    const adapter = adapterFromPeft(peftOf("hf-trainer-checkpoint/adapter-initial"));
    const index = trainerParameterIndex(predictLedger(specOf("hf-trainer-checkpoint/base"), adapter, [], dense));
    expect(Object.fromEntries(index.byIndex.entries())).toEqual(parameters);
    expect([index.decay.length, index.noDecay.length]).toEqual(groups.map(({ params }: { params: number[] }) => params.length));
  });

  it("puts copies of norms last, as the Trainer gives them no weight decay", () => {
    const ledger = predictLedger(
      specOf("peft-banners/base"),
      adapterFromPeft(peftOf("peft-banners/modules_to_save_norm/adapter")),
      [],
      dense,
    );
    const { noDecay, byIndex } = trainerParameterIndex(ledger);
    expect(noDecay).toHaveLength(7);
    expect(byIndex.slice(-7)).toEqual(noDecay);
  });
});

describe("LLaMA-3.1-8B, the numbers of the report", () => {
  const spec = parseModelConfig(readVector("configs/llama-3.1-8b.json"), "llama-3.1-8b.json");
  const options: PredictOptions = {
    baseDtype: "BF16",
    quantization: { doubleQuant: true, skipModules: ["lm_head"] },
    fullCopyDtype: "BF16",
  };
  const adapter = (rank: number, full: boolean): AdapterSpec =>
    adapterFromPeft(
      loraPeftConfig({
        r: rank,
        targetModules: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        modulesToSave: full ? ["embed_tokens", "lm_head"] : null,
      }),
    );
  const countsOf = (rank: number, full: boolean) => ledgerCounts(predictLedger(spec, adapter(rank, full), [], options));
  const fileBytes = (rank: number) =>
    predictLedger(spec, adapter(rank, true), [], options).entries.reduce((sum, { trainable, bytes }) => (trainable ? sum + bytes : sum), 0);

  it.each([
    [16, 41_943_040],
    [32, 83_886_080],
    [64, 167_772_160],
  ])("counts LoRA of rank %i on all linear layers", (rank, lora) => {
    expect(countsOf(rank, false)).toMatchObject({
      trainable: lora,
      lora,
      base: 8_030_261_248,
      all: 8_030_261_248 + lora,
      fullCopies: 0,
      embeddings: 1_050_673_152,
    });
  });

  it("counts the good run: rank 32 and both copies", () => {
    const counts = countsOf(32, true);
    expect(counts).toMatchObject({
      trainable: 1_134_559_232,
      all: 9_164_820_480,
      fullCopies: 1_050_673_152,
      frozen: 8_030_261_248,
      lora: 83_886_080,
    });
    expect(peftBanner(counts)).toBe("trainable params: 1,134,559,232 || all params: 9,164,820,480 || trainable%: 12.3795");
  });

  it("counts rank 64 and both copies, unfrozen", () => {
    const counts = countsOf(64, true);
    expect(counts).toMatchObject({ trainable: 1_218_445_312, all: 9_248_706_560 });
    expect(peftBanner(counts)).toMatch(/trainable%: 13\.1742$/);
  });

  it("counts the bad run: both copies there, but frozen", () => {
    const { entries } = predictLedger(spec, adapter(64, true), [], options);
    const bad = observeLedger(entries.map((entry) => ({ ...entry, trainable: entry.trainable && entry.role !== "full_copy" })));
    const counts = ledgerCounts(bad);
    expect(counts).toMatchObject({ trainable: 167_772_160, all: 9_248_706_560, fullCopies: 1_050_673_152 });
    expect(counts.percent.toFixed(2)).toBe("1.81");
    expect(compareLedgers({ basis: "predicted", entries }, bad, { group: false }).map(({ kind, name }) => [kind, name])).toEqual([
      ["trainable→frozen", "base_model.model.model.embed_tokens.modules_to_save.default.weight"],
      ["trainable→frozen", "base_model.model.lm_head.modules_to_save.default.weight"],
    ]);
  });

  it.each([
    [64, 2_772_434_944, "2.58 GiB"],
    [32, 2_436_890_624, "2.27 GiB"],
  ])("weighs the file of rank %i: fp32 LoRA and bf16 copies", (rank, bytes, text) => {
    expect(fileBytes(rank)).toBe(bytes);
    expect(formatBytes(bytes)).toBe(text);
  });

  it("weighs the NF4 linears at about 3.6 GB", () => {
    const quantized = predictLedger(spec, null, [], options).entries.filter(({ role }) => role === "quantized_base");
    expect(quantized).toHaveLength(32 * 7);
    // 6,979,321,856 weights at half a byte and, per 64 of them, one byte and a little.
    expect(quantized.reduce((sum, { bytes }) => sum + bytes, 0) / 6_979_321_856).toBeCloseTo(0.5 + 1 / 64 + 4 / (64 * 256), 5);
  });

  it("itemises the table by role and kind of module", () => {
    const rows = ledgerTable(predictLedger(spec, adapter(32, true), [{ name: "embeddings", match: ["embed_tokens", "lm_head"] }], options));
    expect(rows.slice(0, 2)).toMatchObject([
      { role: "full_copy", kind: "embed_tokens", group: "embeddings", parameters: 525_336_576, dtype: "BF16" },
      { role: "lora_A", kind: "q_proj", group: "default", tensors: 32, parameters: 32 * 32 * 4096, dtype: "F32" },
    ]);
    expect(rows.reduce((sum, row) => sum + row.parameters, 0)).toBe(9_164_820_480);
  });
});
