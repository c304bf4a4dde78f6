import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeToF32 } from "../../codecs/index.ts";
import { withValues } from "../../engine/fixtures/tiny-model.ts";
import { MERGE_RECORD, verifyLineage } from "../../runs/index.ts";
import { failure, TinyWorkshop } from "../../train/fixtures/tiny-run.ts";
import { evaluate } from "../../train/index.ts";
import { ExportScene } from "../fixtures/scene.ts";
import { type MergeRequest, mergeAdapter } from "../index.ts";
import { checkWeights } from "./check-weights.ts";
import { mergedTensorFile } from "./merged-file.ts";
import { type Merge, prepareMerge, sourcesOf } from "./prepared.ts";

let scene: ExportScene;
let base: string;
let made = 0;
beforeAll(async () => {
  scene = new ExportScene();
  base = await scene.model("base", { dtype: "BF16" });
});
afterAll(() => scene.close());

const merge = (request: Omit<MergeRequest, "output">, output = `merged-${++made}`) =>
  mergeAdapter({ output: scene.path(output), ...request }, { inline: true });

describe("merging a trained adapter", () => {
  let workshop: TinyWorkshop;
  let run: string;
  beforeAll(async () => {
    workshop = await TinyWorkshop.open({ dtype: "BF16" });
    run = (await workshop.train({ quantization: "nf4", training: { steps: 3 } })).result.run;
  });
  afterAll(() => workshop.close());

  test("gives the adapter's logits and held-out loss, and says what the original weights would change", async () => {
    const { check, difference, changed } = await merge({ path: run, output: workshop.path("m"), dtype: "fp32" } as MergeRequest);
    expect(check?.merged.rms).toBeLessThan(check?.bound as number);
    expect(check?.effect.rms).toBeGreaterThan(100 * (check?.bound as number));
    // The original weights give other logits, by far more than rounding does.
    expect(check?.onOriginal?.rms).toBeGreaterThan(1000 * (check?.bound as number));
    expect(difference?.find(({ group }) => group === "q_proj")).toMatchObject({ tensors: 2 });
    expect(difference?.every(({ relative }) => relative > 0.05 && relative < 0.15)).toBe(true);
    expect(changed).toBe(2 * 7 + 2);
    const sets = { held: [workshop.path("eval.jsonl")] };
    const [ofMerged, ofAdapter] = [
      await evaluate({ path: workshop.path("m"), sets, maxLength: 48 }),
      await evaluate({ path: run, sets, maxLength: 48 }),
    ];
    // Sums in fp32 in another order.
    expect(ofMerged.evaluations[0]?.loss).toBeCloseTo(ofAdapter.evaluations[0]?.loss as number, 5);
  });

  test("onto the original weights differs from onto the base as trained by what was measured", async () => {
    const { check, notes } = await merge({ path: run, output: workshop.path("o"), dtype: "fp32", onto: "original" } as MergeRequest);
    expect(check?.merged.rms).toBeLessThan(check?.bound as number);
    expect(check?.onOriginal?.rms).toBeGreaterThan(0.01);
    expect(notes).toContain("merged onto the original weights, which the adapter did not see in training");
  });

  test("joins the lineage from hash to hash, and a changed byte of the merged weights is told", async () => {
    await merge({ path: run, output: workshop.path("l") } as MergeRequest);
    const lineage = await verifyLineage(workshop.path("l"));
    expect(lineage).toMatchObject({ ok: true, runs: [expect.any(String)] });
    expect(lineage.links.map(({ what }) => what).slice(0, 4)).toEqual(["merged model", "base model", "parent adapter", "parent record"]);
    const weights = workshop.path("l", "model.safetensors");
    const bytes = readFileSync(weights);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    writeFileSync(weights, bytes);
    const broken = (await verifyLineage(workshop.path("l"))).links.filter(({ state }) => state !== "ok");
    expect(broken).toMatchObject([{ what: "merged model", state: "changed" }]);
    writeFileSync(workshop.path("l", MERGE_RECORD), "{");
    expect(await failure(verifyLineage(workshop.path("l")))).toMatchObject({ code: "RECORD_INVALID" });
  });

  test("refuses a base that is not the one of the record, and a contradicting --held-as", async () => {
    const other = await workshop.model("other", { seed: 9 });
    expect(await failure(merge({ path: run, base: other }))).toMatchObject({ code: "BASE_MISMATCH" });
    expect(await failure(merge({ path: run, heldAs: "files" }))).toMatchObject({ code: "USAGE" });
  });
});

