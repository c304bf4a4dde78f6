import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adapterFiles, BASE_CONFIG, baseFiles, baseTensors, COPIES, Q_PAIR } from "../fixtures/tiny.ts";
import { writeFolder } from "../fixtures/write-files.ts";
import { inspectPath } from "./index.ts";

const MYSTERY = { architectures: ["MysteryForCausalLM"], model_type: "mystery" };
let folder: string;
const path = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "heirloom-unknown-base-"));
  await writeFolder(path("known"), baseFiles());
  await writeFolder(path("mystery"), baseFiles(MYSTERY));
  await writeFolder(path("config-only"), { "config.json": { ...BASE_CONFIG, ...MYSTERY } });
  await writeFolder(
    path("packed"),
    baseFiles(MYSTERY, { ...baseTensors(), "model.layers.0.self_attn.q_proj.qweight": { shape: [2, 4], dtype: "I8" } }),
  );
  await writeFolder(path("adapter"), adapterFiles({ modules_to_save: ["embed_tokens", "lm_head"] }, { ...Q_PAIR, ...COPIES }));
});
afterAll(() => rm(folder, { recursive: true }));

describe("an adapter on a base of unknown architecture", () => {
  it("has the banner that it has on a known one: the base's parameters are counted from its files", async () => {
    const [known, unknown] = await Promise.all(["known", "mystery"].map((base) => inspectPath(path("adapter"), { base: path(base) })));
    expect(unknown?.banner).toEqual(known?.banner);
    expect(unknown?.architecture).toBe("MysteryForCausalLM");
    expect(unknown?.notes.join()).toContain("counted from its files");
  });

  it.each(["config-only", "packed"])("has none, with the reason, where they cannot be counted: %s", async (base) => {
    const { banner, bannerReason } = await inspectPath(path("adapter"), { base: path(base) });
    expect(banner).toBeNull();
    expect(bannerReason).toContain("mystery");
  });
});
