import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { type AdapterSpec, resolveTargets } from "../adapter/index.ts";
import { RandomStream } from "../core/index.ts";
import { openModelFolder } from "../folders/index.ts";
import type { ModelSpec } from "../model/index.ts";
import { tinyAdapter } from "./fixtures/tiny-engine.ts";
import { writeTinyModel } from "./fixtures/tiny-model.ts";
import { takeOverValues } from "./grow-adapter.ts";
import {
  type AdapterParameterOptions,
  type BaseWeights,
  growAdapter,
  loadModelFolder,
  newAdapterParameters,
  type Parameter,
} from "./index.ts";

let folder: string;
let model: { readonly spec: ModelSpec; readonly base: BaseWeights };
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "heirloom-grow-"));
  const opened = await openModelFolder(await writeTinyModel(folder));
  model = { spec: opened.spec, base: await loadModelFolder(opened, { quantization: null, cache: "auto" }) };
  await opened.folder.close();
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

const optionsOf = (changes: Partial<AdapterSpec>, facts: Partial<AdapterParameterOptions> = {}): AdapterParameterOptions => {
  const spec = tinyAdapter(changes);
  return { spec, resolved: resolveTargets(model.spec, spec), base: model.base, seed: 7, fullCopyDtype: "F32", ...facts };
};
/** A trained adapter: every value something else than what it would start from. */
async function trained(changes: Partial<AdapterSpec>, facts: Partial<AdapterParameterOptions> = {}): Promise<Parameter[]> {
  const parameters = await newAdapterParameters(optionsOf(changes, facts));
  for (const { values } of parameters)
    for (let i = 0; i < values.length; i++) values[i] = Math.fround(0.25 * (values[i] as number) + i / 64);
  return parameters;
}
const bytesOf = (parameters: readonly Parameter[]) =>
  parameters.map(({ name, keys, values }) => [name, keys, Buffer.from(values.buffer).toString("hex")]);
const draws = () => vi.spyOn(RandomStream.prototype, "nextUint32");

const SMALL = { rank: 3, modulesToSave: ["lm_head"], targetModules: ["q_proj", "down_proj"] };
const LARGER = { rank: 5, modulesToSave: ["embed_tokens", "lm_head"], targetModules: ["q_proj", "down_proj", "up_proj"] };

describe("an adapter that goes on from a saved one", () => {
  test.each([
    ["the same tensors", SMALL, true],
    ["more rank, targets and copies", LARGER, true],
    ["the same, from normal numbers", LARGER, "gaussian"],
    ["the same, with a random B", LARGER, false],
  ] as const)("has the bytes of a new one into which the saved values were read: %s", async (_, grown, initLoraWeights) => {
    for (const fullCopyDtype of ["F32", "BF16"] as const) {
      const options = optionsOf({ ...grown, initLoraWeights }, { fullCopyDtype });
      const saved = (): Promise<Parameter[]> => trained({ ...SMALL, initLoraWeights }, { seed: 1, fullCopyDtype });
      const expected = await newAdapterParameters(options);
      takeOverValues(await saved(), expected);
      expect(bytesOf(await growAdapter(await saved(), options))).toEqual(bytesOf(expected));
    }
  });

  test("draws nothing where nothing grows", async () => {
    const saved = await trained(SMALL);
    const drawn = draws();
    await growAdapter(saved, optionsOf({ ...SMALL, initLoraWeights: true }));
    await growAdapter(saved, optionsOf({ ...SMALL, initLoraWeights: false }));
    expect(drawn).not.toHaveBeenCalled();
  });

  test("draws the new rows of A alone, where the rank grows", async () => {
    const saved = await trained(SMALL);
    const drawn = draws();
    const grown = await growAdapter(saved, optionsOf({ ...SMALL, rank: 5, initLoraWeights: true }));
    const inputs = grown.filter(({ role }) => role === "lora_A").reduce((sum, { shape }) => sum + (shape[1] as number), 0);
    // Two rows more, each number of two words.
    expect(drawn).toHaveBeenCalledTimes(2 * inputs * 2);
  });

  test("copies no weight of the base that a saved full copy replaces", async () => {
    const saved = await trained(SMALL);
    const read = vi.spyOn(model.base, "values");
    await growAdapter(saved, optionsOf({ ...SMALL, modulesToSave: ["embed_tokens", "lm_head"] }));
    expect(read.mock.calls).toEqual([["model.embed_tokens.weight"]]);
  });

  test("cannot lose a tensor or shrink", async () => {
    const saved = await trained(LARGER);
    await expect(growAdapter(saved, optionsOf(SMALL))).rejects.toMatchObject({ code: "CONTINUE_CHANGE_INVALID" });
  });
});
