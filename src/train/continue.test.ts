import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { parseChanges } from "../config/index.ts";
import { RandomStream } from "../core/index.ts";
import { withValues } from "../engine/fixtures/tiny-model.ts";
import { openAdapterFolder } from "../folders/index.ts";
import { readRunRecord } from "../runs/index.ts";
import { resolveContinuation } from "./continue.ts";
import { editJson, foreignCopy, rewriteTensors } from "./fixtures/adapter-files.ts";
import { failure, problemList, TinyWorkshop, type Told } from "./fixtures/tiny-run.ts";
import { prepareRun } from "./prepare.ts";

let workshop: TinyWorkshop;
let parent: Told;
let adapter: string;

beforeAll(async () => {
  workshop = await TinyWorkshop.open();
  parent = await workshop.train();
  adapter = parent.result.adapter as string;
});
afterAll(() => workshop.close());

const evalBefore = ({ result }: Told): number => result.evaluations[0]?.before as number;
const evalAfter = ({ result }: Told): number => result.evaluations[0]?.after as number;
const copyOf = (name: string): string => {
  cpSync(adapter, workshop.path(name), { recursive: true });
  return workshop.path(name);
};
const resolve = (values: object, changes: readonly string[], path = adapter) =>
  resolveContinuation({
    adapter: path,
    sources: { file: { path: workshop.path("more.json"), text: JSON.stringify({ data: { train: "train.jsonl" }, ...values }) } },
    changes: parseChanges(changes),
  });

/** Another value for everything that a continuation inherits from an adapter. */
const EVERYTHING = {
  quantization: "none",
  adapter: {
    rank: 8,
    alpha: 5,
    dropout: 0.1,
    targetModules: ["q_proj", "v_proj"],
    excludeModules: ["k_proj"],
    layers: [0],
    modulesToSave: ["embed_tokens"],
    ensureWeightTying: true,
    fullCopyDtype: "bf16",
  },
  training: { groups: [{ name: "head", match: ["lm_head"], learningRateRatio: 0.5 }] },
};
const NAMES = [
  "quantization",
  "rank",
  "alpha",
  "dropout",
  "targetModules",
  "excludeModules",
  "layers",
  "modulesToSave",
  "ensureWeightTying",
  "fullCopyDtype",
  "groups",
];

