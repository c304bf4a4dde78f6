import { describe, expect, test } from "vitest";
import { resolveTargets } from "../adapter/index.ts";
import type { DecodingStream } from "./decoder.ts";
import { type EngineOptions, openEngine, tinyAdapter, tinyBatch, tinyExamples } from "./fixtures/tiny-engine.ts";
import { TINY_VOCAB } from "./fixtures/tiny-model.ts";
import { type CausalModel, type Decoder, loraPlans, newAdapterParameters } from "./index.ts";

/** What issue and documents promise of cached decoding, on logits of order 1 to 10. */
const SAME = 5e-5;

const idsOf = (length: number, seed: number): number[] => Array.from(tinyExamples([length], seed)[0]?.inputIds ?? []);

/** Logits [ids, V] of a full forward pass over one sequence. */
async function fullLogits(model: CausalModel, ids: readonly number[]): Promise<Float32Array> {
  const inputIds = Int32Array.from(ids);
  return model.logits(tinyBatch([{ inputIds, labels: inputIds, row: 1, source: "test" }], ids.length));
}

function difference(a: Float32Array, b: Float32Array): number {
  expect(a).toHaveLength(b.length);
  let worst = 0;
  for (const [i, x] of a.entries()) {
    const off = Math.abs(x - (b[i] as number));
    if (!(off <= worst)) worst = off;
  }
  return worst;
}

const rowOf = (logits: Float32Array, row: number): Float32Array => logits.subarray(row * TINY_VOCAB, (row + 1) * TINY_VOCAB);

/** Reads a prompt in parts of the given sizes, then the rest token by token; the logits of every position must be the full pass's. */
async function expectSameLogits(model: CausalModel, ids: readonly number[], parts: readonly number[]): Promise<void> {
  const expected = await fullLogits(model, ids);
  const decoder = model.decoder(model.spec.maxPositions);
  const stream = decoder.open();
  for (const size of parts) {
    const from = stream.length;
    const logits = await decoder.extend(stream, ids.slice(from, from + size), "all");
    expect(difference((logits as Float32Array).slice(), expected.subarray(from * TINY_VOCAB, (from + size) * TINY_VOCAB))).toBeLessThan(
      SAME,
    );
  }
  while (stream.length < ids.length) {
    const at = stream.length;
    const logits = await decoder.step([{ stream, id: ids[at] as number }]);
    expect(difference(logits, rowOf(expected, at)), `token ${at}`).toBeLessThan(SAME);
  }
}

const QWEN3 = { architectures: ["Qwen3ForCausalLM"], model_type: "qwen3" };
const MISTRAL = { architectures: ["MistralForCausalLM"], model_type: "mistral", sliding_window: 7 };
const LLAMA3_ROPE = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 32 };

const MODELS: readonly (readonly [string, EngineOptions])[] = [
  ["a Llama with two query heads per key head", {}],
  ["a Llama with as many key heads as query heads", { model: { config: { num_key_value_heads: 4 } } }],
  ["a Llama with one key head", { model: { config: { num_key_value_heads: 1 } } }],
  ["a Llama with scaled rotary frequencies", { model: { config: { rope_scaling: LLAMA3_ROPE } } }],
  ["a tied Llama", { model: { tied: true } }],
  ["a Mistral with a window shorter than the text", { model: { config: MISTRAL } }],
  ["a Qwen2 with its biases", { model: { config: { architectures: ["Qwen2ForCausalLM"], model_type: "qwen2" } } }],
  ["a Qwen3 with its norms of queries and keys", { model: { config: QWEN3 } }],
  ["LoRA on every linear layer and the head", { adapter: { targetModules: ["q_proj", "v_proj", "down_proj", "lm_head"] } }],
  ["LoRA with full copies of embedding and head", { adapter: { modulesToSave: ["embed_tokens", "lm_head"] } }],
  ["an NF4 base that is dequantized each time", { base: { quantization: { type: "nf4", doubleQuant: true }, cache: "off" } }],
];

describe("cached decoding has the logits of a full forward pass", () => {
  test.each(MODELS)("of %s", async (_title, options) => {
    const { model } = await openEngine(options);
    await expectSameLogits(model, idsOf(30, 3), [18]);
    await model.dispose();
  });

  test("whatever the parts in which the prompt is read", async () => {
    const { model } = await openEngine({ model: { config: MISTRAL } });
    for (const parts of [[], [1], [8], [9, 1, 11], [40], [16, 24]]) await expectSameLogits(model, idsOf(42, 4), parts);
    await model.dispose();
  });

  test("beyond where the cache grows, and up to the model's last position", async () => {
    const { model } = await openEngine({ model: { config: { max_position_embeddings: 300 } } });
    await expectSameLogits(
      model,
      idsOf(300, 5),
      [126, 0, 4].filter((size) => size > 0),
    );
    await expectSameLogits(model, idsOf(300, 6), [150, 149]);
    await model.dispose();
  });
});

/** Takes a token of each stream in one step and compares with the full passes. */
async function expectStep(
  decoder: Decoder,
  streams: ReadonlyMap<DecodingStream, { readonly ids: readonly number[]; readonly expected: Float32Array }>,
): Promise<void> {
  const tokens = [...streams].map(([stream, { ids }]) => ({ stream, id: ids[stream.length] as number, at: stream.length }));
  const logits = await decoder.step(tokens);
  tokens.forEach(({ stream, at }, i) => {
    const expected = streams.get(stream)?.expected as Float32Array;
    expect(difference(rowOf(logits, i), rowOf(expected, at)), `stream ${i}, token ${at}`).toBeLessThan(SAME);
  });
}

