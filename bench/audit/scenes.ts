// Files with true headers and no content: what inspect and explain look at, at full size.
import { mkdir, open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { adapterSpec, adapterTensors, peftFromAdapter, resolveTargets } from "../../src/adapter/index.ts";
import { planSafetensors, serializePeftConfig, type TensorPlan } from "../../src/formats/index.ts";
import { parseModelConfig } from "../../src/model/index.ts";

const LLAMA_8B = "vectors/configs/llama-3.1-8b.json";
const SHARDS = 1000;
const TENSORS_PER_SHARD = 100;

/** A safetensors file whose data are a hole. */
async function writeSparse(path: string, tensors: readonly TensorPlan[]): Promise<void> {
  const { bytes, header } = planSafetensors(tensors, { format: "pt" });
  const handle = await open(path, "w");
  await handle.write(header);
  await handle.truncate(bytes);
  await handle.close();
}

/** The adapter of the project's first case: rank 64 on all linears of Llama-3.1-8B, with full copies in bf16: 2.6 GiB. */
export async function writeOriginalCase(folder: string): Promise<{ adapter: string; base: string }> {
  const [adapter, base] = [join(folder, "adapter"), join(folder, "base")];
  await mkdir(adapter);
  await mkdir(base);
  const text = await readFile(LLAMA_8B, "utf8");
  await writeFile(join(base, "config.json"), text);
  const spec = parseModelConfig(JSON.parse(text), LLAMA_8B);
  const lora = adapterSpec({
    rank: 64,
    alpha: 64,
    targetModules: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    modulesToSave: ["embed_tokens", "lm_head"],
    baseModel: "meta-llama/Llama-3.1-8B",
  });
  const tensors = adapterTensors(resolveTargets(spec, lora)).map(({ name, shape, role }): TensorPlan => {
    return { name, shape, dtype: role === "full_copy" ? "BF16" : "F32" };
  });
  await writeSparse(join(adapter, "adapter_model.safetensors"), tensors);
  await writeFile(join(adapter, "adapter_config.json"), serializePeftConfig(peftFromAdapter(lora)));
  return { adapter, base };
}

/** A mixture of experts in 1,000 shards with 100,000 tensors. */
export async function writeManyShards(folder: string): Promise<string> {
  const model = join(folder, "sharded");
  await mkdir(model);
  await writeFile(join(model, "config.json"), JSON.stringify({ architectures: ["ManyExpertsForCausalLM"], model_type: "many_experts" }));
  const weightMap: Record<string, string> = {};
  for (let shard = 0; shard < SHARDS; shard++) {
    const file = `model-${String(shard + 1).padStart(5, "0")}-of-${String(SHARDS).padStart(5, "0")}.safetensors`;
    const tensors = Array.from({ length: TENSORS_PER_SHARD }, (_, i): TensorPlan => {
      return { name: `model.layers.${shard}.mlp.experts.${i}.up_proj.weight`, shape: [1024, 512], dtype: "BF16" };
    });
    for (const { name } of tensors) weightMap[name] = file;
    await writeSparse(join(model, file), tensors);
  }
  await writeFile(join(model, "model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map: weightMap }));
  return model;
}
