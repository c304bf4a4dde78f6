import { guardText } from "./guard.ts";
import { pyString, yamlValue } from "./python.ts";
import type { RecipeFile, RecipeSource } from "./types.ts";

const FILL_IN = "null # no file says it: fill it in";

function rateOf({ groups, tensors }: RecipeSource, isCopy: boolean): number | null {
  const used = new Set(tensors.filter(({ role }) => (role === "full_copy") === isCopy).map(({ group }) => group));
  return groups.find(({ name }) => used.has(name))?.learningRate ?? null;
}

function lines(pairs: readonly (readonly [key: string, value: unknown, comment?: string | undefined])[]): string {
  return pairs
    .filter(([, value]) => value !== undefined)
    .map(([key, value, comment]) => `${key}: ${yamlValue(value)}${comment === undefined ? "" : ` # ${comment}`}\n`)
    .join("");
}

/** A key whose value may be unknown. */
function rateLine(key: string, rate: number | null): string {
  return `${key}: ${rate === null ? FILL_IN : yamlValue(rate)}\n`;
}

/** Weight decay of the group that LoRA matrices are in. */
function loraWeightDecay({ groups, tensors }: RecipeSource): number {
  return groups.find(({ name }) => tensors.some(({ group, role }) => group === name && role !== "full_copy"))?.weightDecay ?? 0;
}

/** Trainer's name of the record's schedule. */
function scheduleOf({ record }: RecipeSource): string {
  const schedule = record?.config.training.schedule ?? "linear";
  return schedule === "constant" ? "constant_with_warmup" : schedule;
}

function batchPairs({ record }: RecipeSource, names: { batch: string; accumulation: string }): [string, unknown][] {
  const training = record?.config.training;
  return [
    [names.batch, training?.batchSize ?? 1],
    [names.accumulation, training?.accumulation ?? 1],
    ["max_grad_norm", training?.maxGradNorm ?? (training === undefined ? 1 : 0)],
    ["adam_beta1", training?.betas[0] ?? 0.9],
    ["adam_beta2", training?.betas[1] ?? 0.999],
    ["adam_epsilon", training?.epsilon ?? 1e-8],
    ["seed", training?.seed ?? 42],
  ];
}

/** Axolotl: a run file, and the guard as a plugin of it. */
export function axolotlFiles(source: RecipeSource): RecipeFile[] {
  const { config, base, folder, quantized, doubleQuant, tensors, record, resume } = source;
  const copies = tensors.some(({ role }) => role === "full_copy");
  // With embedding_lr Axolotl groups the optimizer otherwise than the checkpoint that is resumed.
  const text = `# Goes on with an adapter as exactly what it is. Written by heirloom recipe against the schema of Axolotl 0.19.0; not run.
# lora_model_dir (not resume) is what makes Axolotl load the adapter instead of making a new one; the adapter's own
# configuration then decides, and the selection below repeats it.
${lines([
  ["base_model", base],
  ["lora_model_dir", folder],
  ["resume_from_checkpoint", resume === null ? undefined : folder],
  [
    "adapter",
    quantized === true ? "qlora" : "lora",
    quantized === null ? "no file says whether the base was in 4 bits: check it" : undefined,
  ],
  ["load_in_4bit", quantized === true],
  // Axolotl's own choice is double quantization.
  ["bnb_config_kwargs", quantized === true && !doubleQuant ? { bnb_4bit_use_double_quant: false } : undefined],
  ["lora_r", config.r],
  ["lora_alpha", config.loraAlpha],
  ["lora_dropout", config.loraDropout],
  ["lora_target_modules", config.targetModules ?? undefined],
  ["lora_modules_to_save", config.modulesToSave ?? undefined],
  ["peft_layers_to_transform", config.layersToTransform === null ? undefined : [config.layersToTransform].flat()],
  ["peft_layers_pattern", config.layersPattern === null ? undefined : [config.layersPattern].flat()],
  ["peft_use_rslora", config.useRslora ? true : undefined],
  ["peft_use_dora", config.useDora ? true : undefined],
  ["peft_ensure_weight_tying", config.ensureWeightTying ? true : undefined],
  ["bf16", "auto"],
  ["peft_autocast_adapter_dtype", true, "trained tensors in fp32, as they are stored"],
])}${rateLine("learning_rate", rateOf(source, false) ?? rateOf(source, true))}${copies && resume === null ? rateLine("embedding_lr", rateOf(source, true)) : ""}${lines(
  [
    ["optimizer", "adamw_torch"],
    ["weight_decay", loraWeightDecay(source)],
    ["lr_scheduler", scheduleOf(source)],
    ...batchPairs(source, { batch: "micro_batch_size", accumulation: "gradient_accumulation_steps" }),
    ["num_epochs", 1],
    ["sequence_len", record?.config.data.maxLength ?? 1024],
    ["output_dir", "continued"],
    ["plugins", ["heirloom_guard.HeirloomPlugin"]],
  ],
)}datasets: # your rows
  - path: train.jsonl
    type: chat_template
`;
  const plugin = `${guardText(tensors)}

from axolotl.integrations.base import BasePlugin


class HeirloomPlugin(BasePlugin):
    def add_callbacks_post_trainer(self, cfg, trainer):
        return [HeirloomGuard()]
`;
  return [
    { name: "continue.yaml", text },
    { name: "heirloom_guard.py", text: plugin },
  ];
}

/** LlamaFactory: its arguments, and a starter that adds the guard, which arguments alone cannot. */
export function llamaFactoryFiles(source: RecipeSource): RecipeFile[] {
  const { config, base, folder, quantized, doubleQuant, tensors, record, resume } = source;
  const text = `# Goes on with an adapter as exactly what it is. Written by heirloom recipe for LlamaFactory 0.9.5; run with it on a CPU.
# adapter_name_or_path continues the adapter only while create_new_adapter is false; its own configuration then decides
# rank, alpha and selection, and the lines below repeat them. use_unsloth would freeze full copies.
${lines([
  ["stage", "sft"],
  ["do_train", true],
  ["finetuning_type", "lora"],
  ["model_name_or_path", base],
  ["adapter_name_or_path", folder],
  ["create_new_adapter", false],
  ["use_unsloth", false],
  ["resume_from_checkpoint", resume === null ? undefined : folder],
  ["quantization_method", quantized === true ? "bnb" : undefined],
  ["quantization_bit", quantized === true ? 4 : undefined],
  ["quantization_type", quantized === true ? "nf4" : undefined],
  ["double_quantization", quantized === true ? doubleQuant : undefined],
  ["lora_rank", config.r],
  ["lora_alpha", config.loraAlpha],
  ["lora_dropout", config.loraDropout],
  ["lora_target", Array.isArray(config.targetModules) ? [...new Set(config.targetModules as string[])].join(",") : undefined],
  ["additional_target", config.modulesToSave === null ? undefined : config.modulesToSave.join(",")],
  ["use_rslora", config.useRslora],
  ["use_dora", config.useDora],
  ["pure_bf16", false, "true would round fp32 tensors"],
  ["bf16", true, "mixed precision: without it a bf16 base meets fp32 copies; fp16 on cards without bf16, use_cpu beside it on none"],
])}${rateLine("learning_rate", rateOf(source, false) ?? rateOf(source, true))}${lines([
  ["weight_decay", source.groups[0]?.weightDecay ?? 0],
  ["lr_scheduler_type", scheduleOf(source)],
  ...batchPairs(source, { batch: "per_device_train_batch_size", accumulation: "gradient_accumulation_steps" }),
  ["num_train_epochs", 1],
  ["cutoff_len", record?.config.data.maxLength ?? 1024],
  ["output_dir", "continued"],
  ["dataset", "your_dataset", "its name in data/dataset_info.json"],
  ["template", "default", "the base model's"],
])}`;
  const starter = `# Starts LlamaFactory on continue.yaml with the guard, which its own command line has no place for.
import yaml
from llamafactory.train.tuner import run_exp

${guardText(tensors)}

if __name__ == "__main__":
    with open(${pyString("continue.yaml")}, encoding="utf-8") as file:
        run_exp(yaml.safe_load(file), callbacks=[HeirloomGuard()])
`;
  return [
    { name: "continue.yaml", text },
    { name: "continue_with_llama_factory.py", text: starter },
  ];
}
