import { beforeAll, describe, expect, it } from "vitest";
import { buildBlock } from "./graph/fixtures/block.ts";
import type { Feed } from "./graph/fixtures/op-cases.ts";
import {
  allocateTensor,
  evaluateReference,
  type Graph,
  gradients,
  graph,
  loadRuntime,
  type Runtime,
  splitForBackward,
  type TensorData,
  type Value,
} from "./index.ts";

/** float32 against float64 through a whole block and back, relative to a tensor's largest value; 1e-6 is usual. */
const TOLERANCE = 5e-6;

let runtime: Runtime;
beforeAll(async () => {
  runtime = await loadRuntime();
});

const ARRAYS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array } as const;
const typedArray = ({ dtype, data }: Feed): TensorData => ARRAYS[dtype as keyof typeof ARRAYS].from(data);

async function run(part: Graph, feeds: Readonly<Record<string, TensorData>>): Promise<Record<string, TensorData>> {
  const program = await runtime.compile(part);
  const results = Object.fromEntries(Object.entries(part.outputs).map(([name, value]) => [name, allocateTensor(value)]));
  await program.run(Object.fromEntries(Object.keys(part.inputs).map((name) => [name, feeds[name] as TensorData])), results);
  await program.dispose();
  return results;
}

describe("a block's forward and backward graphs on onnxruntime give the float64 values", () => {
  it.each([
    ["LoRA, activations kept", { headNorms: false, dropout: false, bias: false }, "keep"],
    ["LoRA, activations computed again", { headNorms: false, dropout: true, bias: true }, "recompute"],
    ["every parameter, head norms, biases, dropout", { headNorms: true, dropout: true, bias: true }, "keep"],
  ] as const)("%s", async (title, options, policy) => {
    const block = buildBlock(options);
    const names = Object.keys(block.inputs).filter(
      (name) => name === "x" || (title.startsWith("every") ? /weight|bias|lora/ : /lora/).test(name),
    );
    const found = gradients(
      [block.y],
      [block.dy],
      names.map((name) => block.inputs[name] as Value),
    );
    const outputs = Object.fromEntries(names.map((name, i) => [`d:${name}`, found[i] as Value]));
    const whole = graph({ outputs: { y: block.y, ...outputs } });
    const expected = evaluateReference(whole, block.feeds);
    const { forward, backward } = splitForBackward({ y: block.y }, outputs, policy);
    const feeds = Object.fromEntries(Object.entries(block.feeds).map(([name, feed]) => [name, typedArray(feed)]));
    const first = await run(forward, feeds);
    const results = { ...first, ...(await run(backward, { ...feeds, ...first })) };
    for (const [name, { data }] of Object.entries(expected)) {
      const scale = data.reduce((largest, x) => Math.max(largest, Math.abs(x)), 0);
      for (const [i, x] of data.entries())
        expect(Math.abs(Number(results[name]?.[i]) - x) / scale, `${name}[${i}]`).toBeLessThan(TOLERANCE);
    }
  });
});
