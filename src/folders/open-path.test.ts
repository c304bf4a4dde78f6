import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FixtureFiles, writeFolder } from "../audit/fixtures/write-files.ts";
import { joined } from "../formats/fixtures/bytes.ts";
import { encodeTorchFile, torchTensor } from "../formats/index.ts";
import { locateModel, openAdapterFolder, openPath } from "./index.ts";

const A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
const CONFIG = { peft_type: "LORA", r: 2, lora_alpha: 4, target_modules: ["q_proj"] };
const MODEL = { model_type: "gemma2", architectures: ["Gemma2ForCausalLM"] };
const ADAPTER: FixtureFiles = { "adapter_config.json": CONFIG, "adapter_model.safetensors": { [A]: [2, 8] } };

let root: string;
let count = 0;

/** A new folder with these files. */
async function folderOf(files: FixtureFiles, name = `folder-${count++}`): Promise<string> {
  await writeFolder(join(root, name), files);
  return join(root, name);
}

interface Seen {
  readonly kind: string;
  readonly holds: string;
  readonly tensors: readonly string[] | null;
}

async function seenAt(path: string): Promise<Seen> {
  const opened = await openPath(path);
  try {
    await opened.adapterConfig();
    const weights = await opened.weights();
    return { kind: opened.kind, holds: opened.holds, tensors: weights === null ? null : [...weights.tensors.keys()] };
  } finally {
    await opened.close();
  }
}

/** A state dict as torch saves it. */
async function stateDict(...names: string[]): Promise<Uint8Array> {
  const tensors = names.map((name) => [name, torchTensor("F32", [2], () => [new Uint8Array(8)])] as const);
  return joined(encodeTorchFile(new Map(tensors)));
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "heirloom-folders-"));
});
afterAll(() => rm(root, { recursive: true }));

describe("what a path turns out to be", () => {
  it.each<[string, FixtureFiles, Seen]>([
    ["an adapter", ADAPTER, { kind: "adapter", holds: "adapter", tensors: [A] }],
    ["a checkpoint with an adapter", { ...ADAPTER, "trainer_state.json": {} }, { kind: "checkpoint", holds: "adapter", tensors: [A] }],
    [
      "a model",
      { "config.json": MODEL, "model.safetensors": { "a.weight": [2] } },
      { kind: "model", holds: "model", tensors: ["a.weight"] },
    ],
    [
      "a checkpoint with a model",
      { "config.json": MODEL, "trainer_state.json": {}, "model.safetensors": { w: [2] } },
      { kind: "checkpoint", holds: "model", tensors: ["w"] },
    ],
    [
      "an adapter with its base's config.json beside it",
      { ...ADAPTER, "config.json": MODEL },
      { kind: "adapter", holds: "adapter", tensors: [A] },
    ],
    ["weights without a configuration", { "adapter_model.safetensors": { [A]: [2, 8] } }, { kind: "file", holds: "adapter", tensors: [A] }],
    ["a trainer's state alone", { "trainer_state.json": { global_step: 3 } }, { kind: "checkpoint", holds: "trainer", tensors: null }],
    [
      "a model in shards",
      {
        "config.json": MODEL,
        "model.safetensors.index.json": { weight_map: { a: "model-1.safetensors", b: "model-2.safetensors" } },
        "model-1.safetensors": { a: [2] },
        "model-2.safetensors": { b: [2] },
      },
      { kind: "model", holds: "model", tensors: ["a", "b"] },
    ],
  ])("%s is told by its files", async (_, files, seen) => {
    expect(await seenAt(await folderOf(files))).toEqual(seen);
  });

  it("shards of torch's older form are read by their index, a legacy adapter by its .bin", async () => {
    const model = await folderOf({
      "config.json": MODEL,
      "pytorch_model.bin.index.json": { metadata: {}, weight_map: { a: "pytorch_model-1.bin", b: "pytorch_model-2.bin" } },
      "pytorch_model-1.bin": await stateDict("a"),
      "pytorch_model-2.bin": await stateDict("b"),
    });
    expect(await seenAt(model)).toEqual({ kind: "model", holds: "model", tensors: ["a", "b"] });
    expect(await seenAt(join(model, "pytorch_model.bin.index.json"))).toMatchObject({ kind: "model" });
    expect(await seenAt(join(model, "pytorch_model-1.bin"))).toEqual({ kind: "file", holds: "model", tensors: ["a"] });
    const adapter = await folderOf({ "adapter_config.json": CONFIG, "adapter_model.bin": await stateDict(A) });
    expect(await seenAt(adapter)).toEqual({ kind: "adapter", holds: "adapter", tensors: [A] });
  });

  it.each<[string, FixtureFiles, Seen]>([
    ["adapter_config.json", { "adapter_config.json": CONFIG }, { kind: "file", holds: "adapter", tensors: null }],
    ["any-name.json", { "any-name.json": MODEL }, { kind: "file", holds: "model", tensors: null }],
    ["trainer_state.json", { "trainer_state.json": {} }, { kind: "file", holds: "trainer", tensors: null }],
    ["weights.safetensors", { "weights.safetensors": { [A]: [2, 8] } }, { kind: "file", holds: "adapter", tensors: [A] }],
    ["adapter_model.safetensors", ADAPTER, { kind: "adapter", holds: "adapter", tensors: [A] }],
    ["other.safetensors", { ...ADAPTER, "other.safetensors": { w: [2] } }, { kind: "file", holds: "model", tensors: ["w"] }],
  ])("%s is looked at by itself, or as the folder whose weights it is", async (file, files, seen) => {
    expect(await seenAt(join(await folderOf(files), file))).toEqual(seen);
  });

  it("a run is its final adapter, or the last of its checkpoints before that", async () => {
    const run = await folderOf({ "run.json": {} });
    await expect(openPath(run)).rejects.toMatchObject({ code: "FILE_MISSING", hint: expect.stringContaining("train --from") as unknown });
    for (const step of [9, 10])
      await folderOf({ ...ADAPTER, "trainer_state.json": {} }, join(run.slice(root.length), `checkpoint-${step}`));
    expect((await openPath(run)).path).toBe(join(run, "checkpoint-10"));
    await folderOf(ADAPTER, join(run.slice(root.length), "adapter"));
    const opened = await openPath(run);
    expect({ kind: opened.kind, path: opened.path }).toEqual({ kind: "run", path: join(run, "adapter") });
  });

  it("the Hugging Face cache, whose snapshots are links to blobs, is read like any folder", async () => {
    const blobs = await folderOf({ x1: JSON.stringify(CONFIG) }, "models--o--n/blobs");
    await writeFolder(join(root, "made"), ADAPTER);
    await writeFile(join(blobs, "x2"), await readFile(join(root, "made/adapter_model.safetensors")));
    const snapshot = await folderOf({}, "models--o--n/snapshots/abc");
    await symlink("../../blobs/x1", join(snapshot, "adapter_config.json"));
    await symlink("../../blobs/x2", join(snapshot, "adapter_model.safetensors"));
    expect(await seenAt(snapshot)).toMatchObject({ kind: "adapter", tensors: [A] });
    expect(await seenAt(join(snapshot, "adapter_model.safetensors"))).toMatchObject({ kind: "adapter", tensors: [A] });
  });
});

