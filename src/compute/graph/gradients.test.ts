import { describe, expect, it } from "vitest";
import { evaluateReference } from "../reference/index.ts";
import * as g from "./index.ts";

describe("gradients", () => {
  it("is null for what the outputs do not depend on", () => {
    const x = g.input("x", [2]);
    expect(g.gradients([g.exp(x)], [g.input("dy", [2])], [x, g.input("other", [2])])).toEqual([expect.anything(), null]);
  });

  it("is null for an input whose gradient is declared away", () => {
    const table = g.input("table", [4, 2]);
    const y = g.gather(table, g.input("ids", [3], "int32"));
    expect(g.gradients([y], [g.input("dy", y.shape)], [table])).toEqual([null]);
  });

  it("is the seed for an output itself", () => {
    const x = g.input("x", [2]);
    const seed = g.input("dy", [2]);
    expect(g.gradients([x], [seed], [x])).toEqual([seed]);
  });

  it("adds up over all uses and all outputs", () => {
    const x = g.input("x", [1]);
    const one = g.constant([1], [1]);
    const [dx] = g.gradients([g.mul(x, x), g.scale(x, 5)], [one, one], [x]);
    expect(evaluateReference(g.graph({ outputs: { dx: dx as g.Value } }), { x: { shape: [1], data: [3] } })["dx"]?.data[0]).toBe(2 * 3 + 5);
  });

  it("computes nothing for frozen inputs", () => {
    const x = g.input("x", [2, 3]);
    const w = g.input("w", [4, 3]);
    const y = g.gemm(x, w, { transB: true });
    const [dx] = g.gradients([y], [g.input("dy", y.shape)], [x]);
    expect(g.printGraph(g.graph({ outputs: { dx: dx as g.Value } }))).toBe(
      [
        "input w: float32[4,3]",
        "input dy: float32[2,4]",
        "%0: float32[2,3] = gemm(dy, w) {transA=false transB=false alpha=1 beta=1}",
        "output dx = %0",
      ].join("\n"),
    );
  });

  it("goes to a value inside the graph", () => {
    const x = g.input("x", [1]);
    const inner = g.exp(x);
    const [found] = g.gradients([g.scale(inner, 3)], [g.constant([1], [1])], [inner]);
    expect(evaluateReference(g.graph({ outputs: { found: found as g.Value } }), {})["found"]?.data[0]).toBe(3);
  });

  it("can be taken again where all the ops have gradients", () => {
    const x = g.input("x", [1]);
    const one = g.constant([1], [1]);
    const [first] = g.gradients([g.mul(x, g.mul(x, x))], [one], [x]);
    const [second] = g.gradients([first as g.Value], [one], [x]);
    expect(
      evaluateReference(g.graph({ outputs: { second: second as g.Value } }), { x: { shape: [1], data: [2] } })["second"]?.data[0],
    ).toBe(12);
  });

  it("refuses a gradient of an output that only serves the derivative", () => {
    const x = g.input("x", [2, 3]);
    const [, rstd] = g.rmsNorm(x, g.input("w", [3]), 1e-5);
    expect(() => g.gradients([rstd], [g.input("d", rstd.shape)], [x])).toThrow("a gradient arrives at output 1 of rmsNorm");
  });

  it("refuses a seed of another shape", () => {
    const x = g.input("x", [2]);
    expect(() => g.gradients([g.exp(x)], [g.input("dy", [3])], [x])).toThrow("must be [2], is [3]");
  });
});
