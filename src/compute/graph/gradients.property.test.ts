import { describe, expect, it } from "vitest";
import { RandomStream } from "../../core/index.ts";
import { evaluateReference } from "../reference/index.ts";
import { OP_CASES, type OpCase } from "./fixtures/op-cases.ts";
import { add, constant, gradients, graph, input, mul, OPS, type OpName, reduceSum, type Value } from "./index.ts";

/** Step of the central difference: its error is of order h² = 1e-10, rounding's of order 1e-16 / h. */
const STEP = 1e-5;
/** A hundred times the larger of the two errors above, for values and derivatives of order 1 to 10. */
const TOLERANCE = 1e-8;
/** Elements tried per input; the long attention cases have thousands. */
const ELEMENTS = 24;

/** Σ seeds · outputs with random, fixed seeds. */
function weighted(outputs: readonly Value[]): { loss: Value; seeds: readonly Value[] } {
  const stream = new RandomStream(11, "seeds");
  const seeds = outputs.map(({ shape }) =>
    constant(
      Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => stream.nextNormal()),
      shape,
    ),
  );
  const terms = outputs.map((output, i) =>
    reduceSum(
      mul(output, seeds[i] as Value),
      output.shape.map((_, axis) => axis),
    ),
  );
  return { loss: terms.reduce((a, b) => add(a, b)), seeds };
}

function checkGradients(opCase: OpCase): number {
  const inputs = new Map(Object.entries(opCase.feeds).map(([name, { shape, dtype }]) => [name, input(name, shape, dtype)]));
  const outputs = opCase.build((name) => inputs.get(name) as Value);
  const { loss, seeds } = weighted(outputs);
  const lossGraph = graph({ outputs: { loss } });
  const lossAt = (feeds: OpCase["feeds"]): number => evaluateReference(lossGraph, feeds)["loss"]?.data[0] as number;
  const names = Object.keys(opCase.feeds).filter((name) => opCase.feeds[name]?.dtype === "float32");
  const results = gradients(
    outputs,
    seeds,
    names.map((name) => inputs.get(name) as Value),
  );
  let checked = 0;
  for (const [i, name] of names.entries()) {
    const gradient = results[i];
    if (gradient === null || gradient === undefined) continue;
    const found = evaluateReference(graph({ outputs: { gradient } }), opCase.feeds)["gradient"]?.data as Float64Array;
    const feed = opCase.feeds[name] as OpCase["feeds"][string];
    const stride = Math.max(1, Math.floor(feed.data.length / ELEMENTS));
    for (let at = 0; at < feed.data.length; at += stride) {
      const moved = (by: number): OpCase["feeds"] => ({
        ...opCase.feeds,
        [name]: { ...feed, data: feed.data.with(at, (feed.data[at] as number) + by) },
      });
      const expected = (lossAt(moved(STEP)) - lossAt(moved(-STEP))) / (2 * STEP);
      expect(Math.abs((found[at] as number) - expected), `d${name}[${at}] is ${found[at]}, by differences ${expected}`).toBeLessThan(
        TOLERANCE * Math.max(1, Math.abs(expected)),
      );
      checked++;
    }
  }
  return checked;
}

const differentiable = (Object.keys(OP_CASES) as OpName[]).filter((name) => OPS[name].withoutGradient !== "all");
const LONG = 128;

describe.each(differentiable)("the gradient of %s equals finite differences", (name) => {
  it.each(OP_CASES[name].filter(({ feeds }) => (feeds["q"]?.shape[2] ?? 0) <= LONG))("$title", (opCase) => {
    expect(checkGradients(opCase)).toBeGreaterThan(0);
  });
});