describe("a merged folder", () => {
  test("has the base's dtype, tokenizer and configuration, every number in its spelling", async () => {
    writeFileSync(join(base, "generation_config.json"), "{}");
    const text = readFileSync(join(base, "config.json"), "utf8").replace(
      '"rope_theta": 10000',
      '"rope_theta": 10000.0,\n  "quantization_config": null',
    );
    writeFileSync(join(base, "config.json"), text);
    const adapter = await scene.adapter("plain", base);
    const { output, dtype, files } = await merge({ path: adapter }, "plain-merged");
    expect(dtype).toBe("bf16");
    expect(files).toEqual(["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"]);
    expect(readFileSync(join(output, "config.json"), "utf8")).toContain('"rope_theta": 10000.0,');
    expect(scene.json("plain-merged", "config.json")).toMatchObject({ torch_dtype: "bfloat16", tie_word_embeddings: false });
    expect(scene.json("plain-merged", "config.json")).not.toHaveProperty("quantization_config");
  });

  test("is cut into shards with an index that gives the same tensors", async () => {
    const adapter = await scene.adapter("sharded", base);
    await merge({ path: adapter, dtype: "fp32" }, "whole");
    const { files } = await merge({ path: adapter, dtype: "fp32", maxShardBytes: 20_000 }, "pieces");
    expect(files.filter((name) => name.endsWith(".safetensors")).length).toBeGreaterThan(2);
    const whole = await scene.tensors("whole", "model.safetensors");
    const { weight_map: map, metadata } = scene.json("pieces", "model.safetensors.index.json") as {
      weight_map: Record<string, string>;
      metadata: { total_size: number };
    };
    expect(Object.keys(map).sort()).toEqual([...whole.tensors.keys()].sort());
    let bytes = 0;
    for (const [name, file] of Object.entries(map)) {
      const part = await (await scene.tensors("pieces", file)).read(name);
      expect(Buffer.compare(part, await whole.read(name))).toBe(0);
      bytes += part.byteLength;
    }
    expect(metadata.total_size).toBe(bytes);
  });

  test("takes the tokenizer that lies with the adapter before the base's", async () => {
    const adapter = await scene.adapter("own-tokenizer", base);
    const tokenizer = readFileSync(join(base, "tokenizer.json"), "utf8");
    writeFileSync(join(adapter, "tokenizer.json"), tokenizer);
    writeFileSync(join(adapter, "chat_template.jinja"), "{{ messages }}");
    const { files } = await merge({ path: adapter }, "own");
    expect(files).toContain("chat_template.jinja");
    expect(files).not.toContain("tokenizer_config.json");
  });
});

describe("tied embeddings", () => {
  let tied: string;
  beforeAll(async () => {
    tied = await scene.model("tied", { tied: true });
  });

  test.each([
    ["stay tied where neither is changed", {}, true],
    ["stay tied where one copy is trained as both", { modules_to_save: ["embed_tokens", "lm_head"], ensure_weight_tying: true }, true],
    ["are untied where two copies differ", { modules_to_save: ["embed_tokens", "lm_head"] }, false],
    ["are untied where only the head is trained", { modules_to_save: ["lm_head"] }, false],
    ["are untied where only the embedding is trained", { modules_to_save: ["embed_tokens"] }, false],
  ])("%s", async (_, config, after) => {
    const adapter = await scene.adapter(`tied-${++made}`, tied, { config });
    const { tie, output, check } = await merge({ path: adapter, dtype: "fp32" });
    expect(tie).toMatchObject({ before: true, after });
    const name = output.slice(output.lastIndexOf("/") + 1);
    expect(scene.json(name, "config.json")["tie_word_embeddings"]).toBe(after);
    expect((await scene.tensors(name, "model.safetensors")).tensors.has("lm_head.weight")).toBe(!after);
    expect(check?.merged.rms).toBeLessThan(check?.bound as number);
  });

  test("stay tied where two copies hold the same values", async () => {
    const same = (name: string, count: number) =>
      name.includes("lora") ? undefined : Float32Array.from({ length: count }, (_, i) => Math.sin(i));
    const adapter = await scene.adapter("twins", tied, { config: { modules_to_save: ["embed_tokens", "lm_head"] }, values: same });
    expect((await merge({ path: adapter, dtype: "fp32" })).tie).toMatchObject({
      after: true,
      reason: "the two copies hold the same values",
    });
  });

  test("stay tied where rows of both are trained as one", async () => {
    const adapter = await scene.adapter("rows", tied, { config: { trainable_token_indices: [3, -1] } });
    const { tie, output } = await merge({ path: adapter, dtype: "fp32", check: false });
    expect(tie.after).toBe(true);
    const file = await scene.tensors(output.slice(output.lastIndexOf("/") + 1), "model.safetensors");
    const values = decodeToF32("F32", await file.read("model.embed_tokens.weight"));
    const rows = decodeToF32(
      "F32",
      await (await scene.tensors("rows", "adapter_model.safetensors")).read(
        "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta",
      ),
    );
    expect(values.slice(3 * 32, 4 * 32)).toEqual(rows.slice(0, 32));
    expect(values.slice(-32)).toEqual(rows.slice(32));
  });
});