describe("a continuation", () => {
  test("has the same ledger to the digit, and starts at the loss that its parent ended with", async () => {
    const continued = await workshop.continue(parent.result.run);
    const [before, after] = await Promise.all([readRunRecord(parent.result.run), readRunRecord(continued.result.run)]);
    expect(continued.result.counts).toEqual(parent.result.counts);
    expect(after.ledger).toEqual(before.ledger);
    // On an untied base nothing is said of the tie, and PEFT's file says false. all-linear is stored as the list of modules that it means, as PEFT stores it.
    expect(after.config.adapter).toEqual({
      ...before.config.adapter,
      ensureWeightTying: false,
      targetModules: expect.arrayContaining(["q_proj", "down_proj"]),
    });
    expect(after.config.training.groups).toEqual(before.config.training.groups);
    const hash: unknown = expect.stringMatching(/^[0-9a-f]{64}$/);
    const files = { "adapter_config.json": hash, "adapter_model.safetensors": hash };
    const heldOut: unknown = { "parent/held": expect.objectContaining({ files: [workshop.path("eval.jsonl")], batchSize: 2 }) };
    expect(after.parent).toEqual({ adapter, run: before.id, step: 4, files, record: hash, heldOut });
    expect(after.provenance["adapter.rank"]).toBe("inherited");
    // DESIGN's tolerance; the same weights on the same batches give the same bits.
    expect(Math.abs(evalBefore(continued) - evalAfter(parent))).toBeLessThan(1e-5);
    expect(evalAfter(continued)).toBeLessThan(evalBefore(continued));
  });

  test("goes on from a checkpoint as from an adapter", async () => {
    const { config, adapter: found } = await resolve({}, [], join(parent.result.run, "checkpoint-4"));
    expect(found).toContain("checkpoint-4");
    expect(config.adapter).toMatchObject({ rank: 4, alpha: 8, modulesToSave: ["embed_tokens", "lm_head"] });
  });

  test("is refused for every difference that no change names, all at once", async () => {
    const error = await failure(resolve(EVERYTHING, []));
    expect(error).toMatchObject({ code: "CONTINUE_CHANGED", exitCode: 12 });
    expect(error.problems.every(({ code, hint }) => code === "CONTINUE_CHANGED" && hint?.includes("--change") === true)).toBe(true);
    expect(error.problems.map(({ where }) => where?.split(".").at(-1)).sort((a, b) => ((a ?? "") < (b ?? "") ? -1 : 1))).toEqual(
      [...NAMES].sort(),
    );
  });

  test("is refused for each of them alone", async () => {
    for (const name of NAMES) {
      const error = await failure(
        resolve(
          EVERYTHING,
          NAMES.filter((other) => other !== name),
        ),
      );
      expect(problemList(error), name).toEqual([expect.stringMatching(new RegExp(`^CONTINUE_CHANGED (adapter\\.|training\\.)?${name}$`))]);
    }
  });

  test("takes every difference that is named", async () => {
    const { config } = await resolve(EVERYTHING, NAMES);
    expect(config.adapter).toMatchObject(EVERYTHING.adapter);
    expect(config.quantization).toBeNull();
    expect(config.training.groups.map(({ name }) => name)).toEqual(["head"]);
  });

  test("takes the value that a change was given, with no flag beside it", async () => {
    const { config } = await resolve({}, ["dropout=0.25", "fullCopyDtype=bf16"]);
    expect(config.adapter).toMatchObject({ dropout: 0.25, fullCopyDtype: "bf16", rank: 4 });
  });

  test("may name the same tensors in other words", async () => {
    const targetModules = ["down_proj", "up_proj", "gate_proj", "o_proj", "v_proj", "k_proj", "q_proj"];
    await expect(resolve({ adapter: { targetModules, modulesToSave: ["lm_head", "embed_tokens"] } }, [])).resolves.toBeDefined();
  });

  test("names only what differs, not what says the same in other words beside it", async () => {
    const values = { adapter: { targetModules: "all-linear", modulesToSave: ["embed_tokens"] } };
    expect(problemList(await failure(resolve(values, [])))).toEqual(["CONTINUE_CHANGED adapter.modulesToSave"]);
    const both = { adapter: { targetModules: "all-linear", layers: [1, 0], rank: 2 } };
    expect(problemList(await failure(resolve(both, [])))).toEqual(["CONTINUE_CHANGED adapter.rank"]);
  });

  test("takes of a preset what is not the adapter's own, and says what it leaves", async () => {
    const preset = {
      path: "preset small",
      text: "adapter: {rank: 2, alpha: 8, targetModules: [q_proj]}\nquantization: nf4\nengine: {activations: recompute}\ntraining: {batchSize: 1}\n",
    };
    const file = { path: workshop.path("more.json"), text: '{"data": {"train": "train.jsonl"}}' };
    const kept = await resolveContinuation({ adapter, sources: { file, preset }, changes: parseChanges([]) });
    expect(kept.config).toMatchObject({ adapter: { rank: 4, alpha: 8 }, engine: { activations: "recompute" }, training: { batchSize: 1 } });
    expect(kept.assumptions).toEqual([expect.stringMatching(/adapter\.rank 2, adapter\.targetModules \["q_proj"\] not used/)]);
    const worded = { ...preset, text: "adapter: {rank: 2, targetModules: all-linear}\n" };
    const same = await resolveContinuation({ adapter, sources: { file, preset: worded }, changes: parseChanges([]) });
    expect(same.assumptions).toEqual([expect.stringMatching(/own: adapter\.rank 2 not used/)]);
    const changed = await resolveContinuation({ adapter, sources: { file, preset }, changes: parseChanges(["targetModules"]) });
    expect(changed.config.adapter).toMatchObject({ rank: 4, targetModules: ["q_proj"] });
  });

  test("is refused where there is a model and no adapter", async () => {
    expect(await failure(resolve({}, [], workshop.base))).toMatchObject({ code: "CONTINUE_CHANGE_INVALID", exitCode: 12 });
    expect(await failure(resolve({ adapter: "none", fullParameter: true, quantization: "none" }, []))).toMatchObject({
      code: "CONTINUE_CHANGED",
    });
  });
});

describe("a grown rank", () => {
  test.each([
    ["given with the change", {}, ["rank=16"]],
    ["given in the file", { adapter: { rank: 16 } }, ["rank"]],
  ])("keeps the outputs when it is %s: alpha follows", async (_how, values, changes) => {
    const grown = await workshop.continue(adapter, values, changes);
    const { config, ledger } = await readRunRecord(grown.result.run);
    expect(config.adapter).toMatchObject({ rank: 16, alpha: 32 });
    expect(ledger.counts.lora).toBe(4 * parent.result.counts.lora);
    expect(Math.abs(evalBefore(grown) - evalAfter(parent))).toBeLessThan(1e-6);
  });

  test("takes an alpha that is named as well, and refuses one that is not", async () => {
    expect((await resolve({ adapter: { alpha: 5 } }, ["rank=16", "alpha"])).config.adapter?.alpha).toBe(5);
    expect(problemList(await failure(resolve({ adapter: { alpha: 5 } }, ["rank=16"])))).toEqual(["CONTINUE_CHANGED adapter.alpha"]);
  });

  test.each([
    ["given with the change", {}, ["rank=2"]],
    ["given in the file", { adapter: { rank: 2 } }, ["rank"]],
  ])("is refused downwards when it is %s", async (_how, values, changes) => {
    expect(await failure(resolve(values, changes))).toMatchObject({ code: "CONTINUE_CHANGE_INVALID", exitCode: 12 });
  });
});

