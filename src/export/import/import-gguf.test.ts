import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeToF32, dequantizeGguf } from "../../codecs/index.ts";
import { HeirloomError, InternalError, memorySource } from "../../core/index.ts";
import { type GgufValue, openSafetensors, type TensorFile } from "../../formats/index.ts";
import { llama3Factors } from "../../model/index.ts";
import { type TinyGguf, tinyGguf, tokenizerMetadata, writeTinyGguf } from "./fixtures/tiny-gguf.ts";
import { importGguf } from "./index.ts";

let folder: string;
let made = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "heirloom-import-"));
});
afterAll(() => rm(folder, { recursive: true }));

const text = (value: string): GgufValue => ({ type: "STRING", value });
const fileOf = (options: TinyGguf = {}): Promise<string> => writeTinyGguf(join(folder, `${made++}.gguf`), options);
const json = async (path: string): Promise<Record<string, unknown>> => JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
const weightsOf = async (path: string): Promise<TensorFile> =>
  openSafetensors(memorySource(await readFile(join(path, "model.safetensors")), "weights"));

/** The values of a stored tensor of the tiny model, as the file has them. */
function stored(name: string, options: TinyGguf = {}): Float32Array {
  const tensor = tinyGguf(options).tensors.find((found) => found.name === name);
  if (tensor === undefined) throw new HeirloomError("TENSOR_MISSING", name);
  const [chunk = new Uint8Array()] = tensor.chunks() as Uint8Array[];
  return dequantizeGguf(tensor.type as "F32", chunk);
}

/** A SentencePiece vocabulary, one of whose tokens would take millions of cuts. */
function withLongToken(): ReturnType<typeof tokenizerMetadata> {
  const metadata = new Map(tokenizerMetadata("llama2-prepend", "llama", "default"));
  const tokens = metadata.get("tokenizer.ggml.tokens");
  if (tokens?.type !== "ARRAY") throw new InternalError("a vocabulary has tokens");
  return metadata.set("tokenizer.ggml.tokens", {
    ...tokens,
    values: tokens.values.map((token, id) => (id === 300 ? "x".repeat(5000) : token)),
  } as typeof tokens);
}