describe("an adapter that the engine does not run", () => {
  const CASES: readonly (readonly [string, Record<string, unknown>])[] = [
    ["DoRA", { use_dora: true, target_modules: "all-linear" }],
    ["LoRA on the embedding", { target_modules: ["embed_tokens", "q_proj"] }],
    ["trained rows", { trainable_token_indices: [0, 17, -1] }],
    ["both, on a base in NF4", { target_modules: ["embed_tokens", "o_proj"], trainable_token_indices: { lm_head: [5] } }],
  ];

  test.each(CASES)("has its merged weights held against the formula, and that is said and recorded: %s", async (_, config) => {
    const adapter = await scene.adapter(`not-run-${++made}`, base, { config });
    for (const dtype of ["fp32", "bf16", "fp16"] as const) {
      const { check, weightCheck, notes, output, tensors } = await merge({ path: adapter, dtype, heldAs: "nf4" });
      expect(check).toBeNull();
      expect(weightCheck).toMatchObject({ kind: "weights", tensors });
      expect(weightCheck?.largestShareOfRounding).toBeLessThanOrEqual(1);
      // Rounding to 8 or 11 bits uses nearly all that it may; fp32 has room for further roundings on the way.
      expect(weightCheck?.largestShareOfRounding).toBeGreaterThan(dtype === "fp32" ? 0.1 : 0.9);
      expect(notes.join()).toContain("in place of logits the merged weights were compared");
      expect(scene.json(output.slice(output.lastIndexOf("/") + 1), MERGE_RECORD)["check"]).toEqual(weightCheck);
    }
  });

  test("is merged without any comparison with --no-check, which is said", async () => {
    const adapter = await scene.adapter("unchecked", base, { config: { use_dora: true } });
    const { check, weightCheck, notes } = await merge({ path: adapter, check: false });
    expect([check, weightCheck]).toEqual([null, null]);
    expect(notes).toContain("the merged model was NOT compared with the adapter (--no-check)");
  });

  test.each(CASES)("fails where a value is not what the formula gives: %s", async (_, config) => {
    const opened: { close(): Promise<void> }[] = [];
    try {
      const request = (path: string) => ({ path, output: scene.path("never"), dtype: "fp32" as const, heldAs: "nf4" as const });
      const adapter = await scene.adapter(`right-${++made}`, base, { config });
      // The same matrices at another scale, and rows of another adapter.
      const other = await scene.adapter(`wrong-${made}`, base, {
        config: { ...config, lora_alpha: 8.001 },
        values: (name, count) => (name.includes("trainable") ? new Float32Array(count).fill(0.1) : undefined),
      });
      const [merged, wrong] = [await prepareMerge(request(adapter), opened), await prepareMerge(request(other), opened)];
      const context = { emit: () => undefined, stopRequested: () => false } as unknown as Parameters<typeof checkWeights>[2];
      const file = (of: Merge) => mergedTensorFile("merged", sourcesOf(of), of.plan.recipes);
      expect((await checkWeights(file(merged), merged, context)).tensors).toBe(merged.plan.recipes.length);
      expect(await failure(checkWeights(file(wrong), merged, context))).toMatchObject({ code: "MERGE_MISMATCH" });
    } finally {
      await Promise.all(opened.map((folder) => folder.close()));
    }
  });
});