describe("targets", () => {
  test("may be added, which changes no output at first, and not be dropped", async () => {
    const small = await workshop.train({ adapter: { targetModules: ["q_proj", "v_proj"], modulesToSave: [] }, training: { groups: [] } });
    const more = await workshop.continue(small.result.run, { adapter: { targetModules: ["q_proj", "v_proj", "o_proj"] } }, [
      "targetModules",
    ]);
    expect(more.result.counts.lora).toBeGreaterThan(small.result.counts.lora);
    expect(Math.abs(evalBefore(more) - evalAfter(small))).toBeLessThan(1e-6);
    const error = await failure(workshop.continue(small.result.run, { adapter: { targetModules: ["q_proj"] } }, ["targetModules"]));
    expect(error.code).toBe("CONTINUE_CHANGE_INVALID");
    expect(error.problems.map(({ where }) => where)).toEqual(
      [0, 1].flatMap((layer) =>
        ["A", "B"].map((side) => `base_model.model.model.layers.${layer}.self_attn.v_proj.lora_${side}.default.weight`),
      ),
    );
  });
});

describe("the base", () => {
  test("must be the one recorded, whatever its path, unless it is named", async () => {
    const other = await workshop.model("other-base", { seed: 9 });
    const error = await failure(workshop.continue(adapter, { base: other }));
    expect(error).toMatchObject({ code: "BASE_MISMATCH", exitCode: 12 });
    expect((await workshop.continue(adapter, { base: other }, ["base"])).result.counts).toEqual(parent.result.counts);
    const moved = await workshop.model("moved-base", {});
    expect((await resolve({ base: moved }, [])).config.base).toBe(moved);
  });

  test("is told as another one before a tensor is found not to fit", async () => {
    const wider = await workshop.model("wider-base", { config: { intermediate_size: 64 } });
    expect((await failure(workshop.continue(adapter, { base: wider }))).code).toBe("BASE_MISMATCH");
  });

  test("is found changed in a single weight", async () => {
    const changed = await workshop.model("changed-base", {
      change: (name, tensor) =>
        name === "model.norm.weight"
          ? withValues(
              tensor,
              tensor.values.map((v, i) => (i === 31 ? v + 1e-3 : v)),
            )
          : tensor,
    });
    expect((await failure(workshop.continue(adapter, { base: changed }))).code).toBe("BASE_MISMATCH");
  });
});

describe("a foreign adapter", () => {
  test("is accepted, and what had to be assumed is listed in the events and in run.json", async () => {
    const foreign = foreignCopy(adapter, workshop.path("foreign"));
    const told = await workshop.continue(foreign);
    const notes = told.events.flatMap((event) => (event.type === "note" ? [event.message] : []));
    expect(notes[0]).toMatch(/^the adapter has no record of its training/);
    expect(notes.some((note) => note.includes(workshop.base))).toBe(true);
    expect((await readRunRecord(told.result.run)).assumptions).toEqual(notes);
    expect(told.result.counts).toEqual(parent.result.counts);
    expect(Math.abs(evalBefore(told) - evalAfter(parent))).toBeLessThan(1e-5);
  });

  test("inherits what its own files say", async () => {
    const foreign = foreignCopy(adapter, workshop.path("foreign-rank"));
    expect(problemList(await failure(resolve({ adapter: { rank: 8 } }, [], foreign)))).toEqual(["CONTINUE_CHANGED adapter.rank"]);
  });

  test("that uses what is not implemented is refused by name, all at once", async () => {
    const foreign = foreignCopy(adapter, workshop.path("foreign-features"), {
      use_dora: true,
      lora_bias: true,
      trainable_token_indices: [1],
      init_lora_weights: "pissa",
    });
    const error = await failure(workshop.continue(foreign));
    expect(error).toMatchObject({ code: "ADAPTER_UNSUPPORTED", exitCode: 12 });
    const features = error.problems.map(({ details }) => details?.["feature"]);
    for (const feature of ["use_dora", "lora_bias", "trainable_token_indices", "init_lora_weights"]) expect(features).toContain(feature);
    const ia3 = foreignCopy(adapter, workshop.path("foreign-ia3"), { peft_type: "IA3" });
    expect((await failure(workshop.continue(ia3))).message).toContain("IA3");
  });

  test("that chooses layers by another name than ours is not continued with other layers", async () => {
    const foreign = foreignCopy(adapter, workshop.path("foreign-pattern"), {
      target_modules: ["q_proj", "model.layers.1.mlp.up_proj"],
      layers_to_transform: [0],
      layers_pattern: "blocks",
      modules_to_save: null,
    });
    expect((await failure(resolve({}, [], foreign))).code).toBe("CONTINUE_CHANGED");
  });
});

