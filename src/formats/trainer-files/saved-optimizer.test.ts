import { describe, expect, it } from "vitest";
import { memorySource } from "../../core/index.ts";
import { joined, vectorBytes } from "../fixtures/torch-files.ts";
import { adamWStateDict, encodeTorchFile, pyFloat, pyTuple, torchTensor, type ValueToSave } from "../index.ts";
import { readSavedOptimizer, updatesOf } from "./saved-optimizer.ts";

const read = async (value: ValueToSave) => readSavedOptimizer(memorySource(await joined(encodeTorchFile(value)), "optimizer.pt"));
const bytesOf = (values: Float32Array | Float64Array | Int32Array | BigInt64Array): Uint8Array => new Uint8Array(values.buffer);
const scalar = (value: number) => torchTensor("F32", [], bytesOf(Float32Array.of(value)));
const moment = () => torchTensor("F32", [2, 3], new Uint8Array(24));

interface Parts {
  readonly state?: ValueToSave;
  readonly group?: Readonly<Record<string, ValueToSave>>;
}
/** A state_dict of two parameters after three updates, but for what is given. */
const dict = ({ state, group = {} }: Parts = {}): ValueToSave =>
  new Map<string, ValueToSave>([
    ["state", state ?? new Map([0, 1].map((index) => [index, kept({ step: scalar(3) })]))],
    ["param_groups", [new Map(Object.entries({ lr: pyFloat(1e-3), params: [0, 1], ...group }))]],
  ]);
const kept = (entries: Readonly<Record<string, ValueToSave>>): ValueToSave => new Map(Object.entries({ exp_avg: moment(), ...entries }));
const one = (entries: Readonly<Record<string, ValueToSave>>): Parts => ({ state: new Map([[1, kept(entries)]]) });

