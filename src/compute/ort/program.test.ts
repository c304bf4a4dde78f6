import { beforeAll, describe, expect, it } from "vitest";
import { HeirloomError, InternalError } from "../../core/index.ts";
import { add, constant, type Graph, gather, gemm, graph, input, maskScale, mul, sigmoid, type Value } from "../graph/index.ts";
import { loadRuntime, type OutputCopy, type Program, type Runtime, type TensorData } from "./index.ts";

const M = 5;
const K = 7;
const N = 3;

/** y = sigmoid(x·W) and its product with x·W: a kept inner value as a second output. */
function smallGraph(): Graph {
  const inner = gemm(input("x", [M, K]), input("w", [N, K]), { transB: true });
  const y = sigmoid(inner);
  return graph({ outputs: { inner, y, z: mul(inner, y) } });
}

const ramp = (length: number, step: number): Float32Array<ArrayBuffer> => Float32Array.from({ length }, (_, i) => Math.sin(1 + i * step));
const feeds = { x: ramp(M * K, 0.7), w: ramp(N * K, 0.3) };
const outputArrays = (): Record<"inner" | "y" | "z", Float32Array> => ({
  inner: new Float32Array(M * N),
  y: new Float32Array(M * N),
  z: new Float32Array(M * N),
});

async function failure(promise: Promise<unknown>): Promise<HeirloomError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof HeirloomError)) throw new InternalError(`expected a HeirloomError, found ${String(error)}`);
  return error;
}

describe.each<OutputCopy>(["avoided", "ordinary"])("a program with outputs' copies %s", (outputCopy) => {
  let runtime: Runtime;
  let program: Program;

  beforeAll(async () => {
    runtime = await loadRuntime({ outputCopy });
    program = await runtime.compile(smallGraph(), { name: "small" });
  });

  it("says so, with the version of the runtime", () => {
    expect(runtime.outputCopy).toBe(outputCopy);
    expect(runtime.version).toMatch(/^1\.\d+\.\d+/);
  });

  it("states the types of its inputs and outputs", () => {
    expect(program.inputs).toEqual({ x: { shape: [M, K], dtype: "float32" }, w: { shape: [N, K], dtype: "float32" } });
    expect(Object.keys(program.outputs)).toEqual(["inner", "y", "z"]);
  });

  it("writes what plain arithmetic gives into the arrays that it is given", async () => {
    const outputs = outputArrays();
    await program.run(feeds, outputs);
    for (let m = 0; m < M; m++) {
      for (let n = 0; n < N; n++) {
        let sum = 0;
        for (let k = 0; k < K; k++) sum += (feeds.x[m * K + k] as number) * (feeds.w[n * K + k] as number);
        const y = 1 / (1 + Math.exp(-sum));
        // Seven products in float32: a few units of 2^-24 each.
        expect(outputs.inner[m * N + n]).toBeCloseTo(sum, 6);
        expect(outputs.y[m * N + n]).toBeCloseTo(y, 6);
        expect(outputs.z[m * N + n]).toBeCloseTo(sum * y, 6);
      }
    }
  });

  it("sees changes that were made in place between runs, of inputs as of weights", async () => {
    const x = feeds.x.slice();
    const first = outputArrays();
    const second = outputArrays();
    await program.run({ ...feeds, x }, first);
    x.fill(0);
    await program.run({ ...feeds, x }, second);
    expect(second.y).toEqual(new Float32Array(M * N).fill(0.5));
    expect(first.y).not.toEqual(second.y);
  });

  it("reads from and writes to the middle of larger arrays, and nothing beside it", async () => {
    const expected = outputArrays();
    await program.run(feeds, expected);
    const memory = new Float32Array(M * K + 3 * M * N + 3).fill(-9);
    memory.set(feeds.x, 1);
    const at = (i: number): Float32Array => memory.subarray(2 + M * K + i * M * N, 2 + M * K + (i + 1) * M * N);
    await program.run({ x: memory.subarray(1, 1 + M * K), w: feeds.w }, { inner: at(0), y: at(1), z: at(2) });
    expect([at(0), at(1), at(2)]).toEqual([expected.inner, expected.y, expected.z]);
    expect([memory[0], memory[1 + M * K], memory.at(-1)]).toEqual([-9, -9, -9]);
  });

  it("writes only the outputs that are asked for", async () => {
    const { z } = outputArrays();
    await program.run(feeds, { z });
    const all = outputArrays();
    await program.run(feeds, all);
    expect(z).toEqual(all.z);
  });

  it("updates in place when an output lies in the memory of an elementwise input", async () => {
    const p = input("p", [4]);
    const update = await runtime.compile(graph({ outputs: { next: add(p, mul(input("g", [4]), constant([-0.5], [1]))) } }));
    const weights = Float32Array.of(1, 2, 3, 4);
    await update.run({ p: weights, g: Float32Array.of(2, 2, 2, 2) }, { next: weights });
    expect([...weights]).toEqual([0, 1, 2, 3]);
    await update.dispose();
  });

  it("takes int32 ids and uint8 masks", async () => {
    const rows = gather(input("table", [3, 2]), input("ids", [2], "int32"));
    const mixed = await runtime.compile(graph({ outputs: { y: maskScale(rows, input("mask", [2, 2], "uint8"), 10) } }));
    const y = new Float32Array(4);
    await mixed.run({ table: Float32Array.of(1, 2, 3, 4, 5, 6), ids: Int32Array.of(2, 0), mask: Uint8Array.of(1, 0, 1, 1) }, { y });
    expect([...y]).toEqual([50, 0, 10, 20]);
    await mixed.dispose();
  });

  it("fails with COMPUTE_FAILED and the runtime's words when the run itself fails", async () => {
    const lookup = await runtime.compile(graph({ outputs: { y: gather(input("table", [3, 2]), input("ids", [1], "int32")) } }), {
      name: "lookup",
    });
    const error = await failure(lookup.run({ table: new Float32Array(6), ids: Int32Array.of(7) }, { y: new Float32Array(2) }));
    expect(error).toMatchObject({ code: "COMPUTE_FAILED", exitCode: 30 });
    expect(error.message).toMatch(/^lookup: the runtime failed to run the graph: .*out of data bounds/);
    await lookup.dispose();
  });

  it("gives the same bits with one thread and with two", async () => {
    const results = await Promise.all(
      [1, 2].map(async (threads) => {
        const own = await runtime.compile(smallGraph(), { threads });
        const outputs = outputArrays();
        await own.run(feeds, outputs);
        await own.dispose();
        return outputs;
      }),
    );
    expect(results[1]).toEqual(results[0]);
  });
});

