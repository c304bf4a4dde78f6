import { describe, expect, it } from "vitest";
import { evaluateReference, type ReferenceFeed } from "../reference/index.ts";
import { type Block, type BlockOptions, buildBlock } from "./fixtures/block.ts";
import type { Feed } from "./fixtures/op-cases.ts";
import * as g from "./index.ts";

const PLAIN: BlockOptions = { headNorms: false, dropout: false, bias: false };
const FULL: BlockOptions = { headNorms: true, dropout: true, bias: true };

function gradientsOf(block: Block, wanted: (name: string) => boolean): Record<string, g.Value> {
  const names = Object.keys(block.inputs).filter(wanted);
  const found = g.gradients(
    [block.y],
    [block.dy],
    names.map((name) => block.inputs[name] as g.Value),
  );
  return Object.fromEntries(names.map((name, i) => [`d:${name}`, found[i] as g.Value]));
}

const loraAndInput = (name: string): boolean => name === "x" || name.includes("lora");
const everyParameter = (name: string): boolean => /weight|bias|lora/.test(name);
const feedsFor = (part: g.Graph, feeds: Readonly<Record<string, Feed | ReferenceFeed>>): Record<string, ReferenceFeed> =>
  Object.fromEntries(Object.keys(part.inputs).map((name) => [name, feeds[name] as ReferenceFeed]));

/** Values of the two graphs run one after the other, the second fed with what the first kept. */
function runInTwo({ forward, backward, kept }: g.ForwardAndBackward, feeds: Block["feeds"]): ReturnType<typeof evaluateReference> {
  const first = evaluateReference(forward, feedsFor(forward, feeds));
  const keptFeeds = Object.fromEntries(kept.map((name) => [name, first[name] as ReferenceFeed]));
  return { ...first, ...evaluateReference(backward, feedsFor(backward, { ...feeds, ...keptFeeds })) };
}

describe("splitForBackward, keeping", () => {
  const block = buildBlock(PLAIN);
  const { forward, backward, kept } = g.splitForBackward({ y: block.y }, gradientsOf(block, loraAndInput), "keep");

  it("keeps of a LoRA block the normed rows, 1/rms, LoRA's inner rows, the heads, o, x2, gate, up and h, each once", () => {
    expect(kept.map((name) => `${name} [${forward.outputs[name]?.shape.join()}]`)).toEqual([
      "kept.0.rmsNorm [10,8]",
      "kept.1.rmsNorm [10,1]",
      "kept.2.gemm [10,3]",
      "kept.3.transpose [2,4,5,2]",
      "kept.4.gemm [10,3]",
      "kept.5.transpose [2,2,5,2]",
      "kept.6.gemm [10,3]",
      "kept.7.transpose [2,2,5,2]",
      "kept.8.attention [2,4,5,2]",
      "kept.9.gemm [10,3]",
      "kept.10.add [10,8]",
      "kept.11.rmsNorm [10,8]",
      "kept.12.rmsNorm [10,1]",
      "kept.13.gemm [10,3]",
      "kept.14.gemm [10,12]",
      "kept.15.gemm [10,3]",
      "kept.16.gemm [10,12]",
      "kept.17.swiglu [10,12]",
      "kept.18.gemm [10,3]",
    ]);
  });

  it("gives the kept values out and takes them in under the same names", () => {
    expect(Object.keys(forward.outputs)).toEqual(["y", ...kept]);
    for (const name of kept) expect(backward.inputs[name]?.shape).toEqual(forward.outputs[name]?.shape);
  });

  it("keeps no view", () => {
    for (const value of Object.values(forward.outputs)) expect(g.OPS[value.node.op].recompute).not.toBe("always");
  });

  it("computes nothing expensive again", () => {
    for (const { op } of backward.nodes) expect(["attention", "rmsNorm", "swiglu"]).not.toContain(op);
    // per linear layer with LoRA: v, dA, dB and the two products of dx
    expect(backward.nodes.filter(({ op }) => op === "gemm")).toHaveLength(7 * 5);
  });

  it("adds up products by their third operand alone", () => {
    // left over: two residual gradients and one term of swiglu's derivative
    expect(backward.nodes.filter(({ op }) => op === "add")).toHaveLength(3);
  });

  it("shares the forward inputs that the gradients need, and no others", () => {
    expect(Object.keys(backward.inputs)).toContain("x");
    const { backward: withoutInput } = g.splitForBackward(
      { y: block.y },
      gradientsOf(block, (name) => name.startsWith("down.lora")),
      "keep",
    );
    expect(Object.keys(withoutInput.inputs).sort()).toEqual(["down.lora_B", "dy", "kept.0.swiglu", "kept.1.gemm"]);
  });

  it("keeps a result under its own name", () => {
    const x = g.input("x", [2, 2]);
    const h = g.gemm(x, g.input("w", [2, 2]));
    const [dx] = g.gradients([g.exp(h)], [g.input("dy", [2, 2])], [x]);
    expect(g.splitForBackward({ h }, { dx: dx as g.Value }, "keep").kept).toEqual(["h"]);
  });

  it("keeps the source of parts rather than each part", () => {
    const x = g.input("x", [2, 4]);
    const [left, right] = g.split(g.gemm(x, g.input("w", [4, 4])), { axis: 1, sizes: [2, 2] }) as [g.Value, g.Value];
    const y = g.mul(left, right);
    const [dx] = g.gradients([y], [g.input("dy", y.shape)], [x]);
    expect(g.splitForBackward({ y }, { dx: dx as g.Value }, "keep").kept).toEqual(["kept.0.gemm"]);
  });

  it("applies a dropout mask again rather than keeping what it gives", () => {
    const dropped = buildBlock({ ...PLAIN, dropout: true });
    expect(g.splitForBackward({ y: dropped.y }, gradientsOf(dropped, loraAndInput), "keep").kept).toEqual(kept);
  });
});

describe("splitForBackward, recomputing", () => {
  const block = buildBlock(PLAIN);
  const { forward, backward, kept } = g.splitForBackward({ y: block.y }, gradientsOf(block, loraAndInput), "recompute");

  it("shares nothing but the forward graph's inputs", () => {
    expect(kept).toEqual([]);
    expect(Object.keys(forward.outputs)).toEqual(["y"]);
    expect(Object.keys(backward.inputs).filter((name) => name !== "dy" && !(name in forward.inputs))).toEqual([]);
  });
});

describe.each([
  ["LoRA on a plain block", PLAIN, loraAndInput],
  ["LoRA with head norms, dropout and biases", FULL, loraAndInput],
  ["every parameter", FULL, everyParameter],
] as const)("the two graphs compute what one would: %s", (_, options, wanted) => {
  it.each(["keep", "recompute"] as const)("%s", (policy) => {
    const block = buildBlock(options);
    const outputs = gradientsOf(block, wanted);
    const whole = g.graph({ outputs: { y: block.y, ...outputs } });
    const expected = evaluateReference(whole, feedsFor(whole, block.feeds));
    const found = runInTwo(g.splitForBackward({ y: block.y }, outputs, policy), block.feeds);
    for (const [name, { data }] of Object.entries(expected)) {
      // The fused products add in another order; float64 rounding on values of order 1 to 100.
      for (const [i, x] of data.entries()) expect(Math.abs((found[name]?.data[i] as number) - x), `${name}[${i}]`).toBeLessThan(1e-11);
    }
  });
});
