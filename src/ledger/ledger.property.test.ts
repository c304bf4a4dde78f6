import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AdapterSpec, adapterFromPeft, adapterTensors, peftFromAdapter, resolveTargets, storedAdapter } from "../adapter/index.ts";
import { isHeirloomError } from "../core/index.ts";
import { loraPeftConfig, parsePeftConfig } from "../formats/index.ts";
import { type ModelSpec, parseModelConfig } from "../model/index.ts";
import {
  assertSameLedger,
  compareLedgers,
  type Ledger,
  type LedgerEntry,
  ledgerCounts,
  observeLedger,
  predictLedger,
  readLedger,
} from "./index.ts";

// fast-check prints its seed with every failure.
const LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
const SAVED = ["embed_tokens", "lm_head", "model.embed_tokens", "norm", "input_layernorm"];

const models: fc.Arbitrary<ModelSpec> = fc
  .record({
    model_type: fc.constantFrom("llama", "mistral", "qwen2", "qwen3"),
    layers: fc.integer({ min: 1, max: 12 }),
    heads: fc.constantFrom(2, 4),
    tied: fc.boolean(),
    attention_bias: fc.boolean(),
  })
  .map(({ model_type, layers, heads, tied, attention_bias }) =>
    parseModelConfig(
      {
        model_type,
        num_hidden_layers: layers,
        num_attention_heads: heads,
        num_key_value_heads: 2,
        head_dim: 6,
        hidden_size: 8 * heads,
        intermediate_size: 40,
        vocab_size: 50,
        tie_word_embeddings: tied,
        attention_bias,
      },
      "config.json",
    ),
  );

const adapters: fc.Arbitrary<AdapterSpec> = fc
  .record({
    rank: fc.integer({ min: 1, max: 9 }),
    targets: fc.oneof(
      fc.constantFrom("all-linear", ".*_proj", String.raw`.*layers\.\d\.mlp\.(up|down)_proj`),
      fc.subarray(LINEARS, { minLength: 1 }),
    ),
    excluded: fc.option(fc.subarray(["mlp.up_proj", "k_proj", "layers.0.self_attn.q_proj"])),
    saved: fc.subarray(SAVED),
    layer: fc.option(fc.constant([0])),
    tie: fc.boolean(),
  })
  .map(({ rank, targets, excluded, saved, layer, tie }) => ({
    ...adapterFromPeft(loraPeftConfig({ r: rank, loraAlpha: 16, targetModules: ["x"] })),
    targetModules: targets,
    excludeModules: excluded,
    modulesToSave: saved,
    layersToTransform: typeof targets === "string" && targets !== "all-linear" ? null : layer,
    ensureWeightTying: tie,
  }));

/** Adapters that fit the model; a selection may leave no module, which is refused elsewhere. */
const pairs = fc.tuple(models, adapters).filter(([spec, adapter]) => {
  try {
    return resolveTargets(spec, adapter).lora.length > 0;
  } catch (error) {
    if (isHeirloomError(error) && error.code !== "INTERNAL") return false;
    throw error;
  }
});

const options = { baseDtype: "F32", quantization: null } as const;

describe("a ledger", () => {
  it("is the same predicted from the adapter and read from what is stored of it", () => {
    fc.assert(
      fc.property(pairs, ([spec, adapter]) => {
        const predicted = predictLedger(spec, adapter, [], options);
        const files = adapterTensors(resolveTargets(spec, adapter)).map(({ name, shape }) => ({ name, shape, dtype: "F32" }));
        const config = parsePeftConfig(
          JSON.parse(JSON.stringify(toDisk(peftFromAdapter(storedAdapter(spec, adapter))))),
          "adapter_config.json",
        );
        const read = readLedger({ tensors: files.sort((a, b) => (a.name < b.name ? -1 : 1)), config, spec });
        expect(compareLedgers(predicted, read)).toEqual([]);
        expect(read.entries.map(({ name }) => name)).toEqual(predicted.entries.map(({ name }) => name));
        // What is stored resolves to the same tensors again.
        expect(adapterTensors(resolveTargets(spec, adapterFromPeft(config)))).toEqual(adapterTensors(resolveTargets(spec, adapter)));
      }),
    );
  });

  it("is the same observed, and its counts add up", () => {
    fc.assert(
      fc.property(pairs, ([spec, adapter]) => {
        const predicted = predictLedger(spec, adapter, [{ name: "B", match: ["lora_B"] }], options);
        assertSameLedger(predicted, observeLedger(predicted.entries), "test");
        const counts = ledgerCounts(predicted);
        expect(counts.all).toBe(counts.base + counts.lora + counts.fullCopies + counts.bias + counts.magnitude);
        expect(counts.trainable).toBe(counts.lora + counts.fullCopies);
        expect(counts.trainable + counts.frozen).toBe(counts.all);
      }),
    );
  });

  it("never differs in silence: every removed, added or altered entry is reported, by name", () => {
    const alterations: readonly ((entry: LedgerEntry) => LedgerEntry | null)[] = [
      () => null,
      (entry) => ({ ...entry, trainable: !entry.trainable }),
      (entry) => ({ ...entry, shape: [...entry.shape, 2] }),
      (entry) => ({ ...entry, shape: entry.shape.map((size) => size + 1) }),
      (entry) => ({ ...entry, dtype: "BF16" }),
      (entry) => ({ ...entry, group: "another" }),
      (entry) => ({ ...entry, role: "other" }),
      (entry) => ({ ...entry, name: `${entry.name}x` }),
    ];
    fc.assert(
      fc.property(pairs, fc.nat(), fc.constantFrom(...alterations), fc.boolean(), ([spec, adapter], pick, alter, swapped) => {
        const expected = predictLedger(spec, adapter, [], options);
        const index = pick % expected.entries.length;
        const target = expected.entries[index] as LedgerEntry;
        const altered = alter(target);
        const actual: Ledger = {
          basis: "observed",
          entries: expected.entries.flatMap((entry, i) => (i !== index ? [entry] : altered === null ? [] : [altered])),
        };
        const differences = swapped ? compareLedgers(actual, expected) : compareLedgers(expected, actual);
        expect(differences.map(({ name }) => name)).toContain(target.name);
        expect(() => assertSameLedger(expected, actual, "test")).toThrow(
          expect.objectContaining({ code: "LEDGER_MISMATCH", message: expect.stringContaining(target.name) }),
        );
      }),
    );
  });

  it("reports an entry that is there twice", () => {
    fc.assert(
      fc.property(pairs, fc.nat(), ([spec, adapter], pick) => {
        const expected = predictLedger(spec, adapter, [], options);
        const twice = expected.entries[pick % expected.entries.length] as LedgerEntry;
        expect(compareLedgers(expected, { basis: "observed", entries: [...expected.entries, twice] })).toMatchObject([
          { kind: "extra", name: twice.name },
        ]);
      }),
    );
  });
});

/** Field names as on disk. */
function toDisk(config: object): Record<string, unknown> {
  const json = Object.fromEntries(
    Object.entries(config).map(([key, value]) => [key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value]),
  );
  const { kind: _kind, raw: _raw, unknown_keys: _unknown, ...fields } = json;
  return fields;
}