describe("an optimizer's state_dict", () => {
  it("is read as it was written: groups, counters, tensors by key", async () => {
    const state = { step: scalar(7), expAvg: moment(), expAvgSq: moment() };
    const rates = { lr: 5e-4, initialLr: 1e-3, betas: [0.9, 0.98], eps: 1e-7, weightDecay: 0.01 } as const;
    const saved = await read(
      adamWStateDict(new Map([[0, state]]), [
        { ...rates, params: [0, 1] },
        { ...rates, params: [] },
      ]),
    );
    expect(saved).toMatchObject({ file: "optimizer.pt", shared: [] });
    expect(saved.groups).toMatchObject([
      { learningRate: 5e-4, peak: 1e-3, betas: [0.9, 0.98], epsilon: 1e-7, weightDecay: 0.01, indices: [0, 1] },
      { indices: [] },
    ]);
    expect(saved.groups[0]?.options.get("decoupled_weight_decay")).toBe(true);
    expect([...saved.state.keys()]).toEqual([0]);
    expect(saved.state.get(0)).toMatchObject({ updates: 7, shape: [2, 3], kind: "adam" });
    expect([...(saved.state.get(0)?.tensors.keys() ?? [])]).toEqual(["step", "exp_avg", "exp_avg_sq"]);
    expect(updatesOf(saved)).toEqual([7]);
  });

  it("of bitsandbytes is 8-bit, its keys as if they lay beside the counter", async () => {
    const saved = await readSavedOptimizer(memorySource(await vectorBytes("optimizer-8bit/optimizer.pt")));
    const [large, small] = [saved.state.get(0), saved.state.get(1)];
    expect([...(large?.tensors.keys() ?? [])].sort()).toEqual(["absmax1", "absmax2", "qmap1", "qmap2", "state1", "state2"]);
    expect(large).toMatchObject({ updates: 2, kind: "8-bit", shape: [64, 64] });
    expect(large?.tensors.get("state1")?.dtype).toBe("U8");
    expect(small).toMatchObject({ updates: 2, kind: "8-bit", shape: [8, 4] });
    expect(saved.groups).toMatchObject([{ learningRate: 1e-3, weightDecay: 0.01, indices: [0, 1] }]);
  });

  it.each([
    ["a number", 3],
    ["a tensor of torch's default dtype, when that is double", torchTensor("F64", [], bytesOf(Float64Array.of(3)))],
    ["a tensor of one", torchTensor("F32", [1], bytesOf(Float32Array.of(3)))],
    ["a whole number of 32 bits", torchTensor("I32", [], bytesOf(Int32Array.of(3)))],
    ["a whole number of 64 bits", torchTensor("I64", [], bytesOf(BigInt64Array.of(3n)))],
  ])("may count in %s", async (_, step) => {
    expect((await read(dict(one({ step })))).state.get(1)?.updates).toBe(3);
  });

  it("may have no counter, no rate and state of no parameter, which is told", async () => {
    const state = new Map<number | string, ValueToSave>([
      [1, kept({})],
      ["global_step", 4],
    ]);
    const saved = await read(dict({ state, group: { lr: null, betas: pyTuple(pyFloat(0.9)) } }));
    expect(saved.shared).toEqual(["global_step"]);
    expect(saved.state.get(1)?.updates).toBeNull();
    expect(saved.groups).toMatchObject([{ learningRate: null, peak: null, betas: null }]);
    expect(updatesOf(saved)).toEqual([]);
  });

  const faults: readonly [string, Parts, string, object][] = [
    ["a count of two", one({ step: torchTensor("F32", [2], new Uint8Array(8)) }), "state[1].step", { index: 1, key: "step" }],
    ["a count in half precision", one({ step: torchTensor("F16", [], new Uint8Array(2)) }), "state[1].step", { index: 1, key: "step" }],
    ["part of an update", one({ step: scalar(2.5) }), "state[1].step", { index: 1, key: "step" }],
    ["a count that is no number", one({ step: scalar(Number.NaN) }), "state[1].step", { index: 1, key: "step" }],
    ["less than no update", one({ step: -1 }), "state[1].step", { index: 1, key: "step" }],
    ["a count in words", one({ step: "three" }), "state[1].step", { index: 1, key: "step" }],
    ["a state that is no dict", { state: new Map([[1, 5]]) }, "state[1]", { index: 1 }],
    ["a state that no group has", { state: new Map([[2, kept({})]]) }, "state[2]", { index: 2 }],
    ["an index that is there twice", { group: { params: [0, 1, 1] } }, "param_groups[0].params", { group: 0, key: "params", index: 1 }],
    ["an index below 0", { group: { params: [0, 1, -1] } }, "param_groups[0].params", { group: 0, key: "params" }],
    ["a rate in words", { group: { lr: "auto" } }, "param_groups[0].lr", { group: 0, key: "lr" }],
    ["a rate that is no number", { group: { lr: pyFloat(Number.NaN) } }, "param_groups[0].lr", { group: 0, key: "lr" }],
  ];
  it.each(faults)("with %s is damaged, and it is told where", async (_, parts, where, details) => {
    await expect(read(dict(parts))).rejects.toMatchObject({
      code: "CHECKPOINT_INVALID",
      problems: [{ where: `optimizer.pt ${where}`, details }],
    });
  });

  it("has all its faults told at once", async () => {
    const state = new Map([0, 1].map((index) => [index, kept({ step: -1 })]));
    await expect(read(dict({ state, group: { eps: pyFloat(Number.POSITIVE_INFINITY) } }))).rejects.toMatchObject({
      problems: [
        { where: "optimizer.pt param_groups[0].eps" },
        { where: "optimizer.pt state[0].step" },
        { where: "optimizer.pt state[1].step" },
      ],
    });
  });

  it.each([
    ["by names, as FSDP has it", dict({ group: { params: ["model.embed_tokens.weight"] } }), "indices of parameters"],
    ["of something else", new Map([["model", 1]]), "state and param_groups"],
    ["that is a list", [1, 2], "state and param_groups"],
  ] as const)("%s is a form that is not read", async (_, value, said) => {
    await expect(read(value)).rejects.toMatchObject({ code: "TORCH_FILE_UNSUPPORTED", message: expect.stringContaining(said) });
  });
});
