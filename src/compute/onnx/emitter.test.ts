import { describe, expect, it } from "vitest";
import { ModelEmitter } from "./emitter.ts";

describe("ModelEmitter", () => {
  it("refuses two nodes that write one tensor", () => {
    const emitter = new ModelEmitter([]);
    emitter.node("Exp", ["x"], ["y"]);
    expect(() => emitter.node("Log", ["x"], ["y"])).toThrow(/two nodes write the same tensor/);
  });

  it("refuses a model in which a tensor is read that nothing writes, optional inputs left out aside", () => {
    const emitter = new ModelEmitter([]);
    emitter.node("Exp", ["x", ""], ["y", ""]);
    emitter.assertComplete(["x"], ["y"]);
    expect(() => emitter.assertComplete([], ["y"])).toThrow(/^x: /);
    expect(() => emitter.assertComplete(["x"], ["z"])).toThrow(/^z: /);
  });

  it("refuses a constant whose values do not fill its shape", () => {
    expect(() => new ModelEmitter([]).constant([1, 2, 3], [2, 2], "float32")).toThrow(/3 values/);
  });

  it("encodes constants of every dtype in little-endian order", () => {
    const emitter = new ModelEmitter([]);
    emitter.constant([1, -2], [2], "int64");
    emitter.constant([1, -2], [2], "int32");
    emitter.constant([1.5], [], "float32");
    emitter.constant([0, 1], [2], "bool");
    emitter.constant([255], [1], "uint8");
    expect(emitter.initializers.map(({ rawData }) => Buffer.from(rawData ?? []).toString("hex"))).toEqual([
      "0100000000000000feffffffffffffff",
      "01000000feffffff",
      "0000c03f",
      "0001",
      "ff",
    ]);
  });
});