describe("streams of different lengths in one batch", () => {
  async function openStreams(model: CausalModel, decoder: Decoder, lengths: readonly number[]) {
    const streams = new Map<DecodingStream, { ids: number[]; expected: Float32Array }>();
    for (const [i, prompt] of lengths.entries()) {
      const ids = idsOf(prompt + 12, 20 + i);
      const stream = decoder.open();
      streams.set(stream, { ids, expected: await fullLogits(model, ids) });
      await decoder.extend(stream, ids.slice(0, prompt));
    }
    return streams;
  }

  test.each([[[3, 17, 9]], [[1, 40, 5, 22, 13]], [[115, 2]]])(
    "give each the logits that it has alone: prompts of %j tokens",
    async (lengths) => {
      const { model } = await openEngine();
      const decoder = model.decoder(128);
      const streams = await openStreams(model, decoder, lengths);
      for (let i = 0; i < 10; i++) await expectStep(decoder, streams);
      await model.dispose();
    },
  );

  test("may leave and join at any time; a slot that is used again holds nothing of before", async () => {
    const { model } = await openEngine({ model: { config: { max_position_embeddings: 200 } } });
    const decoder = model.decoder(200);
    const streams = await openStreams(model, decoder, [30, 6, 120, 11]);
    const [first, , long] = [...streams.keys()] as [DecodingStream, DecodingStream, DecodingStream];
    await expectStep(decoder, streams);
    decoder.close(first);
    streams.delete(first);
    await expectStep(decoder, streams);
    for (const [stream, facts] of await openStreams(model, decoder, [4, 25])) streams.set(stream, facts);
    decoder.close(long);
    streams.delete(long);
    for (let i = 0; i < 9; i++) await expectStep(decoder, streams);
    for (const stream of streams.keys()) decoder.close(stream);
    expect(decoder.cacheBytes).toBe(0);
    const again = await openStreams(model, decoder, [14]);
    await expectStep(decoder, again);
    await model.dispose();
  });

  test("need not all take part in a step", async () => {
    const { model } = await openEngine();
    const decoder = model.decoder(128);
    const streams = await openStreams(model, decoder, [8, 15, 3, 21]);
    for (const chosen of [[1], [3], [0, 3], [1, 2], [2], [0, 1, 2, 3]]) {
      const some = new Map([...streams].filter((_, i) => chosen.includes(i)));
      await expectStep(decoder, some);
    }
    await model.dispose();
  });

  test("can be taken back to an earlier length", async () => {
    const { model } = await openEngine();
    const decoder = model.decoder(128);
    const streams = await openStreams(model, decoder, [20, 10]);
    for (let i = 0; i < 3; i++) await expectStep(decoder, streams);
    for (const stream of streams.keys()) decoder.truncate(stream, 7);
    for (let i = 0; i < 4; i++) await expectStep(decoder, streams);
    await model.dispose();
  });

  test("that are closed, or another decoder's, are refused, and so is a text beyond the limit", async () => {
    const { model } = await openEngine();
    const decoder = model.decoder(20);
    const stream = decoder.open();
    await decoder.extend(stream, idsOf(20, 1));
    await expect(decoder.step([{ stream, id: 5 }])).rejects.toThrow("a stream of 21 positions in a cache for 20");
    await expect(model.decoder(20).step([{ stream, id: 5 }])).rejects.toThrow("another decoder's");
    decoder.close(stream);
    await expect(decoder.step([{ stream, id: 5 }])).rejects.toThrow("a stream that is closed");
    await model.dispose();
  });
});

describe("several adapters on one base", () => {
  test("alternate without disturbing each other, and share the base's memory", async () => {
    const { model } = await openEngine();
    const { spec, weights } = model;
    const other = tinyAdapter({ rank: 3, targetModules: ["k_proj", "up_proj"], modulesToSave: ["lm_head"] });
    const resolved = resolveTargets(spec, other);
    const parameters = await newAdapterParameters({ spec: other, resolved, base: weights.base, seed: 11, fullCopyDtype: "F32" });
    const second = model.withAdapter({ parameters, lora: loraPlans(resolved) });
    const plain = model.withAdapter({ parameters: [], lora: new Map() });
    expect(second.weights.base).toBe(model.weights.base);
    const ids = idsOf(24, 9);
    const models = [model, second, plain];
    const expected: Float32Array[] = [];
    for (const each of models) expected.push(await fullLogits(each, ids));
    expect(difference(expected[0] as Float32Array, expected[1] as Float32Array)).toBeGreaterThan(0.1);
    const running = models.map((each) => {
      const decoder = each.decoder(64);
      return { decoder, stream: decoder.open() };
    });
    for (const { decoder, stream } of running) await decoder.extend(stream, ids.slice(0, 10));
    for (let at = 10; at < ids.length; at++) {
      for (const [i, { decoder, stream }] of running.entries()) {
        const logits = await decoder.step([{ stream, id: ids[at] as number }]);
        expect(difference(logits, rowOf(expected[i] as Float32Array, at))).toBeLessThan(SAME);
      }
    }
    await second.dispose();
    await fullLogits(model, ids); // the first model still runs
    await model.dispose();
  });
});
