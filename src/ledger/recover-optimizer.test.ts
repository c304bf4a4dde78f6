import { describe, expect, it } from "vitest";
import { entryOf } from "./entry.ts";
import { inUsualOrder, type LedgerEntry, recoverOptimizer } from "./index.ts";
import { liveNameFacts } from "./names.ts";

const entry = (name: string, shape: readonly number[]): LedgerEntry =>
  entryOf({ name, ...liveNameFacts(name), shape, dtype: "F32", trainable: true, group: null });
const lora = (layer: number, module: string, [out, inner]: readonly [number, number]): LedgerEntry[] => {
  const path = `base_model.model.model.layers.${layer}.${module}`;
  return [entry(`${path}.lora_A.default.weight`, [2, inner]), entry(`${path}.lora_B.default.weight`, [out, 2])];
};
const EMBED = entry("base_model.model.model.embed_tokens.modules_to_save.default.weight", [32, 8]);
const HEAD = entry("base_model.model.lm_head.modules_to_save.default.weight", [32, 8]);
const NORM = entry("base_model.model.model.layers.0.input_layernorm.modules_to_save.default.weight", [8]);
const LORA = [...lora(0, "self_attn.q_proj", [8, 8]), ...lora(0, "self_attn.k_proj", [4, 8]), ...lora(0, "mlp.down_proj", [8, 12])];
const shapes = (entries: readonly LedgerEntry[]) => entries.map(({ shape }) => shape);
const names = (entries: readonly LedgerEntry[]) => entries.map(({ name }) => name);

describe("recoverOptimizer", () => {
  it("names the indices of a Trainer, decay first", () => {
    const all = [EMBED, ...LORA, NORM, HEAD];
    const found = recoverOptimizer(all, [shapes([EMBED, ...LORA, HEAD]), shapes([NORM])]);
    expect(found).toMatchObject({ kind: "recovered", order: "trainer", leftOut: [], groupNames: ["decay", "no_decay"] });
    expect(found.kind === "recovered" && found.groups).toEqual([names([EMBED, ...LORA, HEAD]), names([NORM])]);
  });

  it("knows Unsloth's two groups, embeddings last", () => {
    const found = recoverOptimizer([EMBED, ...LORA, HEAD], [shapes(LORA), shapes([EMBED, HEAD])]);
    expect(found).toMatchObject({ kind: "recovered", order: "unsloth", groups: [names(LORA), names([EMBED, HEAD])] });
  });

  it("knows LoRA+'s groups", () => {
    const a = LORA.filter(({ role }) => role === "lora_A");
    const b = LORA.filter(({ role }) => role === "lora_B");
    expect(recoverOptimizer(LORA, [shapes(a), [], shapes(b), []])).toMatchObject({ order: "lora+", groups: [names(a), [], names(b), []] });
  });

  it("finds that both full copies, or one of them, were frozen", () => {
    const all = [EMBED, ...LORA, HEAD];
    expect(recoverOptimizer(all, [shapes(LORA), []])).toMatchObject({ kind: "recovered", leftOut: names([EMBED, HEAD]) });
    expect(recoverOptimizer(all, [shapes([...LORA, HEAD]), []])).toMatchObject({ kind: "recovered", leftOut: [EMBED.name] });
    expect(recoverOptimizer(all, [shapes([EMBED, HEAD]), []])).toMatchObject({ kind: "recovered", leftOut: names(LORA) });
  });

  it("finds any other subset that shapes alone pin down, and no other", () => {
    expect(recoverOptimizer(LORA, [shapes(LORA.slice(2, 4)), []])).toMatchObject({ kind: "unknown" });
    expect(recoverOptimizer(LORA, [shapes(LORA.slice(3, 5)), []])).toMatchObject({
      kind: "recovered",
      leftOut: names([...LORA.slice(0, 3), ...LORA.slice(5)]),
    });
  });

  it("tells a state whose lengths fit but whose shapes do not", () => {
    const swapped = [...LORA.slice(2), ...LORA.slice(0, 2)];
    expect(recoverOptimizer(LORA, [shapes(swapped), []])).toEqual({
      kind: "conflict",
      order: "trainer",
      conflict: { index: 1, name: LORA[1]?.name, expected: [8, 2], found: [4, 2] },
    });
  });

  it("says that it does not know when the number fits nothing", () => {
    expect(recoverOptimizer(LORA, [shapes([...LORA, ...LORA]), []])).toMatchObject({
      kind: "unknown",
      reason: expect.stringContaining("12 tensors"),
    });
  });
});

it("puts entries into the order in which a model usually registers them, from names alone", () => {
  const all = [EMBED, ...LORA, NORM, ...lora(10, "self_attn.q_proj", [8, 8]), HEAD];
  const mixed = all.toSorted((a, b) => (a.name.length % 7) - (b.name.length % 7) || (a.name < b.name ? 1 : -1));
  expect(names(inUsualOrder(mixed))).toEqual(names(all));
});
