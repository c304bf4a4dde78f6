import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type AdapterSpec, adapterFromPeft, adapterTensors, peftFromAdapter, resolveTargets, storedAdapter } from "../adapter/index.ts";
import { isHeirloomError } from "../core/index.ts";
import { parsePeftConfig } from "../formats/index.ts";
import { parseModelConfig } from "../model/index.ts";
import { compareLedgers, ledgerCounts, peftBanners, predictLedger, readLedger } from "./index.ts";

interface Feature {
  readonly base: string;
  readonly given: Readonly<Record<string, unknown>>;
  readonly config: Readonly<Record<string, unknown>>;
  readonly fresh: string;
  readonly reload_trainable?: string;
  readonly reload_frozen?: string;
  readonly trainable: Readonly<Record<string, readonly number[]>>;
  readonly all: readonly string[];
  readonly scaling: Readonly<Record<string, number>>;
  readonly saved: Readonly<Record<string, readonly number[]>>;
}

const vectors = new URL("../../vectors/", import.meta.url);
const readVector = (path: string) => JSON.parse(readFileSync(new URL(path, vectors), "utf8"));
const { cases } = readVector("peft-features/cases.json") as { cases: Readonly<Record<string, Feature>> };
const names = Object.keys(cases).filter((name) => !name.startsWith("refused"));
const dense = { baseDtype: "F32", quantization: null };

/** A case with the adapter as PEFT stored it, and as it was given. */
function open(name: string) {
  const feature = cases[name] as Feature; // the names are the keys
  const spec = parseModelConfig(readVector(`peft-banners/${feature.base}/config.json`), feature.base);
  const ofConfig = (config: Readonly<Record<string, unknown>>): AdapterSpec => adapterFromPeft(parsePeftConfig(config, name));
  const given = { peft_type: "LORA", task_type: "CAUSAL_LM", r: 4, lora_alpha: 8, ...feature.given };
  return {
    feature,
    spec,
    config: () => parsePeftConfig(feature.config, name),
    stored: () => ofConfig(feature.config),
    given: () => ofConfig(given),
  };
}

const shapes = (entries: Iterable<readonly [string, readonly number[]]>) => Object.fromEntries(entries);

describe("a feature of PEFT", () => {
  it.each(names)("has PEFT's tensors, order, scaling and banners, predicted: %s", (name) => {
    const { feature, spec, stored, given } = open(name);
    for (const adapter of [stored(), given()]) {
      const ledger = predictLedger(spec, adapter, [], dense);
      const trainable = ledger.entries.filter((entry) => entry.trainable);
      expect(trainable.map((entry) => entry.name)).toEqual(Object.keys(feature.trainable));
      expect(shapes(trainable.map((entry) => [entry.name, entry.shape]))).toEqual(feature.trainable);
      expect(ledger.entries.map((entry) => entry.name)).toEqual(feature.all);
      const { fresh, reloadedTrainable, reloadedFrozen } = peftBanners(ledgerCounts(ledger));
      expect(fresh).toBe(feature.fresh);
      if (feature.reload_frozen !== undefined) {
        expect([reloadedTrainable, reloadedFrozen]).toEqual([feature.reload_trainable, feature.reload_frozen]);
      }
      const resolved = resolveTargets(spec, adapter);
      expect(Object.fromEntries(resolved.lora.map(({ module, scaling }) => [module, scaling]))).toEqual(feature.scaling);
      expect(shapes(adapterTensors(resolved).map((tensor) => [tensor.name, tensor.shape]))).toEqual(feature.saved);
    }
  });

  it.each(names)("is read from the file's headers as it is predicted: %s", (name) => {
    const { feature, spec, stored, config } = open(name);
    const tensors = Object.entries(feature.saved).map(([key, shape]) => ({ name: key, shape, dtype: "F32" }));
    const read = readLedger({ tensors, config: config(), spec });
    const predicted = predictLedger(spec, stored(), [], dense);
    expect(compareLedgers(predicted, read)).toEqual([]);
    expect(read.entries.map((entry) => entry.name)).toEqual(feature.all);
    expect(peftBanners(ledgerCounts(read))).toEqual(peftBanners(ledgerCounts(predicted)));
  });

  it.each(names)("is written down as PEFT stores it: %s", (name) => {
    const { feature, spec, given } = open(name);
    const written = peftFromAdapter(storedAdapter(spec, given()));
    const { targetModules } = written;
    const sorted = { ...written, targetModules: typeof targetModules === "string" ? targetModules : [...(targetModules ?? [])].sort() };
    const expected = parsePeftConfig(feature.config, name);
    expect({ ...sorted, raw: null, baseModelNameOrPath: null }).toEqual({ ...expected, raw: null, baseModelNameOrPath: null });
  });

  it.each(Object.keys(cases).filter((name) => name.startsWith("refused")))("is refused where PEFT refuses it: %s", (name) => {
    const { spec, given } = open(name);
    let error: unknown;
    try {
      resolveTargets(spec, given());
    } catch (caught) {
      error = caught;
    }
    expect(isHeirloomError(error)).toBe(true);
  });
});
