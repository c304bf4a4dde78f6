import { describe, expect, it } from "vitest";
import * as g from "./index.ts";

const a = g.input("a", [2, 3]);
const b = g.input("b", [3, 2]);
const x = g.input("x", [2, 2]);

const opsOf = (outputs: Record<string, g.Value>): string[] => g.fuseAddIntoGemm(g.graph({ outputs })).nodes.map(({ op }) => op);

describe("fuseAddIntoGemm", () => {
  it.each([
    ["first", (product: g.Value) => g.add(product, x)],
    ["second", (product: g.Value) => g.add(x, product)],
  ])("starts the product from the other operand when it is the %s of a sum", (_, sum) => {
    const fused = g.fuseAddIntoGemm(g.graph({ outputs: { y: sum(g.gemm(a, b, { alpha: 3 })) } }));
    expect(g.printGraph(fused)).toContain("%0: float32[2,2] = gemm(a, b, x) {transA=false transB=false alpha=3 beta=1}\noutput y = %0");
  });

  it("chains a sum of products", () => {
    expect(opsOf({ y: g.add(g.add(g.gemm(a, b), g.gemm(a, b)), g.gemm(a, b)) })).toEqual(["gemm", "gemm", "gemm"]);
  });

  it("leaves a product that has another use", () => {
    const product = g.gemm(a, b);
    expect(opsOf({ y: g.add(product, x), z: g.exp(product) })).toEqual(["gemm", "add", "exp"]);
  });

  it("leaves a product that is an output", () => {
    const product = g.gemm(a, b);
    expect(opsOf({ y: g.add(product, x), product })).toEqual(["gemm", "add"]);
  });

  it("leaves a product added to itself", () => {
    const product = g.gemm(a, b);
    expect(opsOf({ y: g.add(product, product) })).toEqual(["gemm", "add"]);
  });

  it("leaves a product that has a c", () => {
    expect(opsOf({ y: g.add(g.gemm(a, b, { c: x }), x) })).toEqual(["gemm", "add"]);
  });

  it("leaves a sum that broadcasts", () => {
    expect(opsOf({ y: g.add(g.gemm(a, b), g.input("row", [2])) })).toEqual(["gemm", "add"]);
  });
});
