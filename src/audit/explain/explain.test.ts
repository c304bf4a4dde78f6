import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { type AdapterSpec, adapterSpec, adapterTensors, peftFromAdapter, resolveTargets } from "../../adapter/index.ts";
import { parseModelConfig } from "../../model/index.ts";
import { type AdapterFacts, type ExplainResult, explain } from "./index.ts";

const CONFIG = "vectors/configs/llama-3.1-8b.json";
const spec = parseModelConfig(JSON.parse(readFileSync(CONFIG, "utf8")), CONFIG);
const LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
const SEED_LINE = "trainable params: 167,772,160 (1.81%)";

function adapterOf(changes: Partial<AdapterSpec>): AdapterFacts {
  const adapter = adapterSpec({ rank: 64, alpha: 64, targetModules: LINEARS, modulesToSave: ["embed_tokens", "lm_head"], ...changes });
  const tensors = adapterTensors(resolveTargets(spec, adapter)).map(({ name, shape, role }) => ({
    name,
    shape,
    dtype: role === "full_copy" ? "BF16" : "F32",
  }));
  return { config: peftFromAdapter(adapter), tensors };
}

describe("the original case, from the base's config and one line", () => {
  let result: ExplainResult;
  beforeAll(() => {
    const start = performance.now();
    result = explain(SEED_LINE, spec);
    // The budget is 2 s; a quiet core takes about 0.1 s.
    expect(performance.now() - start).toBeLessThan(2000);
  });

  it("has no solution of rank 32 or less", () => {
    expect(result.exactCount).toBe(result.hypotheses.length);
    expect(result.exactCount).toBeGreaterThan(1);
    expect(Math.min(...result.hypotheses.map(({ rank }) => rank ?? 0))).toBe(64);
    expect(result.verdict).toContain("No exact solution has rank 4, 8, 16 or 32");
  });

  it("has both full copies in the model and frozen in every solution", () => {
    const states = new Set(result.hypotheses.flatMap(({ fullCopies }) => fullCopies.map(({ module, state }) => `${module} ${state}`)));
    expect([...states]).toEqual(["embed_tokens frozen", "lm_head frozen"]);
    expect(result.verdict).toContain("Every one of them has full copies of embed_tokens and lm_head in the model and frozen.");
  });

  it("takes rank 64 on the seven linears of all layers for the most ordinary, half the layers at rank 128 next", () => {
    expect(result.hypotheses[0]).toMatchObject({
      method: "lora",
      rank: 64,
      targets: LINEARS,
      layers: { count: 32, of: 32 },
      trainable: 167_772_160,
      all: 9_248_706_560,
      exact: true,
      unfrozen: { trainable: 1_218_445_312, all: 9_248_706_560 },
    });
    expect(result.hypotheses[0]?.unfrozen?.percent.toFixed(4)).toBe("13.1742");
    expect(result.hypotheses[0]?.files[0]).toEqual({ lora: "F32", copies: "BF16", bytes: 2_772_434_944 });
    expect(result.hypotheses[1]).toMatchObject({ rank: 128, layers: { count: 16, of: 32 } });
    expect(result.verdict).toContain("1,218,445,312 of 9,248,706,560 (13.1742 %)");
  });

  it("says that the earlier count is another adapter, what its file weighs, and what a size cannot tell", () => {
    expect(result.otherRanks.find(({ rank }) => rank === 32)).toMatchObject({
      trainable: 1_134_559_232,
      all: 9_164_820_480,
      lora: 83_886_080,
      files: [{ bytes: 2_436_890_624 }, {}, {}],
    });
    expect(result.verdict).toContain(
      "printed 1,134,559,232 of 9,164,820,480 (12.3795 %) had another adapter: rank 32, file 2.27 GiB (fp32 LoRA, bf16 copies)",
    );
    expect(result.verdict).toMatch(/size tells such ranks apart, and nothing about what was trained/);
  });

  it("ends with commands to type", () => {
    expect(result.advice.join("\n")).toContain("heirloom continue ADAPTER -c more.yaml");
    expect(result.advice.join("\n")).toContain(`heirloom explain '${SEED_LINE}' --base BASE --adapter ADAPTER`);
  });
});