describe("a merge that cannot be made", () => {
  /** Refused with this code, and nothing is left in the folder. */
  async function refused(request: Omit<MergeRequest, "output">, output?: string) {
    const before = scene.names();
    const error = await failure(merge(request, output));
    expect(scene.names()).toEqual(before);
    return error;
  }

  test("is refused where something is there already", async () => {
    const adapter = await scene.adapter("again", base);
    expect(await refused({ path: adapter }, "base")).toMatchObject({ code: "OUTPUT_EXISTS" });
  });

  test("fails where the merged logits are not the adapter's, with nothing left behind", async () => {
    // Weights of the size 1e-7, which fp16 has only six bits or fewer of; the gains before them make up for it.
    const gains: readonly (readonly [RegExp, number])[] = [
      [/post_attention_layernorm/, 1e3],
      [/gate_proj/, 1e-3],
      [/up_proj/, 1e3],
      [/down_proj/, 1e-6],
    ];
    const tiny = await scene.model("underflowing", {
      change(name, tensor) {
        const gain = gains.find(([pattern]) => pattern.test(name))?.[1] ?? 1;
        return withValues(
          tensor,
          tensor.values.map((value) => value * gain),
        );
      },
    });
    const adapter = await scene.adapter("on-underflowing", tiny, { config: { target_modules: ["q_proj"] } });
    expect(await refused({ path: adapter, dtype: "fp16" })).toMatchObject({ code: "MERGE_MISMATCH", exitCode: 30 });
    expect((await merge({ path: adapter, dtype: "fp32" })).check).not.toBeNull();
  });

  test("is refused where a value is beyond fp16, or not a number", async () => {
    const huge = await scene.adapter("huge", base, {
      values: (name, count) => (name.includes("lora_B") ? new Float32Array(count).fill(1e6) : undefined),
    });
    expect(await refused({ path: huge, dtype: "fp16", check: false })).toMatchObject({
      code: "TENSOR_NOT_FINITE",
      hint: "merge with --dtype bf16",
    });
    const nan = await scene.adapter("nan", base, {
      values: (name, count) => (name.includes("lora_B") ? new Float32Array(count).fill(Number.NaN) : undefined),
    });
    expect(await refused({ path: nan, check: false })).toMatchObject({ code: "TENSOR_NOT_FINITE" });
  });

  test.each([
    ["alora_invocation_tokens", { alora_invocation_tokens: [1] }],
    ["init_lora_weights", { init_lora_weights: "pissa" }],
    ["lora_bias", { lora_bias: true }],
    ["task_type", { task_type: "SEQ_CLS" }],
    ["use_dora", { use_dora: true, target_modules: ["embed_tokens"] }],
  ])("is refused for what no weights can hold: %s", async (feature, config) => {
    const adapter = await scene.adapter(`refused-${feature}`, base, { config });
    expect(await refused({ path: adapter, check: false })).toMatchObject({ code: "ADAPTER_UNSUPPORTED", details: { feature } });
  });

  test("is refused for an adapter that lacks a tensor, has one too many, or is on another base", async () => {
    const adapter = await scene.adapter("short", base);
    writeFileSync(
      join(adapter, "adapter_config.json"),
      JSON.stringify({ ...scene.json("short", "adapter_config.json"), target_modules: ["q_proj", "o_proj"] }),
    );
    const error = await refused({ path: adapter, check: false });
    expect(error.code).toBe("ADAPTER_INCOMPATIBLE");
    expect(error.problems.length).toBeGreaterThan(4);
    const wide = await scene.model("wide", { config: { hidden_size: 64, head_dim: 16 } });
    expect(await refused({ path: await scene.adapter("narrow", base), base: wide, check: false })).toMatchObject({ code: "TENSOR_SHAPE" });
  });

  test("is refused for a model, for no base, for a base that is not there, and for a file cut short", async () => {
    expect(await refused({ path: base })).toMatchObject({ code: "FILE_MISSING" });
    const orphan = await scene.adapter("orphan", base, { config: {} });
    writeFileSync(
      join(orphan, "adapter_config.json"),
      JSON.stringify({ ...scene.json("orphan", "adapter_config.json"), base_model_name_or_path: null }),
    );
    expect(await refused({ path: orphan })).toMatchObject({ code: "FILE_MISSING", hint: "name it with --base" });
    expect(await refused({ path: orphan, base: scene.path("nowhere") })).toMatchObject({ code: "FILE_MISSING" });
    const weights = join(orphan, "adapter_model.safetensors");
    writeFileSync(weights, readFileSync(weights).subarray(0, -5));
    expect(await refused({ path: orphan, base })).toMatchObject({ code: "SAFETENSORS_TRUNCATED" });
  });

  test("stops when it is told to, and clears away what it wrote", async () => {
    const adapter = await scene.adapter("stopped", base);
    const before = scene.names();
    for (const phase of ["merging", "comparing logits"]) {
      const controller = new AbortController();
      const stopped = mergeAdapter(
        { path: adapter, output: scene.path("never") },
        { inline: true, signal: controller.signal, onEvent: (event) => event.phase === phase && controller.abort() },
      );
      expect(await failure(stopped)).toMatchObject({ code: "INTERRUPTED", exitCode: 130 });
      expect(scene.names()).toEqual(before);
    }
  });
});
