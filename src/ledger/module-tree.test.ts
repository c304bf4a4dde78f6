import { describe, expect, it } from "vitest";
import type { LedgerEntry } from "./index.ts";
import { moduleTree } from "./module-tree.ts";

const entry = (module: string, shape: readonly number[], trainable = false): LedgerEntry => {
  const parameters = shape.reduce((product, size) => product * size, 1);
  return {
    name: `${module}.weight`,
    module,
    role: "base",
    shape,
    dtype: "F32",
    bytes: 4 * parameters,
    parameters,
    trainable,
    group: null,
    state: "present",
  };
};

describe("a tree of modules", () => {
  const experts = [0, 1, 2].flatMap((e) => [
    entry(`model.layers.0.experts.${e}.up`, [2, 3]),
    entry(`model.layers.0.experts.${e}.down`, [3, 2]),
  ]);
  const layers = [10, 2, 1].map((i) => entry(`model.layers.${i}.up`, [4, 4], i === 10));
  const tree = moduleTree([entry("model.embed", [8, 4]), ...experts, ...layers, entry("head", [8, 4])]);
  const [model] = tree.children;

  it("sums up everything below a module", () => {
    expect(tree).toMatchObject({ name: "", tensors: 11, parameters: 32 + 36 + 48 + 32, trainable: 16, bytes: 4 * 148 });
    expect(tree.children.map(({ name }) => name)).toEqual(["model", "head"]);
    expect(model?.children.map(({ name, parameters }) => [name, parameters])).toEqual([
      ["embed", 32],
      ["layers", 84],
    ]);
  });

  it("joins numbered modules that are alike and follow each other, and no others", () => {
    const found = model?.children[1]?.children ?? [];
    expect(found.map(({ name, count, tensors }) => [name, count, tensors])).toEqual([
      ["0", 1, 6],
      ["1 … 2", 2, 2],
      ["10", 1, 1],
    ]);
    expect(found[0]?.children[0]?.children.map(({ name, count, parameters }) => [name, count, parameters])).toEqual([["0 … 2", 3, 36]]);
  });

  it("of nothing is empty", () => {
    expect(moduleTree([])).toMatchObject({ tensors: 0, children: [] });
  });
});