describe("explain", () => {
  it("shows that no one adapter printed both lines of the report", () => {
    const log = `trainable params: 1,134,559,232 || trainable%: 12.38\n${SEED_LINE}`;
    const { sameAdapter, earlier, verdict } = explain(log, spec);
    expect(sameAdapter).toEqual([]);
    expect(earlier[0]?.hypotheses[0]).toMatchObject({ rank: 32, targets: LINEARS, layers: { count: 32 } });
    expect(verdict).toContain("No one adapter prints all 2 banners of this log");
  });

  it("finds the one adapter behind a count that fell on reloading", () => {
    const log = `trainable params: 1,218,445,312 || all params: 9,248,706,560 || trainable%: 13.1742\n${SEED_LINE}`;
    const { sameAdapter, verdict } = explain(log, spec);
    expect(sameAdapter?.[0]).toMatchObject([
      { rank: 64, layers: { count: 32 }, fullCopies: [{ state: "trained" }, { state: "trained" }] },
      { rank: 64, layers: { count: 32 }, fullCopies: [{ state: "frozen" }, { state: "frozen" }] },
    ]);
    expect(verdict).toContain("One adapter can have printed all 2 banners");
  });

  it("lets the adapter's own files decide", () => {
    const { adapter, hypotheses, verdict } = explain(SEED_LINE, spec, { adapter: adapterOf({}) });
    expect(adapter).toMatchObject({
      ranks: [64],
      bytes: 2_772_434_944,
      unfrozen: { trainable: 1_218_445_312 },
      states: [{ trained: ["LoRA"], frozen: ["embed_tokens", "lm_head"] }],
    });
    expect(hypotheses.filter(({ conflictsWith }) => conflictsWith.length === 0)).toMatchObject([{ rank: 64 }]);
    expect(hypotheses[1]?.conflictsWith).toContainEqual({ where: "adapter_config.json", message: "r: this needs 128, the adapter has 64" });
    expect(verdict).toContain("It prints these numbers with embed_tokens and lm_head in the model and frozen, only LoRA trained.");
  });

  it("reckons sizes in the dtypes that the adapter is stored in", () => {
    const stored = adapterOf({});
    const inFp32 = { ...stored, tensors: stored.tensors.map((tensor) => ({ ...tensor, dtype: "F32" })) };
    const { adapter, hypotheses, otherRanks } = explain(SEED_LINE, spec, { adapter: inFp32 });
    expect(adapter?.dtypes).toEqual({ lora: "F32", copies: "F32" });
    expect(hypotheses[0]?.files[0]).toEqual({ lora: "F32", copies: "F32", bytes: adapter?.bytes });
    expect(hypotheses[0]?.files).toHaveLength(3);
    expect(otherRanks.find(({ rank }) => rank === 64)?.files[0]?.bytes).toBe(adapter?.bytes);
    const mixed = { ...stored, tensors: stored.tensors.map((tensor, at) => (at === 0 ? { ...tensor, dtype: "F64" } : tensor)) };
    expect(explain(SEED_LINE, spec, { adapter: mixed }).adapter?.dtypes).toBeNull();
  });

  it("says that an adapter cannot have printed a banner", () => {
    const { adapter, verdict, hypotheses } = explain(SEED_LINE, spec, { adapter: adapterOf({ rank: 32 }) });
    expect(adapter?.states).toEqual([]);
    expect(verdict).toContain("Whatever of it is frozen, it does not print these numbers");
    expect(hypotheses.every(({ conflictsWith }) => conflictsWith.length > 0)).toBe(true);
  });

  it("tells an adapter that was loaded for inference only, and its rank from the total", () => {
    const { hypotheses } = explain("trainable params: 0 || all params: 9,164,820,480 || trainable%: 0.0000", spec);
    expect(hypotheses[0]).toMatchObject({ rank: 32, targets: LINEARS, loraState: "frozen", exact: true });
    expect(explain("trainable params: 0", spec).hypotheses.map(({ method, rank }) => [method, rank])).toContainEqual(["none", null]);
  });

  it("knows the base trained in full, and a count of packed 4-bit weights", () => {
    expect(explain("8,030,261,248 of 8,030,261,248", spec).hypotheses[0]).toMatchObject({ method: "full" });
    const { hypotheses } = explain("trainable params: 41,943,040 || all params: 4,582,543,360 || trainable%: 0.9152", spec);
    expect(hypotheses[0]).toMatchObject({
      rank: 16,
      targets: LINEARS,
      counting: "packed",
      fullCopies: [{ state: "absent" }, { state: "absent" }],
    });
  });

  it("takes rounded counts for what they are", () => {
    const { hypotheses, verdict } = explain("Trainable parameters: 0.042% (3.408M/8033.669M)", spec);
    expect(hypotheses).toContainEqual(expect.objectContaining({ rank: 8, targets: ["q_proj", "v_proj"], layers: { count: 32, of: 32 } }));
    expect(verdict).toContain("as far as they were printed");
  });

  it("says which numbers fail when none fit all, and keeps to the count that is sure", () => {
    const { exactCount, hypotheses, verdict } = explain(
      "trainable params: 41,943,040 || all params: 8,072,212,480 || trainable%: 0.5196",
      spec,
    );
    expect(exactCount).toBe(0);
    expect(hypotheses[0]).toMatchObject({ rank: 16, targets: LINEARS, exact: false, misses: ["all"] });
    expect(verdict).toContain("resized vocabulary");
    expect(explain("7", spec)).toMatchObject({
      hypotheses: [],
      exactCount: 0,
      verdict: expect.stringContaining("Not searched: rank_pattern"),
    });
  });
});

describe("what was mistyped, or is of another base", () => {
  it("puts those first that nearly have the printed share, if none has it", () => {
    const { hypotheses, exactCount } = explain("trainable params: 167,772,160 (1.82%)", spec);
    expect(exactCount).toBe(0);
    expect(hypotheses[0]?.percent?.toFixed(4)).toBe("1.8140");
    expect(hypotheses[0]).toMatchObject({ rank: 64, fullCopies: [{ state: "frozen" }, { state: "frozen" }] });
  });

  it("says that a rank beyond the hidden size is nobody's", () => {
    const path = "vectors/llama-tiny/base/config.json";
    const tiny = parseModelConfig(JSON.parse(readFileSync(path, "utf8")), path);
    const { verdict } = explain("167772160", tiny);
    expect(verdict).toMatch(/Even the most ordinary has rank [\d,]+, beyond the hidden size of 64, which nobody trains/);
  });

  it("says in a few words how many configurations part in their full copies", () => {
    const sentence = explain("1134559232", spec)
      .verdict.split("\n")
      .find((line) => line.startsWith("They differ in the full copies"));
    expect(sentence?.split(";").length).toBeLessThanOrEqual(4);
    expect(sentence).toContain("in other ways (--all lists them)");
  });
});
