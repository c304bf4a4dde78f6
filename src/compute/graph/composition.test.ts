import { describe, expect, it } from "vitest";
import { evaluateReference } from "../reference/index.ts";
import { type Feed, OP_CASES, type OpCase } from "./fixtures/op-cases.ts";
import * as g from "./index.ts";

/** float64 rounding of sums of a few hundred terms of order 1. */
const TOLERANCE = 1e-12;

/** The value of an op's case and of a composition of plain ops on the same feeds must agree, and so must their gradients. */
function expectSame(opCase: OpCase, plain: (input: (name: string) => g.Value) => g.Value): void {
  const inputs = new Map(Object.entries(opCase.feeds).map(([name, { shape, dtype }]) => [name, g.input(name, shape, dtype)]));
  const get = (name: string): g.Value => inputs.get(name) as g.Value;
  const wrt = Object.keys(opCase.feeds).filter((name) => opCase.feeds[name]?.dtype === "float32");
  const results = [opCase.build(get)[0] as g.Value, plain(get)].map((y) => {
    const seed = g.constant(
      Array.from({ length: g.elementCount(y.shape) }, (_, i) => Math.cos(i)),
      y.shape,
    );
    const found = g.gradients([y], [seed], wrt.map(get));
    return evaluateReference(
      g.graph({ outputs: { y, ...Object.fromEntries(wrt.flatMap((name, i) => (found[i] ? [[`d${name}`, found[i]]] : []))) } }),
      opCase.feeds,
    );
  });
  const [fused, composed] = results as [ReturnType<typeof evaluateReference>, ReturnType<typeof evaluateReference>];
  for (const [name, { data }] of Object.entries(fused)) {
    for (const [i, x] of data.entries()) expect(Math.abs(x - (composed[name]?.data[i] as number)), `${name}[${i}]`).toBeLessThan(TOLERANCE);
  }
}

const power = (x: g.Value, exponent: number): g.Value => g.exp(g.scale(g.log(x), exponent));
const last = (x: g.Value): number => x.shape.length - 1;

function softmax(scores: g.Value): g.Value {
  const e = g.exp(scores);
  return g.div(e, g.reduceSum(e, [-1], true));
}

/** Heads of keys repeated for their group: [B,HK,S,d] → [B,H,S,d]. */
function repeatHeads(x: g.Value, heads: number): g.Value {
  const [batch, kvHeads, length, width] = x.shape as readonly [number, number, number, number];
  const grouped = g.expand(g.reshape(x, [batch, kvHeads, 1, length, width]), [batch, kvHeads, heads / kvHeads, length, width]);
  return g.reshape(grouped, [batch, heads, length, width]);
}

function plainAttention(opCase: OpCase, window: number | null, input: (name: string) => g.Value): g.Value {
  const [q, k, v] = [
    input("q"),
    repeatHeads(input("k"), input("q").shape[1] as number),
    repeatHeads(input("v"), input("q").shape[1] as number),
  ];
  const [batch, , length, width] = q.shape as readonly [number, number, number, number];
  const segments = opCase.feeds["segments"]?.data ?? [];
  const mask = Array.from({ length: batch * length * length }, (_, at) => {
    const [b, i, j] = [Math.floor(at / length ** 2), Math.floor(at / length) % length, at % length];
    const seen = j <= i && segments[b * length + i] === segments[b * length + j] && (window === null || i - j < window);
    return seen ? 0 : -1e30;
  });
  const scores = g.add(g.matmul(q, k, { transB: true, alpha: width ** -0.5 }), g.constant(mask, [batch, 1, length, length]));
  return g.matmul(softmax(scores), v);
}

describe("rmsNorm equals its definition in plain ops", () => {
  it.each(OP_CASES.rmsNorm)("$title", (opCase) => {
    expectSame(opCase, (input) => {
      const x = input("x");
      const mean = g.scale(g.reduceSum(g.mul(x, x), [-1], true), 1 / (x.shape[last(x)] as number));
      return g.mul(g.mul(x, power(g.add(mean, g.constant([1e-5], [1])), -0.5)), input("weight"));
    });
  });
});

describe("swiglu equals its definition in plain ops", () => {
  it.each(OP_CASES.swiglu)("$title", (opCase) => {
    expectSame(opCase, (input) => g.mul(g.silu(input("gate")), input("up")));
    expectSame(opCase, (input) => g.mul(g.mul(input("gate"), g.sigmoid(input("gate"))), input("up")));
  });
});

describe("rope equals its definition in plain ops", () => {
  it.each(OP_CASES.rope.filter(({ title }) => !title.includes("inverse")))("$title", (opCase) => {
    expectSame(opCase, (input) => {
      const x = input("x");
      const [batch, length, heads, width] = x.shape as readonly [number, number, number, number];
      const table = (name: string): g.Value =>
        g.reshape(g.expand(g.reshape(input(name), [batch * length, 1, width / 2]), [batch * length, heads, width / 2]), [
          batch,
          length,
          heads,
          width / 2,
        ]);
      const [x1, x2] = g.split(x, { axis: 3, sizes: [width / 2, width / 2] }) as [g.Value, g.Value];
      const [cos, sin] = [table("cos"), table("sin")];
      return g.concat([g.sub(g.mul(x1, cos), g.mul(x2, sin)), g.add(g.mul(x2, cos), g.mul(x1, sin))], 3);
    });
  });
});

describe("attention equals its definition in plain ops", () => {
  it.each(OP_CASES.attention.filter(({ feeds }) => (feeds["q"]?.shape[2] ?? 0) < 10))("$title", (opCase) => {
    const window = /of three/.test(opCase.title) ? 3 : /of one key/.test(opCase.title) ? 1 : /across/.test(opCase.title) ? 2 : null;
    expectSame({ ...opCase, feeds: opCase.feeds }, (input) => plainAttention(opCase, window, input));
  });
});

describe("crossEntropyGrad is the derivative of the cross-entropy in plain ops", () => {
  it.each(OP_CASES.crossEntropyGrad.slice(0, 2))("$title", (opCase) => {
    const { logits, labels, weights } = opCase.feeds as Record<"logits" | "labels" | "weights", Feed>;
    const [rows, classes] = logits.shape as readonly [number, number];
    const x = g.input("logits", [rows, classes]);
    const chosen = g.constant(
      labels.data.flatMap((label) => Array.from({ length: classes }, (_, c) => (c === label ? 1 : 0))),
      [rows, classes],
    );
    const loss = g.sub(g.log(g.reduceSum(g.exp(x), [1])), g.reduceSum(g.mul(x, chosen), [1]));
    const [plain] = g.gradients([loss], [g.constant(weights.data, [rows])], [x]);
    const [fused] = opCase.build((name) => {
      const fed = opCase.feeds[name] as Feed;
      return name === "logits" ? x : g.constant(fed.data, fed.shape, fed.dtype);
    });
    const { a, b } = evaluateReference(g.graph({ outputs: { a: plain as g.Value, b: fused as g.Value } }), { logits });
    a?.data.forEach((value, i) => {
      expect(b?.data[i]).toBeCloseTo(value, 12);
    });
  });
});
