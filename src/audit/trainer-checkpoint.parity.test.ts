import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { inspectPath } from "./index.ts";

const RUN = "vectors/hf-trainer-checkpoint";

describe("a checkpoint of the Hugging Face Trainer", () => {
  it.each(["headers alone", "headers and a base"])("tells from %s which tensors were trained, and how far", async (given) => {
    const options = given === "headers alone" ? {} : { base: `${RUN}/base` };
    const result = await inspectPath(`${RUN}/run/checkpoint-10`, options);
    const expected = JSON.parse(await readFile(`${RUN}/optimizer-10.json`, "utf8"));
    const trained = result.tensors.filter(({ trainable }) => trainable).map(({ name }) => name);
    expect(trained.toSorted()).toEqual(Object.values<string>(expected.parameters).toSorted());
    expect(result).toMatchObject({
      kind: "checkpoint",
      counts: { basis: "optimizer", trainable: 60_800 },
      checkpoint: {
        step: 10,
        maxSteps: 20,
        progress: 0.5,
        epochs: 4,
        lastLearningRates: expected.scheduler._last_lr,
        optimizer: { kind: "adam", order: "trainer", tensors: 44, withoutState: [], steps: { min: 10, max: 10 } },
        generators: ["python", "numpy", "cpu"],
        argumentsClass: "transformers.training_args.TrainingArguments",
        arguments: { learning_rate: 0.001, optim: "adamw_torch" },
        missing: [],
      },
      groups: [
        { name: "decay", learningRate: 0.001, tensors: 44, parameters: 60_800 },
        { name: "no_decay", learningRate: 0.001, tensors: 0, parameters: 0 },
      ],
      notes: [],
      provenance: { step: 10 },
    });
    expect(result.checkpoint?.epoch).toBeCloseTo(1.7273, 4);
  });
});