describe("what is refused", () => {
  it.each<[string, FixtureFiles, RegExp, RegExp]>([
    ["nothing", {}, /an empty folder/, /name the folder/],
    ["other files", { "notes.txt": "x", "b.md": "y" }, /found b\.md, notes\.txt/, /name the folder/],
    ["a renamed configuration", { "adapter_confg.json": CONFIG }, /none|found adapter_confg/, /did you rename adapter_confg\.json/],
    ["weights alone", { "lora.safetensors": { [A]: [2, 8] } }, /found lora\.safetensors/, /inspect .*lora\.safetensors/],
    ["a configuration of another name", { "o--n_config.json": MODEL }, /found o--n_config\.json/, /inspect .*o--n_config\.json/],
    [
      "checkpoints without a record",
      { "checkpoint-9": "", "checkpoint-10": "" },
      /found checkpoint-10, checkpoint-9/,
      /inspect .*checkpoint-10$/,
    ],
    [
      "a configuration without weights",
      { "adapter_config.json": CONFIG },
      /adapter_config\.json without weights/,
      /inspect .*adapter_config\.json/,
    ],
    [
      "an index without its shards",
      { "config.json": MODEL, "model.safetensors.index.json": { weight_map: { a: "model-1.safetensors" } } },
      /the index names this shard, and it is not there/,
      /download all the shards/,
    ],
  ])("a folder with %s, saying what was found and what to do", async (_, files, message, hint) => {
    const error: unknown = await seenAt(await folderOf(files)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "FILE_MISSING",
      message: expect.stringMatching(message) as unknown,
      hint: expect.stringMatching(hint) as unknown,
    });
  });

  it.each<[string, FixtureFiles, RegExp, RegExp]>([
    [
      "DeepSpeed",
      { "config.json": MODEL, global_step500: "", "zero_to_fp32.py": "" },
      /DeepSpeed ZeRO left \(global_step500\)/,
      /zero_to_fp32\.py/,
    ],
    ["DeepSpeed, with a trainer's state", { "trainer_state.json": {}, "zero_to_fp32.py": "" }, /DeepSpeed/, /zero_to_fp32\.py/],
    [
      "FSDP",
      { "trainer_state.json": {}, pytorch_model_fsdp_0: "", optimizer_0: "" },
      /FSDP left \(pytorch_model_fsdp_0\)/,
      /accelerate merge-weights pytorch_model_fsdp_0/,
    ],
    ["FSDP, from inside", { "__0_0.distcp": "", ".metadata": "" }, /FSDP left \(__0_0\.distcp\)/, /accelerate merge-weights \./],
    ["an adapter's FSDP", { "adapter_config.json": CONFIG, pytorch_model_fsdp: "" }, /FSDP/, /accelerate merge-weights/],
  ])("the pieces of %s, with what gathers them", async (_, files, message, hint) => {
    const error: unknown = await seenAt(await folderOf(files)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "WEIGHTS_SHARDED",
      message: expect.stringMatching(message) as unknown,
      hint: expect.stringMatching(hint) as unknown,
    });
  });

  it("weights that are whole are read, whatever lies in pieces beside them", async () => {
    expect(await seenAt(await folderOf({ ...ADAPTER, "trainer_state.json": {}, global_step5: "" }))).toMatchObject({ kind: "checkpoint" });
  });

  it("a link that leads out of the folder, in whatever place", async () => {
    const secret = await folderOf({ ...ADAPTER, "x.json": CONFIG });
    const folder = await folderOf(ADAPTER);
    for (const name of ["adapter_model.safetensors", "adapter_config.json"]) {
      await rm(join(folder, name));
      await symlink(join(secret, name), join(folder, name));
      const error: unknown = await seenAt(folder).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "FILE_UNREADABLE", message: expect.stringContaining("leads out of it") as unknown });
      await rm(join(folder, name));
      await writeFile(join(folder, name), await readFile(join(secret, name)));
    }
  });

  it("but not of a base, which the user chose: its links are followed", async () => {
    const elsewhere = await folderOf({ "config.json": CONFIG });
    const folder = await folderOf({});
    await symlink(join(elsewhere, "config.json"), join(folder, "config.json"));
    const opened = await openPath(folder, { asBase: true });
    expect(await opened.json("config.json")).toEqual(CONFIG);
    await opened.close();
  });

  it("pipes and devices, without waiting for them", async () => {
    const folder = await folderOf(ADAPTER);
    await rm(join(folder, "adapter_model.safetensors"));
    execFileSync("mkfifo", [join(folder, "adapter_model.safetensors"), join(folder, "pipe.json"), join(folder, "pipe")]);
    for (const path of [
      folder,
      join(folder, "adapter_model.safetensors"),
      join(folder, "pipe.json"),
      join(folder, "pipe"),
      "/dev/zero",
      "/dev/stdin",
      "/proc/self/mem",
    ])
      await expect(seenAt(path), path).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
  });

  it("a folder in place of a file, and a file in place of a folder", async () => {
    const folder = await folderOf({ "adapter_config.json": CONFIG });
    await mkdir(join(folder, "adapter_model.safetensors"));
    await expect(seenAt(folder)).rejects.toMatchObject({
      code: "FILE_UNREADABLE",
      message: expect.stringContaining("found a folder") as unknown,
    });
    await expect(seenAt(join(folder, "adapter_config.json", "x"))).rejects.toMatchObject({ code: "FILE_MISSING" });
  });

  it("a file of no known kind, and JSON that is none", async () => {
    const folder = await folderOf({ "a.gguf": "GGUF", "b.json": [1], "c.json": "{", "d.json": { hello: 1 } });
    for (const [file, code] of [
      ["a.gguf", "GGUF_TRUNCATED"],
      ["b.json", "FILE_UNREADABLE"],
      ["c.json", "JSON_INVALID"],
      ["d.json", "FILE_UNREADABLE"],
    ] as const)
      await expect(seenAt(join(folder, file)), file).rejects.toMatchObject({ code, hint: expect.any(String) as unknown });
  });
});

describe("what can be computed with", () => {
  it("is a folder on disk, not an address, a file or a trainer's state", async () => {
    await expect(openAdapterFolder("hf://o/n@v1")).rejects.toMatchObject({ hint: expect.stringContaining("--revision v1") as unknown });
    const folder = await folderOf({ ...ADAPTER, "trainer_state.json": {}, "x.json": MODEL });
    expect(await locateModel(folder)).toEqual({ kind: "adapter", path: folder });
    await expect(locateModel(join(folder, "x.json"))).rejects.toMatchObject({ code: "FILE_MISSING" });
    await expect(locateModel(await folderOf({ "trainer_state.json": {} }))).rejects.toMatchObject({
      message: expect.stringContaining("state alone") as unknown,
    });
  });
});