describe("importGguf", () => {
  it("writes a model folder that says where it came from, and every value as it was with fp32", async () => {
    const path = await fileOf({
      type: "Q8_0",
      metadata: { "tokenizer.chat_template": text("{{ messages }}"), "tokenizer.ggml.eot_token_id": { type: "UINT32", value: 0 } },
    });
    const output = join(folder, "whole");
    const progress: number[] = [];
    const result = await importGguf(path, output, {
      dtype: "fp32",
      onProgress: ({ doneBytes, bytes }) => progress.push(doneBytes / bytes),
    });
    expect((await readdir(output)).sort()).toEqual([...result.files]);
    expect(progress.at(-1)).toBe(1);
    expect(result).toMatchObject({ architecture: "llama", tiedEmbeddings: false, layers: 2, tensorTypes: { Q8_0: 16, F32: 5 } });
    expect(await json(join(output, "config.json"))).toMatchObject({
      model_type: "llama",
      architectures: ["LlamaForCausalLM"],
      rms_norm_eps: 1e-5,
      tie_word_embeddings: false,
      eos_token_id: 2,
      torch_dtype: "float32",
    });
    expect(await json(join(output, "generation_config.json"))).toMatchObject({ bos_token_id: 1, eos_token_id: [2, 0] });
    expect(await json(join(output, "imported-from.json"))).toMatchObject({
      source: { file: path.split("/").at(-1), sha256: result.source.sha256 },
    });
    expect(await readFile(join(output, "chat_template.jinja"), "utf8")).toBe("{{ messages }}");
    const weights = await weightsOf(output);
    expect(decodeToF32("F32", await weights.read("model.layers.1.mlp.up_proj.weight"))).toEqual(
      stored("blk.1.ffn_up.weight", { type: "Q8_0" }),
    );
  });

  it("puts the rows of llama's queries and keys back into halves, and leaves those of qwen2 and qwen3", async () => {
    for (const architecture of ["llama", "qwen2", "qwen3"]) {
      const output = join(folder, `rows-${architecture}`);
      await importGguf(await fileOf({ architecture }), output, { dtype: "fp32" });
      const found = decodeToF32("F32", await (await weightsOf(output)).read("model.layers.0.self_attn.q_proj.weight"));
      const inFile = stored("blk.0.attn_q.weight", { architecture });
      // Row 1 of a head of 32 rows is the first of its second half there.
      const row = architecture === "llama" ? 16 : 1;
      expect([architecture, found.slice(row * 64, row * 64 + 64)]).toEqual([architecture, inFile.slice(64, 128)]);
    }
  });

  it("ties head and embedding where the file has no head, and recovers Llama 3.1's scaling from its factors", async () => {
    const factors = Float32Array.from(
      llama3Factors({ factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxPositions: 8192 }, 500_000, 32),
    );
    const tensors = [{ name: "rope_freqs.weight", type: "F32" as const, shape: [16], chunks: () => [new Uint8Array(factors.buffer)] }];
    const metadata = { "llama.rope.freq_base": { type: "FLOAT32", value: 500_000 } as const };
    const output = join(folder, "tied");
    expect(await importGguf(await fileOf({ head: false, tensors, metadata }), output)).toMatchObject({
      tiedEmbeddings: true,
      dtype: "bf16",
    });
    expect(await json(join(output, "config.json"))).toMatchObject({
      tie_word_embeddings: true,
      rope_theta: 500_000,
      rope_scaling: { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 },
    });
    const others = [
      {
        name: "rope_freqs.weight",
        type: "F32" as const,
        shape: [16],
        chunks: () => [new Uint8Array(Float32Array.from(factors, (f, i) => f + i / 9).buffer)],
      },
    ];
    await expect(importGguf(await fileOf({ head: false, tensors: others, metadata }), join(folder, "x"))).rejects.toMatchObject({
      code: "GGUF_UNSUPPORTED",
      message: expect.stringContaining("rope_freqs.weight") as unknown,
    });
  });

  it.each<[what: string, options: TinyGguf, code: string, says: RegExp]>([
    ["another architecture", { architecture: "gemma" }, "ARCHITECTURE_UNSUPPORTED", /"gemma"/],
    ["a pre-tokenizer of no known name", { metadata: { "tokenizer.ggml.pre": text("qwen3") } }, "GGUF_UNSUPPORTED", /"qwen3"/],
    ["a vocabulary without the name", { metadata: { "tokenizer.ggml.pre": undefined } }, "GGUF_UNSUPPORTED", /tokenizer\.ggml\.pre/],
    ["a tokenizer of another kind", { metadata: { "tokenizer.ggml.model": text("bert") } }, "GGUF_UNSUPPORTED", /"bert"/],
    ["no tokenizer", { metadata: { "tokenizer.ggml.model": undefined } }, "GGUF_UNSUPPORTED", /no tokenizer/],
    ["YaRN", { metadata: { "llama.rope.scaling.type": text("yarn") } }, "GGUF_UNSUPPORTED", /"yarn"/],
    ["experts", { metadata: { "llama.expert_count": { type: "UINT32", value: 8 } } }, "GGUF_UNSUPPORTED", /expert_count \(8\)/],
    ["one file of several", { metadata: { "split.count": { type: "UINT16", value: 3 } } }, "GGUF_UNSUPPORTED", /split\.count/],
    ["an adapter", { metadata: { "general.type": text("adapter") } }, "GGUF_UNSUPPORTED", /"adapter"/],
    ["a missing size", { metadata: { "llama.block_count": undefined } }, "GGUF_INVALID", /block_count/],
    ["no epsilon", { metadata: { "llama.attention.layer_norm_rms_epsilon": undefined } }, "GGUF_INVALID", /rms_epsilon.*above 0.*nothing/],
    [
      "an epsilon of 0",
      { metadata: { "llama.attention.layer_norm_rms_epsilon": { type: "FLOAT32", value: 0 } } },
      "GGUF_INVALID",
      /rms_epsilon/,
    ],
    ["fewer layers than it says", { metadata: { "llama.block_count": { type: "UINT32", value: 3 } } }, "TENSOR_MISSING", /layers\.2/],
    ["more layers than it says", { metadata: { "llama.block_count": { type: "UINT32", value: 1 } } }, "GGUF_UNSUPPORTED", /9 tensors/],
    ["another width", { metadata: { "llama.feed_forward_length": { type: "UINT32", value: 128 } } }, "TENSOR_SHAPE", /ffn_gate/],
    ["blocks that are not read", { type: "IQ4_NL" }, "QUANTIZATION_UNSUPPORTED", /IQ4_NL/],
    [
      "a token's id beyond the vocabulary",
      { metadata: { "tokenizer.ggml.eos_token_id": { type: "UINT32", value: 9999 } } },
      "GGUF_INVALID",
      /eos_token_id/,
    ],
    [
      "merges of tokens that are not there",
      { metadata: { "tokenizer.ggml.merges": { type: "ARRAY", elementType: "STRING", values: ["zz qq", "a"] } } },
      "GGUF_INVALID",
      /merges\[0\]/,
    ],
    [
      "scores for half of a vocabulary",
      {
        tokenizer: new Map([
          ...tokenizerMetadata("llama2-prepend", "llama", "default"),
          ["tokenizer.ggml.scores", { type: "ARRAY", elementType: "FLOAT32", values: [0] }],
        ]),
      },
      "GGUF_INVALID",
      /scores/,
    ],
    ["a token of a book's length", { tokenizer: withLongToken() }, "GGUF_INVALID", /tokens\[300\].*at most 1024 characters.*one of 5000/],
  ])("refuses %s by name, and leaves nothing behind", async (_what, options, code, says) => {
    const output = join(folder, "refused");
    await expect(importGguf(await fileOf(options), output)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(says) as unknown,
    });
    expect((await readdir(folder)).filter((name) => name.includes("refused"))).toEqual([]);
  });

  it("refuses a weight that is not finite, and one that fp16 cannot hold", async () => {
    const broken = (value: number) => [
      {
        name: "blk.0.attn_norm.weight",
        type: "F32" as const,
        shape: [64],
        chunks: () => [new Uint8Array(new Float32Array(64).fill(value).buffer)],
      },
    ];
    const withNorm = async (value: number): Promise<string> => {
      const { metadata, tensors } = tinyGguf();
      const replaced = [...tensors.filter(({ name }) => name !== "blk.0.attn_norm.weight"), ...broken(value)];
      const path = join(folder, `${made++}.gguf`);
      const [{ writeFileAtomic }, { encodeGguf }] = await Promise.all([
        import("../../core/node/index.ts"),
        import("../../formats/index.ts"),
      ]);
      await writeFileAtomic(path, encodeGguf(metadata, replaced));
      return path;
    };
    await expect(importGguf(await withNorm(Number.NaN), join(folder, "nan"))).rejects.toMatchObject({ code: "TENSOR_NOT_FINITE" });
    const large = await withNorm(70_000);
    await expect(importGguf(large, join(folder, "fp16"), { dtype: "fp16" })).rejects.toMatchObject({ code: "TENSOR_NOT_FINITE" });
    expect(await importGguf(large, join(folder, "bf16"))).toMatchObject({ dtype: "bf16" });
  });

  it("stops when asked, between two tensors, and leaves nothing behind", async () => {
    const controller = new AbortController();
    const output = join(folder, "stopped");
    const job = importGguf(await fileOf(), output, { signal: controller.signal, onProgress: () => controller.abort() });
    await expect(job).rejects.toMatchObject({ code: "INTERRUPTED" });
    expect((await readdir(folder)).filter((name) => name.includes("stopped"))).toEqual([]);
  });

  it("refuses to write over what is there, and a file that was cut short", async () => {
    await expect(importGguf(await fileOf(), folder)).rejects.toMatchObject({ code: "OUTPUT_EXISTS" });
    const whole = await readFile(await fileOf());
    const { writeFile } = await import("node:fs/promises");
    await writeFile(join(folder, "cut.gguf"), whole.subarray(0, whole.length - 200));
    await expect(importGguf(join(folder, "cut.gguf"), join(folder, "cut"))).rejects.toMatchObject({ code: "GGUF_TRUNCATED" });
  });
});