describe("an adapter's file", () => {
  test("that lacks a tensor and has another too many is refused, both named", async () => {
    const broken = copyOf("broken");
    await rewriteTensors(join(broken, "adapter_model.safetensors"), (tensors) =>
      tensors.map((tensor) =>
        tensor.name.endsWith("layers.1.mlp.up_proj.lora_B.weight") ? { ...tensor, name: "base_model.model.stray.weight" } : tensor,
      ),
    );
    const error = await failure(workshop.continue(broken));
    expect(error.problems.map(({ code }) => code)).toEqual(["ADAPTER_INCOMPATIBLE", "ADAPTER_INCOMPATIBLE"]);
    expect(error.message).toContain("stray.weight");
    expect(error.message).toContain("layers.1.mlp.up_proj.lora_B.weight");
  });

  test("that has a NaN or another shape is refused, the tensor named", async () => {
    const broken = copyOf("not-finite");
    await rewriteTensors(join(broken, "adapter_model.safetensors"), (tensors) =>
      tensors.map((tensor) => {
        if (tensor.name.endsWith("layers.0.mlp.up_proj.lora_A.weight")) return { ...tensor, bytes: tensor.bytes.slice().fill(0xff, 8, 12) };
        if (tensor.name.endsWith("layers.0.mlp.up_proj.lora_B.weight")) return { ...tensor, shape: [...tensor.shape].reverse() };
        return tensor;
      }),
    );
    const error = await failure(workshop.continue(broken));
    expect(error.problems.map(({ code }) => code).sort()).toEqual(["TENSOR_NOT_FINITE", "TENSOR_SHAPE"]);
  });

  test("with a record that is no record, or of a later heirloom, is refused", async () => {
    const broken = copyOf("bad-record");
    editJson(join(broken, "heirloom.json"), { schemaVersion: 99 });
    expect(await failure(workshop.continue(broken))).toMatchObject({ code: "RECORD_INVALID", exitCode: 11 });
  });

  test("whose configuration no longer means what its record says was trained is refused, by the names of what would freeze", async () => {
    const frozen = copyOf("configured-frozen");
    editJson(join(frozen, "adapter_config.json"), { modules_to_save: null });
    const error = await failure(workshop.continue(frozen));
    expect(error).toMatchObject({ code: "LEDGER_MISMATCH", exitCode: 12 });
    expect(error.message).toContain(
      "would freeze: base_model.model.model.embed_tokens.modules_to_save.default.weight, base_model.model.lm_head",
    );
  });

  test("whose record lists other trained tensors than it has is refused", async () => {
    const broken = copyOf("disagreeing");
    const record = JSON.parse(readFileSync(join(broken, "heirloom.json"), "utf8")) as { trainable: { name: string }[] };
    editJson(join(broken, "heirloom.json"), { trainable: record.trainable.slice(1) });
    expect(await failure(workshop.continue(broken))).toMatchObject({ code: "LEDGER_MISMATCH", exitCode: 12 });
  });
});

test("a plain continuation draws no value that the adapter has, and a grown one only what it adds", async () => {
  const prepared = async (values: object, changes: readonly string[]) => {
    const { config } = await resolve(values, changes);
    const { spec, tensors, folder } = await openAdapterFolder(adapter);
    const drawn = vi.spyOn(RandomStream.prototype, "nextUint32");
    const { parameters } = await prepareRun(config, { saved: { spec, tensors }, checkpoint: null, startedAt: new Date() });
    const words = drawn.mock.calls.length;
    drawn.mockRestore();
    await folder.close();
    return { words, parameters };
  };
  expect((await prepared({}, [])).words).toBe(0);
  const { words, parameters } = await prepared({ adapter: { rank: 6 } }, ["rank"]);
  const inputs = parameters.filter(({ role }) => role === "lora_A").reduce((sum, { shape }) => sum + (shape[1] as number), 0);
  expect(words).toBe(2 * inputs * 2); // two rows more, each number of two words
});
