import { describe, expect, it } from "vitest";
import { type ByteSource, HeirloomError, memorySource } from "../core/index.ts";
import { countingSource, safetensorsBytes } from "./fixtures/bytes.ts";
import { openShards } from "./index.ts";

/** A shard with one-byte tensors whose value is `value`. */
const shard = (names: string[], value: number): Uint8Array =>
  safetensorsBytes(
    Object.fromEntries(names.map((name, i) => [name, { dtype: "U8", shape: [1], data_offsets: [i, i + 1] }])),
    new Uint8Array(names.length).fill(value),
  );

const index = (json: unknown): ByteSource =>
  memorySource(new TextEncoder().encode(typeof json === "string" ? json : JSON.stringify(json)), "model.safetensors.index.json");

function opener(files: Record<string, Uint8Array>): { opened: string[]; open: (file: string) => Promise<ByteSource> } {
  const opened: string[] = [];
  return {
    opened,
    open(file) {
      opened.push(file);
      const bytes = files[file];
      if (bytes === undefined) return Promise.reject(new HeirloomError("FILE_MISSING", "no such file or folder", { where: file }));
      return Promise.resolve(memorySource(bytes, file));
    },
  };
}

const two = { "one.safetensors": shard(["a", "layer.1.q"], 1), "two.safetensors": shard(["b", "layer.1.k"], 2) };
const map = { a: "one.safetensors", "layer.1.q": "one.safetensors", b: "two.safetensors", "layer.1.k": "two.safetensors" };

describe("openShards", () => {
  it("gives all tensors under one face, a layer split over two shards too", async () => {
    const { open, opened } = opener(two);
    const file = await openShards(index({ metadata: { total_size: 4 }, weight_map: map }), open);
    expect([...file.tensors.keys()].sort()).toEqual(["a", "b", "layer.1.k", "layer.1.q"]);
    expect(await file.read("layer.1.q")).toEqual(Uint8Array.of(1));
    expect(await file.read("layer.1.k")).toEqual(Uint8Array.of(2));
    expect(opened.sort()).toEqual(["one.safetensors", "two.safetensors"]);
  });

  it.each([
    "../up.safetensors",
    "/etc/x.safetensors",
    "a/../../x.safetensors",
    "C:x.safetensors",
    "..\\x.safetensors",
    "./x.safetensors",
    "a//x.safetensors",
    "",
    "x\u0000.safetensors",
    "x.bin",
  ])("refuses the shard name %j before anything is opened", async (name) => {
    const { open, opened } = opener(two);
    await expect(openShards(index({ weight_map: { ...map, evil: name } }), open)).rejects.toMatchObject({
      code: "SHARD_INDEX_INVALID",
      message: expect.stringContaining("evil"),
    });
    expect(opened).toEqual([]);
  });

  it.each([
    ["no weight_map", { metadata: {} }, /an object "weight_map", found nothing/],
    ["a weight_map that is a list", { weight_map: [] }, /found an empty list/],
    ["an empty weight_map", { weight_map: {} }, /found 0/],
    ["a shard that is no text", { weight_map: { a: 3 } }, /a: the shard 3 is refused: it is not a text/],
    [
      "a tensor that is in no shard",
      { weight_map: { ...map, c: "one.safetensors" } },
      /c: the index says that it is in one.safetensors, found nowhere/,
    ],
    [
      "a tensor that is in the other shard",
      { weight_map: { ...map, b: "one.safetensors" } },
      /b: the index says that it is in one.safetensors, found two.safetensors/,
    ],
    [
      "a tensor that the index does not list",
      { weight_map: { a: "one.safetensors" } },
      /layer.1.q: one.safetensors holds it, the index does not list it/,
    ],
  ])("refuses an index with %s", async (_, json, message) => {
    await expect(openShards(index(json), opener(two).open)).rejects.toMatchObject({
      code: "SHARD_INDEX_INVALID",
      message: expect.stringMatching(message),
    });
  });

  it("refuses a tensor that two shards hold", async () => {
    const files = { "one.safetensors": shard(["a", "b"], 1), "two.safetensors": shard(["b"], 2) };
    const weightMap = { a: "one.safetensors", b: "two.safetensors" };
    await expect(openShards(index({ weight_map: weightMap }), opener(files).open)).rejects.toThrow(
      /b: two shards hold it, two.safetensors and one.safetensors/,
    );
  });

  it("refuses a tensor listed twice in the index", async () => {
    const text = '{"weight_map":{"a":"one.safetensors","a":"two.safetensors"}}';
    await expect(openShards(index(text), opener(two).open)).rejects.toMatchObject({ code: "JSON_INVALID" });
  });

  it("reports every shard that is missing or damaged, at once", async () => {
    const files = { "two.safetensors": two["two.safetensors"].slice(0, -1) };
    await expect(openShards(index({ weight_map: map }), opener(files).open)).rejects.toMatchObject({
      problems: expect.arrayContaining([
        expect.objectContaining({ code: "FILE_MISSING", where: "one.safetensors" }),
        expect.objectContaining({ code: "SAFETENSORS_TRUNCATED", where: "two.safetensors" }),
      ]),
    });
  });

  it("reads a set of 1,000 shards by one request each", async () => {
    const weightMap: Record<string, string> = {};
    const sources = new Map<string, ReturnType<typeof countingSource>>();
    for (let s = 0; s < 1000; s++) {
      const names = Array.from({ length: 10 }, (_, t) => `model.layers.${s}.mlp.experts.${t}.down_proj.weight`);
      sources.set(`${s}.safetensors`, countingSource(shard(names, 0), `${s}.safetensors`));
      for (const name of names) weightMap[name] = `${s}.safetensors`;
    }
    const file = await openShards(index({ weight_map: weightMap }), (name) => Promise.resolve(sources.get(name) as ByteSource));
    expect(file.tensors.size).toBe(10_000);
    expect([...sources.values()].every((source) => source.reads.length === 1)).toBe(true);
  });
});
