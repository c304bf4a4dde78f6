import { describe, expect, it } from "vitest";
import {
  add,
  attention,
  elementCount,
  exp,
  type Graph,
  gemm,
  gradients,
  input,
  log,
  reduceSum,
  reshape,
  rmsNorm,
  rope,
  splitForBackward,
  swiglu,
  transpose,
  type Value,
} from "../graph/index.ts";
import { evaluateReference } from "../reference/index.ts";
import { allocateTensor, loadRuntime, type OutputCopy, type TensorData } from "./index.ts";

const [B, S, H, HEADS, KV, D, V] = [2, 5, 8, 4, 2, 4, 11] as const;
const ROWS = B * S;

/** A transformer block and a head in small: every kind of fused op, with views between them. */
function tinyModel(): { readonly loss: Value; readonly weights: Readonly<Record<string, Value>> } {
  const weights = {
    norm: input("norm", [H]),
    wq: input("wq", [HEADS * D, H]),
    wk: input("wk", [KV * D, H]),
    wv: input("wv", [KV * D, H]),
    wo: input("wo", [H, HEADS * D]),
    gate: input("gate", [6, H]),
    up: input("up", [6, H]),
    down: input("down", [H, 6]),
    head: input("head", [V, H]),
  };
  const x = input("x", [ROWS, H]);
  const [normed] = rmsNorm(x, weights.norm, 1e-5);
  const heads = (w: Value, count: number): Value => reshape(gemm(normed, w, { transB: true }), [B, S, count, D]);
  const [cos, sin] = [input("cos", [ROWS, D / 2]), input("sin", [ROWS, D / 2])];
  const first = (y: Value): Value => transpose(y, [0, 2, 1, 3]);
  const o = attention(
    first(rope(heads(weights.wq, HEADS), cos, sin)),
    first(rope(heads(weights.wk, KV), cos, sin)),
    first(heads(weights.wv, KV)),
    input("segments", [B, S], "int32"),
    { scale: D ** -0.5, window: null },
  );
  const attended = add(x, gemm(reshape(first(o), [ROWS, HEADS * D]), weights.wo, { transB: true }));
  const h = swiglu(gemm(attended, weights.gate, { transB: true }), gemm(attended, weights.up, { transB: true }));
  const y = add(attended, gemm(h, weights.down, { transB: true }));
  const loss = log(reduceSum(exp(gemm(y, weights.head, { transB: true })), [1]));
  return { loss, weights };
}

/** Smooth, distinct values around 0; the whole numbers that ids and segments need. */
function feedFor(name: string, { shape, dtype }: Value): TensorData {
  const count = elementCount(shape);
  const seed = Array.from(name).reduce((sum, letter) => sum + letter.charCodeAt(0), 0);
  if (name === "segments") return Int32Array.from({ length: count }, (_, i) => (i % S < 3 ? 1 : 2));
  expect(dtype).toBe("float32");
  return Float32Array.from({ length: count }, (_, i) => Math.sin(seed + 1.7 * i));
}

async function runBoth(
  of: Graph,
  feeds: Readonly<Record<string, TensorData>>,
  outputCopy: OutputCopy,
): Promise<Record<string, TensorData>> {
  const given = Object.fromEntries(Object.keys(of.inputs).map((name) => [name, feeds[name] as TensorData]));
  const program = await (await loadRuntime({ outputCopy })).compile(of);
  const outputs = Object.fromEntries(Object.entries(program.outputs).map(([name, type]) => [name, allocateTensor(type)]));
  await program.run(given, outputs);
  await program.dispose();
  const reference = evaluateReference(
    of,
    Object.fromEntries(
      Object.entries(given).map(([name, data]) => [name, { shape: of.inputs[name]?.shape ?? [], data: Array.from(data as Float32Array) }]),
    ),
  );
  for (const [name, { data }] of Object.entries(reference)) {
    const largest = data.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    const worst = data.reduce((max, value, i) => Math.max(max, Math.abs(value - Number(outputs[name]?.[i]))), 0);
    // float32 against float64 through some twenty ops: 2^-24 · a few tens, of the largest value.
    expect(worst, name).toBeLessThanOrEqual(5e-6 * largest);
  }
  return outputs;
}

describe.each<OutputCopy>(["avoided", "ordinary"])("lowered to ONNX, with copies %s", (outputCopy) => {
  it.each(["keep", "recompute"] as const)("a small model and its gradients (%s) equal the reference", async (policy) => {
    const { loss, weights } = tinyModel();
    const seed = input("seed", [ROWS]);
    const found = gradients([loss], [seed], Object.values(weights));
    const gradientOutputs = Object.fromEntries(Object.keys(weights).map((name, i) => [`d:${name}`, found[i] as Value]));
    const { forward, backward } = splitForBackward({ loss }, gradientOutputs, policy);
    const feeds = Object.fromEntries(Object.entries({ ...forward.inputs, seed }).map(([name, value]) => [name, feedFor(name, value)]));
    const kept = await runBoth(forward, feeds, outputCopy);
    const results = await runBoth(backward, { ...feeds, ...kept }, outputCopy);
    expect(Object.keys(results)).toHaveLength(9);
  });
});