it("gives the same bits with outputs' copies avoided and made", async () => {
  const results = [];
  for (const outputCopy of ["avoided", "ordinary"] as const) {
    const program = await (await loadRuntime({ outputCopy })).compile(smallGraph());
    const outputs = outputArrays();
    await program.run(feeds, outputs);
    results.push(outputs);
  }
  expect(results[1]).toEqual(results[0]);
});

describe("Program.run", () => {
  let program: Program;

  beforeAll(async () => {
    program = await (await loadRuntime()).compile(smallGraph(), { name: "small" });
  });

  function transferred(): Float32Array {
    const array = feeds.x.slice();
    structuredClone(array, { transfer: [array.buffer] });
    return array;
  }

  it.each<[string, Record<string, TensorData>, RegExp]>([
    ["a missing input", { x: feeds.x }, /^small, input w: .*nothing was fed/],
    ["an unknown input, with the nearest name", { ...feeds, ww: feeds.w }, /^small, input ww: .*no input of this name \(but w\)/],
    [
      "another element type",
      { ...feeds, x: new Int32Array(M * K) },
      /^small, input x: .*expected a Float32Array for float32 \[5,7\], found a Int32Array/,
    ],
    ["another length", { ...feeds, x: new Float32Array(4) }, /^small, input x: .*expected 35 elements for float32 \[5,7\], found 4/],
    ["memory that was transferred away", { ...feeds, x: transferred() }, /^small, input x: .*found none \(was the buffer transferred\?\)/],
    ["shared memory", { ...feeds, x: new Float32Array(new SharedArrayBuffer(4 * M * K)) }, /^small, input x: .*SharedArrayBuffer/],
  ])("refuses %s by the input's name", async (_, given, message) => {
    const error = await failure(program.run(given, outputArrays()));
    expect(error).toBeInstanceOf(InternalError);
    expect(error.message).toMatch(message);
  });

  it("refuses outputs that it does not have or that do not fit", async () => {
    expect((await failure(program.run(feeds, { zz: new Float32Array(M * N) }))).message).toMatch(
      /^small, output zz: .*no output of this name \(but z\)/,
    );
    expect((await failure(program.run(feeds, { z: new Float32Array(1) }))).message).toMatch(/^small, output z: .*expected 15 elements/);
  });

  it("refuses to run after dispose", async () => {
    const own = await (await loadRuntime()).compile(smallGraph(), { name: "gone" });
    await own.dispose();
    await own.dispose(); // twice is no fault
    expect((await failure(own.run(feeds, outputArrays()))).message).toMatch(/^gone: .*after dispose/);
  });
});

it("fails with COMPUTE_FAILED when the runtime refuses a graph", async () => {
  const [a, b] = [input("a", [2, 3]), input("b", [4, 5])];
  const outputs: Value[] = [];
  const node = { op: "gemm" as const, inputs: [a, b], attributes: { transA: false, transB: false, alpha: 1, beta: 1 }, outputs };
  outputs.push({ id: b.id + 1, node, index: 0, shape: [2, 5], dtype: "float32" });
  const runtime = await loadRuntime();
  const error = await failure(runtime.compile({ inputs: { a, b }, outputs: { y: outputs[0] as Value }, nodes: [node] }, { name: "unfit" }));
  expect(error.code).toBe("COMPUTE_FAILED");
  expect(error.message).toMatch(/^unfit: the runtime refused the graph: /);
});
