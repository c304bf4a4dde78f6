import { beforeAll, describe, expect, it } from "vitest";
import { type Feed, OP_CASES, type OpCase } from "./graph/fixtures/op-cases.ts";
import {
  allocateTensor,
  evaluateReference,
  type Graph,
  gradients,
  graph,
  input,
  loadRuntime,
  OPS,
  type OpName,
  type Runtime,
  type TensorData,
  type Value,
} from "./index.ts";

/**
 * float32 against float64, relative to the largest value of a tensor, or to the inputs' size of 1 where the values are
 * differences that cancel (some gradients are exactly 0): 2⁻²⁴ = 6e-8 per rounding, over sums of up to 400 terms and
 * the runtime's approximations of exp.
 */
const TOLERANCE = 2e-6;

let runtime: Runtime;
beforeAll(async () => {
  runtime = await loadRuntime();
});

const ARRAYS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array, bool: Uint8Array } as const;

function typedArray({ dtype, data }: Feed): TensorData {
  return dtype === "int64" ? BigInt64Array.from(data, BigInt) : ARRAYS[dtype].from(data);
}

async function compare(outputs: Graph, feeds: Readonly<Record<string, Feed>>): Promise<void> {
  const used = Object.fromEntries(Object.entries(feeds).filter(([name]) => name in outputs.inputs));
  const expected = evaluateReference(outputs, used);
  const program = await runtime.compile(outputs);
  const results = Object.fromEntries(Object.entries(outputs.outputs).map(([name, value]) => [name, allocateTensor(value)]));
  await program.run(Object.fromEntries(Object.entries(used).map(([name, feed]) => [name, typedArray(feed)])), results);
  await program.dispose();
  for (const [name, { data }] of Object.entries(expected)) {
    const scale = data.reduce((largest, x) => Math.max(largest, Math.abs(x)), 1);
    const found = results[name] ?? [];
    let worst = 0;
    for (const [i, x] of data.entries()) worst = Math.max(worst, Math.abs(Number(found[i]) - x) / scale);
    expect(worst, `${name} differs by ${worst} of its largest value`).toBeLessThan(TOLERANCE);
  }
}

function built({ feeds, build }: OpCase): { inputs: ReadonlyMap<string, Value>; outputs: readonly Value[] } {
  const inputs = new Map(Object.entries(feeds).map(([name, { shape, dtype }]) => [name, input(name, shape, dtype)]));
  return { inputs, outputs: build((name) => inputs.get(name) as Value) };
}

describe.each(Object.keys(OP_CASES) as OpName[])("onnxruntime computes %s as the reference does", (name) => {
  it.each(OP_CASES[name])("$title", async (opCase) => {
    const { outputs } = built(opCase);
    await compare(graph({ outputs: Object.fromEntries(outputs.map((output, i) => [`y${i}`, output])) }), opCase.feeds);
  });
});

const differentiable = (Object.keys(OP_CASES) as OpName[]).filter((name) => OPS[name].withoutGradient !== "all");

describe.each(differentiable)("onnxruntime computes the gradient of %s as the reference does", (name) => {
  it.each(OP_CASES[name])("$title", async (opCase) => {
    const { inputs, outputs } = built(opCase);
    const seeds = outputs.map(({ shape }, i) => input(`seed${i}`, shape));
    const found = gradients(outputs, seeds, [...inputs.values()]);
    const named = [...inputs.keys()].flatMap((inputName, i): [string, Value][] => (found[i] ? [[`d${inputName}`, found[i]]] : []));
    const seedFeeds = seeds.map(({ shape, dtype }, i): [string, Feed] => {
      const count = shape.reduce((product, length) => product * length, 1);
      return [`seed${i}`, { shape, dtype, data: Array.from({ length: count }, (_, at) => Math.fround(Math.cos(at + i))) }];
    });
    await compare(graph({ outputs: Object.fromEntries(named) }), { ...opCase.feeds, ...Object.fromEntries(seedFeeds) });
  });
});
