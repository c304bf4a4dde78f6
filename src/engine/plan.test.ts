import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { resolveTargets } from "../adapter/index.ts";
import { planRun } from "../audit/index.ts";
import { countFlops, type Graph, type Program, type Runtime } from "../compute/index.ts";
import { resolveConfig } from "../config/index.ts";
import type { MicroBatch } from "../data/index.ts";
import { openModelFolder } from "../folders/index.ts";
import { adapterFromConfig } from "../ledger/index.ts";
import { TINY_IDS, type TinyModelOptions, writeTinyModel } from "./fixtures/tiny-model.ts";
import { baseParameters, CausalModel, loadModelFolder, loraPlans, newAdapterParameters } from "./index.ts";

/** A runtime that computes nothing: it counts what it would have to. */
function countingRuntime(): Runtime & { flops: number } {
  const compile = (graph: Graph): Promise<Program> => {
    const types = (values: Graph["inputs"]) =>
      Object.fromEntries(Object.entries(values).map(([n, { shape, dtype }]) => [n, { shape, dtype }]));
    return Promise.resolve({
      inputs: types(graph.inputs),
      outputs: types(graph.outputs),
      run: () => {
        runtime.flops += countFlops(graph);
        return Promise.resolve();
      },
      dispose: () => Promise.resolve(),
    } as unknown as Program);
  };
  const runtime = { version: "0", device: "cpu", outputCopy: "ordinary", compile, flops: 0 } as unknown as Runtime & { flops: number };
  return runtime;
}

/** A batch of full rows in which every token has a label. */
function fullBatch(batch: number, sequence: number): MicroBatch {
  const ids = Int32Array.from({ length: batch * sequence }, () => TINY_IDS.eos + 1);
  return {
    batch,
    sequence,
    inputIds: ids,
    labels: ids,
    positions: Int32Array.from(ids, (_, i) => i % sequence),
    segments: ids.map(() => 1),
    tokenCount: ids.length,
    labelTokenCount: batch * (sequence - 1),
    examples: [],
  };
}

const BATCH = 2;
const SEQUENCE = 160; // more than one chunk of queries
const CHUNK_ROWS = 512;
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "heirloom-plan-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const BOTH = { modulesToSave: ["embed_tokens", "lm_head"] };
const DEEP = { num_hidden_layers: 4 };
const QWEN3 = { architectures: ["Qwen3ForCausalLM"], model_type: "qwen3" };
const CASES: readonly [name: string, values: Record<string, unknown>, model: TinyModelOptions][] = [
  ["all linears", { adapter: { rank: 4 } }, { config: DEEP }],
  ["full copies", { adapter: { rank: 4, ...BOTH } }, { config: DEEP }],
  ["tied copies as one", { adapter: { rank: 4, modulesToSave: ["embed_tokens"], ensureWeightTying: true } }, { config: DEEP, tied: true }],
  [
    "queries and values only, with dropout",
    { adapter: { rank: 4, dropout: 0.1, targetModules: ["q_proj", "v_proj"], ...BOTH } },
    { config: DEEP },
  ],
  ["upper layers only", { adapter: { rank: 4, layers: [2, 3] } }, { config: { num_hidden_layers: 6 } }],
  ["norms of queries and keys", { adapter: { rank: 2, ...BOTH } }, { config: { ...DEEP, ...QWEN3 } }],
  [
    "a sliding window",
    { adapter: { rank: 4 } },
    { config: { ...DEEP, architectures: ["MistralForCausalLM"], model_type: "mistral", sliding_window: 16 } },
  ],
  ["recomputed activations", { adapter: { rank: 4 }, engine: { activations: "recompute" } }, { config: DEEP }],
  ["a packed base without a cache", { adapter: { rank: 4 }, quantization: "nf4", engine: { dequantizedCache: "off" } }, { config: DEEP }],
  ["a cached base", { adapter: { rank: 4 }, quantization: "nf4", engine: { dequantizedCache: "on" } }, { config: DEEP }],
  ["all weights", { adapter: "none", fullParameter: true }, { config: DEEP }],
];

describe("plan", () => {
  it.each(CASES)("counts the engine's operations and buffers exactly: %s", async (name, values, model) => {
    const base = await writeTinyModel(join(folder, name.replaceAll(" ", "-")), model);
    const run = {
      base,
      quantization: "none",
      data: { train: "none.jsonl", maxLength: SEQUENCE },
      training: { steps: 1, batchSize: BATCH },
    };
    const { config } = resolveConfig({ inherited: { name: "test", values: { ...run, ...values } } });
    const plan = await planRun(config, { memoryBytes: 2 ** 40 });

    const opened = await openModelFolder(base);
    const weights = await loadModelFolder(opened, { quantization: config.quantization, cache: config.engine.dequantizedCache });
    await opened.folder.close();
    const adapter = config.adapter === null ? null : adapterFromConfig(config.adapter, base);
    const resolved = adapter === null ? null : resolveTargets(opened.spec, adapter);
    const parameters =
      adapter === null || resolved === null
        ? baseParameters(opened.spec, (tensor) => weights.values(tensor), "F32")
        : await newAdapterParameters({ spec: adapter, resolved, base: weights, seed: 1, fullCopyDtype: "F32" });
    const runtime = countingRuntime();
    const live = new CausalModel({
      runtime,
      spec: opened.spec,
      base: weights,
      parameters,
      lora: resolved === null ? new Map() : loraPlans(resolved),
      dropout: config.adapter?.dropout ?? 0,
      activations: config.engine.activations,
      threads: 1,
    });
    live.beginUpdate();
    await live.accumulate(fullBatch(BATCH, SEQUENCE), 1, { seed: 1, update: 0, microStep: 0 });

    const bytes = Object.fromEntries(plan.memory.parts.map((part) => [part.part, part.bytes]));
    const headRows = Math.min(CHUNK_ROWS, 2 ** Math.ceil(Math.log2(BATCH * SEQUENCE)));
    const headBuffers = 4 * headRows * (4 * opened.spec.hiddenSize + 2 + opened.spec.vocabSize);
    const isPacked = config.engine.dequantizedCache === "off" && config.quantization !== null;
    // The head computes whole chunks; the plan counts labelled rows.
    const headShare = headRows / (BATCH * SEQUENCE);
    expect(runtime.flops).toBeCloseTo(plan.update.flops.total + plan.update.flops.head * (headShare - 1), -1);
    expect(live.workspace.heldBytes).toBe((bytes["activations"] ?? 0) + headBuffers + (isPacked ? (bytes["dequantized"] ?? 0) : 0));
    const trained = parameters.reduce((sum, { values: held }) => sum + held.byteLength, 0);
    expect((bytes["masters"] ?? 0) + (bytes["fullCopies"] ?? 0)).toBe(trained);
    const rows = BATCH * SEQUENCE;
    const gradients = parameters.map(({ gradient, values: { length } }) =>
      "rows" in gradient ? Math.min(length, rows * gradient.width) : length,
    );
    expect(bytes["gradients"]).toBe(4 * gradients.reduce((sum, count) => sum + count, 0));
    if (!config.fullParameter) expect((bytes["base"] ?? 0) + (isPacked ? 0 : (bytes["dequantized"] ?? 0))).toBe(weights.bytes);
  });
});
