import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeGguf, type GgufMetadata, type GgufToWrite } from "../../formats/index.ts";
import { inspectPath } from "./index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "heirloom-gguf-adapter-"));
});
afterAll(() => rm(folder, { recursive: true }));

const METADATA: GgufMetadata = new Map([
  ["general.architecture", { type: "STRING", value: "llama" }],
  ["general.type", { type: "STRING", value: "adapter" }],
  ["adapter.type", { type: "STRING", value: "lora" }],
  ["adapter.lora.alpha", { type: "FLOAT32", value: 16 }],
]);

function matrix(name: string, rows: number, columns: number): GgufToWrite {
  return { name, type: "F32", shape: [rows, columns], chunks: () => [new Uint8Array(4 * rows * columns)] };
}

async function write(name: string, tensors: readonly GgufToWrite[]): Promise<string> {
  const path = join(folder, name);
  const parts: Uint8Array[] = [];
  for await (const part of encodeGguf(METADATA, tensors)) parts.push(part);
  await writeFile(path, Buffer.concat(parts));
  return path;
}

describe("inspect of an adapter in llama.cpp's form", () => {
  it("names its matrices as PEFT does, with rank, alpha and targets", async () => {
    const path = await write("whole.gguf", [
      matrix("blk.0.attn_q.weight.lora_a", 8, 32),
      matrix("blk.0.attn_q.weight.lora_b", 64, 8),
      matrix("output.weight.lora_a", 8, 32),
      matrix("output.weight.lora_b", 100, 8),
    ]);
    const { adapter, counts, tensors } = await inspectPath(path);
    expect(adapter).toMatchObject({ variant: "lora", rank: 8, alpha: 16, scaling: 2, targetModules: ["q_proj", "lm_head"] });
    expect(counts).toMatchObject({ trainable: 8 * (32 + 64 + 32 + 100) });
    expect(tensors.map(({ name, role }) => `${role} ${name}`)).toEqual([
      "lora_A base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
      "lora_B base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight",
      "lora_A base_model.model.lm_head.lora_A.weight",
      "lora_B base_model.model.lm_head.lora_B.weight",
    ]);
  });

  it("says which modules have one matrix only, and which tensors are none, and leaves nothing out", async () => {
    const path = await write("odd.gguf", [
      matrix("blk.0.attn_q.weight.lora_a", 8, 32),
      matrix("blk.1.attn_q.weight.lora_a", 4, 32),
      matrix("blk.1.attn_q.weight.lora_b", 64, 4),
      matrix("stray.weight", 2, 32),
    ]);
    const { adapter, notes, tensors } = await inspectPath(path);
    expect(adapter).toMatchObject({ rank: null, alpha: 16, scaling: null });
    expect(tensors).toHaveLength(4);
    expect(notes.join("\n")).toMatch(/ranks 4, 8/);
    expect(notes.join("\n")).toMatch(/only one of lora_A and lora_B is there of 1 .*layers\.0\.self_attn\.q_proj/);
    expect(notes.join("\n")).toMatch(/no LoRA matrices are 1 of its tensors.*stray\.weight/);
  });
});
