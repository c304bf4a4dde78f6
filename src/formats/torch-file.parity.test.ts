import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { memorySource } from "../core/index.ts";
import { entryOfDict, isTorchTensor, openSafetensors, type PickleValue, readTorchFile, scanTorchObject } from "./index.ts";

const RUN = "vectors/hf-trainer-checkpoint";
const source = async (path: string) => memorySource(new Uint8Array(await readFile(`${RUN}/${path}`)), path);
const readState = async (file: string) => (await readTorchFile(await source(`run/checkpoint-10/${file}`))).value;

async function scalar(value: PickleValue | undefined): Promise<number> {
  if (!isTorchTensor(value)) throw new TypeError("expected a tensor");
  return new DataView((await value.source.read(0, 4)).slice().buffer).getFloat32(0, true);
}

describe("a Trainer's checkpoint, without Python", () => {
  it("has the optimizer's moments bit for bit, its steps and its groups", async () => {
    const optimizer = await readState("optimizer.pt");
    const expected = JSON.parse(await readFile(`${RUN}/optimizer-10.json`, "utf8"));
    const moments = await openSafetensors(await source("optimizer-10.safetensors"));
    const state = entryOfDict(optimizer, "state") as ReadonlyMap<PickleValue, PickleValue>;
    expect(state.size).toBe(44);
    for (const [key, values] of state) {
      const index = Number(key);
      for (const kind of ["exp_avg", "exp_avg_sq"]) {
        const tensor = entryOfDict(values, kind);
        const wanted = moments.tensors.get(`${index}.${kind}`);
        if (!isTorchTensor(tensor)) throw new TypeError("expected a tensor");
        expect({ dtype: tensor.dtype, shape: tensor.shape }).toEqual({ dtype: wanted?.dtype, shape: wanted?.shape });
        const bytes = await tensor.source.read(0, tensor.source.size);
        expect(Buffer.compare(bytes, await moments.read(`${index}.${kind}`))).toBe(0);
      }
      expect(await scalar(entryOfDict(values, "step"))).toBe(expected.step[index]);
    }
    const groups = (entryOfDict(optimizer, "param_groups") as readonly PickleValue[]).map((group) =>
      Object.fromEntries(group as unknown as Map<string, unknown>),
    );
    expect(groups).toEqual(expected.param_groups);
  });

  it("has the scheduler's rates", async () => {
    const { scheduler } = JSON.parse(await readFile(`${RUN}/optimizer-10.json`, "utf8"));
    expect(Object.fromEntries((await readState("scheduler.pt")) as unknown as Map<string, unknown>)).toMatchObject(scheduler);
  });

  it("has the state of the random number generators", async () => {
    const rng = await readState("rng_state.pth");
    expect(entryOfDict(rng, "cpu")).toMatchObject({ dtype: "U8", shape: [5056] });
    expect(entryOfDict(rng, "numpy")).toMatchObject(["MT19937", { kind: "numpy", type: "ndarray" }, 624, 0, 0]);
    expect((entryOfDict(rng, "python") as readonly PickleValue[])[1]).toHaveLength(625);
  });

  it("names the class of its arguments and their plain fields", async () => {
    const scanned = await scanTorchObject(await source("run/checkpoint-10/training_args.bin"));
    expect(scanned?.className).toBe("transformers.training_args.TrainingArguments");
    expect(Object.fromEntries(scanned?.fields ?? [])).toMatchObject({
      learning_rate: 0.001,
      lr_scheduler_type: "linear",
      optim: "adamw_torch",
      gradient_accumulation_steps: 2,
    });
  });
});
