import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { op, type Pickled, PickledTensor, pickled, torchBytes, wholePickle } from "../formats/fixtures/torch.ts";
import { inspectPath } from "./index.ts";

const WHOLE = "vectors/hf-trainer-checkpoint/run/checkpoint-10";
const folders: string[] = [];
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "heirloom-checkpoint-"));
  folders.push(folder);
  await cp(WHOLE, folder, { recursive: true });
});

afterAll(() => Promise.all(folders.map((path) => rm(path, { recursive: true }))));

const inspect = () => inspectPath(folder, { base: "vectors/hf-trainer-checkpoint/base" });

/** Writes an optimizer.pt with a state of the given shapes; one group. */
async function writeOptimizer(shapes: readonly (readonly number[] | null)[], key: "exp_avg" | "state1" = "exp_avg"): Promise<void> {
  const storage = key === "state1" ? "ByteStorage" : "FloatStorage";
  const width = key === "state1" ? 1 : 4;
  const storages: Record<string, Uint8Array> = {};
  const state = new Map<Pickled, Pickled>();
  for (const [index, shape] of shapes.entries()) {
    if (shape === null) continue;
    const elements = shape.reduce((product, size) => product * size, 1);
    storages[String(index)] = new Uint8Array(elements * width);
    state.set(
      index,
      new Map<Pickled, Pickled>([
        ["step", 4 + index],
        [key, new PickledTensor(String(index), storage, elements, shape)],
      ]),
    );
  }
  const group = (indices: readonly number[]) =>
    new Map<Pickled, Pickled>([
      ["lr", 1e-4],
      ["initial_lr", 2e-4],
      ["params", indices],
    ]);
  const groups = [group([...shapes.keys()]), group([])];
  const value = new Map<Pickled, Pickled>([
    ["state", state],
    ["param_groups", groups],
  ]);
  await writeFile(join(folder, "optimizer.pt"), torchBytes(wholePickle(pickled(value)), storages));
}

/** Shapes by index, as the whole checkpoint has them, the full copies first and last. */
async function shapesByIndex(): Promise<(readonly number[])[]> {
  const { tensors } = await inspectPath(WHOLE, { base: "vectors/hf-trainer-checkpoint/base" });
  return tensors.filter(({ trainable }) => trainable).map(({ shape }) => shape);
}

describe("what an optimizer's file gives away", () => {
  it("full copies that are stored but were frozen", async () => {
    await writeOptimizer((await shapesByIndex()).slice(1, -1));
    const { counts, notes, banner, tensors } = await inspect();
    expect(counts).toMatchObject({ basis: "optimizer", trainable: 60_800 - 2 * 16_384 });
    expect(tensors.filter(({ role }) => role === "full_copy").map(({ trainable }) => trainable)).toEqual([false, false]);
    expect(notes).toEqual([expect.stringMatching(/embed_tokens.* and .*lm_head.* were not in the optimizer: frozen in this run/)]);
    // The banner is PEFT's, which knows nothing of what was frozen later.
    expect(banner?.peft.fresh).toContain("trainable params: 60,800");
  });

  it("tensors that never got a gradient", async () => {
    await writeOptimizer((await shapesByIndex()).map((shape, index) => (index === 43 ? null : shape)));
    const { counts, checkpoint, notes } = await inspect();
    expect(counts.trainable).toBe(60_800 - 16_384);
    expect(checkpoint?.optimizer).toMatchObject({ tensors: 43, steps: { min: 4, max: 46 } });
    expect(checkpoint?.optimizer?.withoutState).toEqual([expect.stringContaining("lm_head")]);
    expect(notes).toEqual([expect.stringContaining("never got a gradient")]);
  });

  it("8-bit state of bitsandbytes", async () => {
    await writeOptimizer(await shapesByIndex(), "state1");
    expect(await inspect()).toMatchObject({
      counts: { basis: "optimizer", trainable: 60_800 },
      checkpoint: { optimizer: { kind: "8-bit" } },
    });
  });

  it("lengths that fit with shapes that do not", async () => {
    await writeOptimizer((await shapesByIndex()).toReversed());
    const { counts, notes } = await inspect();
    expect(counts.basis).toBe("recorded");
    expect(notes).toEqual([expect.stringContaining("fits the stored tensors in number but not in shape: index 1 is")]);
  });

  it("a number of tensors that nothing explains", async () => {
    await writeOptimizer((await shapesByIndex()).slice(7));
    expect((await inspect()).notes).toEqual([expect.stringContaining("could not be matched")]);
  });
});

describe("what is missing or damaged beside the weights", () => {
  it("is named, and the counts then rest on the record", async () => {
    for (const file of ["optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"]) await rm(join(folder, file));
    const { counts, notes, checkpoint } = await inspect();
    expect(counts.basis).toBe("recorded");
    expect(checkpoint).toMatchObject({ optimizer: null, missing: ["optimizer.pt", "scheduler.pt", "rng_state.pth"] });
    expect(notes).toEqual([expect.stringContaining("a resume would not go on where this stopped")]);
  });

  it("in torch's old format is named, not skipped", async () => {
    await writeFile(
      join(folder, "scheduler.pt"),
      Uint8Array.from([0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]),
    );
    expect((await inspect()).notes).toEqual([
      expect.stringContaining("scheduler.pt: expected torch's zip format, found the one before torch 1.6"),
    ]);
  });

  it("and would run code is refused", async () => {
    await writeFile(join(folder, "rng_state.pth"), torchBytes(wholePickle(op("cos\nsystem\n(", pickled("id"), "tR"))));
    await expect(inspect()).rejects.toMatchObject({ code: "PICKLE_UNSAFE" });
  });

  it("may be a state with bare NaN", async () => {
    const text = await readFile(join(folder, "trainer_state.json"), "utf8");
    await writeFile(join(folder, "trainer_state.json"), text.replace(/"grad_norm": [\d.]+/, '"grad_norm": NaN'));
    expect((await inspect()).checkpoint).toMatchObject({ step: 10 });
  });
});
