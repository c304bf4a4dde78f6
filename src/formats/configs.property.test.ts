import fc from "fast-check";
import { describe, it } from "vitest";
import { isHeirloomError, memorySource } from "../core/index.ts";
import { openShards, parseJson, parsePeftConfig, readJson } from "./index.ts";

/** Runs it; only a HeirloomError may come out. */
async function survives(work: () => unknown): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isHeirloomError(error) || error.code === "INTERNAL") throw error;
  }
}

const CONFIG = {
  peft_type: "LORA",
  r: 8,
  lora_alpha: 16,
  target_modules: ["q_proj"],
  rank_pattern: { "layers.0": 4 },
  layers_to_transform: [0],
  modules_to_save: null,
  trainable_token_indices: { embed_tokens: [1] },
  base_model_name_or_path: "ключ\u0001",
};
const text = JSON.stringify(CONFIG);

describe("a configuration under attack", () => {
  it("gives only typed errors for random bytes changed, and wherever it is cut", async () => {
    const bytes = new TextEncoder().encode(text);
    for (let length = 0; length < bytes.byteLength; length++)
      await survives(async () => parsePeftConfig(await readJson(memorySource(bytes.slice(0, length))), "x"));
    const change = fc.tuple(fc.nat(bytes.byteLength - 1), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const damaged = bytes.slice();
        for (const [at, value] of changes) damaged[at] = value;
        await survives(async () => parsePeftConfig(await readJson(memorySource(damaged)), "x"));
      }),
      { numRuns: 2000 },
    );
  });

  it("gives only typed errors for values of any type under its own keys", async () => {
    const keys = fc.constantFrom(
      ...Object.keys(CONFIG),
      "lora_dropout",
      "bias",
      "use_dora",
      "init_lora_weights",
      "__proto__",
      "layers_pattern",
    );
    await fc.assert(
      fc.asyncProperty(fc.dictionary(keys, fc.jsonValue()), fc.constantFrom("LORA", "IA3", "", null, 5), async (values, type) => {
        await survives(() => parsePeftConfig({ ...CONFIG, ...values, peft_type: type }, "x"));
      }),
      { numRuns: 2000 },
    );
  });

  it("gives only typed errors for any text as JSON", async () => {
    const piece = fc.constantFrom(
      "{",
      "}",
      "[",
      "]",
      '"',
      ":",
      ",",
      "\\u00",
      "\\",
      "1e",
      "-",
      "NaN",
      "nul",
      "\ud800",
      "\u0000",
      '"a":1',
      " ",
      "\n",
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 30 }), (pieces) => survives(() => parseJson(pieces.join(""), "x"))),
      { numRuns: 3000 },
    );
  });

  it("gives only typed errors for any index of shards, and opens nothing outside of its folder", async () => {
    const name = fc.oneof(
      fc.constantFrom("a.safetensors", "../a.safetensors", "/a.safetensors", "b/../../a.safetensors", "a\u001b.safetensors", "", "."),
      fc.string(),
    );
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.string(), fc.oneof(name, fc.jsonValue())), async (map) => {
        const index = memorySource(new TextEncoder().encode(JSON.stringify({ weight_map: map })));
        await survives(() =>
          openShards(index, (file) => {
            if (file.split("/").includes("..") || file.startsWith("/")) throw new RangeError(`opened ${file}`);
            return Promise.resolve(memorySource(new Uint8Array(3)));
          }),
        );
      }),
      { numRuns: 1000 },
    );
  });
});
