import { describe, expect, it } from "vitest";
import * as g from "./index.ts";

describe("graph", () => {
  it("prints inputs, nodes with their attributes and types, and outputs", () => {
    const x = g.input("x", [2, 4]);
    const w = g.input("w", [3, 4]);
    const [normed] = g.rmsNorm(x, g.constant([1, 1, 1, 1], [4]), 1e-6);
    const y = g.gemm(normed, w, { transB: true });
    expect(g.printGraph(g.graph({ outputs: { y, tail: g.slice(y, { axis: 1, start: 1, end: 3 }) } }))).toBe(
      [
        "input x: float32[2,4]",
        "input w: float32[3,4]",
        "%0: float32[4] = constant() {values=[1,1,1,1] shape=[4] dtype=float32}",
        "%1: float32[2,4], %2: float32[2,1] = rmsNorm(x, %0) {epsilon=0.000001}",
        "%3: float32[2,3] = gemm(%1, w) {transA=false transB=true alpha=1 beta=1}",
        "%4: float32[2,2] = slice(%3) {axis=1 start=1 end=3}",
        "output y = %3",
        "output tail = %4",
      ].join("\n"),
    );
  });

  it("prints a long constant by its length", () => {
    expect(g.printGraph(g.graph({ outputs: { y: g.constant(new Float32Array(9), [9]) } }))).toContain("values=(9 values)");
  });

  it("leaves out what no output needs", () => {
    const x = g.input("x", [2]);
    g.exp(g.input("unused", [2]));
    const { inputs, nodes } = g.graph({ outputs: { y: g.log(x) } });
    expect(Object.keys(inputs)).toEqual(["x"]);
    expect(nodes.map(({ op }) => op)).toEqual(["log"]);
  });

  it("refuses two inputs of one name", () => {
    expect(() => g.graph({ outputs: { y: g.add(g.input("x", [2]), g.input("x", [2])) } })).toThrow("two inputs are named x");
  });

  it("counts a multiplication and an addition per term of a product", () => {
    const y = g.gemm(g.input("a", [5, 7]), g.input("b", [7, 3]));
    const z = g.matmul(g.input("c", [2, 4, 6, 8]), g.input("d", [2, 4, 8, 9]));
    expect(g.countFlops(g.graph({ outputs: { y, z } }))).toBe(2 * 5 * 7 * 3 + 2 * 8 * 6 * 8 * 9);
  });

  it("counts of attention's square the chunks that are computed", () => {
    const q = g.input("q", [1, 2, 256, 4]);
    const kv = [1, 1, 256, 4];
    const o = g.attention(q, g.input("k", kv), g.input("v", kv), g.input("segments", [1, 256], "int32"), { scale: 0.5, window: null });
    expect(g.countFlops(g.graph({ outputs: { o } }))).toBe(2 * 2 * 2 * 4 * (128 * 128 + 128 * 256));
  });

  it("freezes values and nodes", () => {
    const y = g.exp(g.input("x", [2]));
    for (const part of [y, y.shape, y.node, y.node.inputs, y.node.outputs, y.node.attributes]) expect(Object.isFrozen(part)).toBe(true);
  });
});

describe("an op refuses inputs that do not fit", () => {
  const x = g.input("x", [2, 3]);
  const ids = g.input("ids", [2], "int32");
  const column = g.input("column", [2, 1]);
  const q = g.input("q", [1, 4, 6, 2]);
  const cases: readonly (readonly [string, () => unknown, string])[] = [
    ["gemm of inner lengths that differ", () => g.gemm(x, x), "product of [2,3] and [2,3]"],
    ["gemm with a c of another shape", () => g.gemm(x, x, { transB: true, c: x }), "gemm: c of [2,2] has shape [2,3]"],
    ["add of shapes that do not broadcast", () => g.add(x, g.input("z", [2])), "[2,3] and [2] do not broadcast"],
    ["add of integers", () => g.add(ids, ids), "add: a must be float32, is int32"],
    ["reshape to another count", () => g.reshape(x, [5]), "reshape of [2,3] to [5]"],
    ["slice beyond the end", () => g.slice(x, { axis: 1, start: 1, end: 4 }), "slice 1 to 4 of axis 1 of [2,3]"],
    ["split into parts of another sum", () => g.split(x, { axis: 1, sizes: [1, 1] }), "split of axis 1 of [2,3] into [1,1]"],
    ["concat of other columns", () => g.concat([x, g.input("z", [2, 4])], 0), "concat of [2,3] and [2,4] along axis 0"],
    ["rmsNorm with a weight of another length", () => g.rmsNorm(x, g.input("w", [2]), 1e-5), "rmsNorm: weight must be [3], is [2]"],
    [
      "attention of heads that key heads do not divide",
      () => g.attention(q, g.input("k", [1, 3, 6, 2]), q, ids, { scale: 1, window: null }),
      "4 heads for 3 key heads",
    ],
    ["rope of an odd head size", () => g.rope(g.input("r", [1, 1, 1, 3]), x, x), "even head size"],
    [
      "crossEntropyGrad with a label count of its own",
      () => g.crossEntropyGrad(x, { max: column, scales: column, weights: column, labels: g.input("l", [3], "int32") }),
      "crossEntropyGrad: labels must be [2], is [3]",
    ],
    ["an axis that is not there", () => g.reduceSum(x, [2]), "axis 2 of 2"],
    ["an input without a length", () => g.input("n", [0, 2]), "input n has shape [0,2]"],
  ];
  it.each(cases)("%s", (_, build, message) => {
    expect(build).toThrow(message);
  });
});
