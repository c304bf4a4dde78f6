/**
 * Names that PEFT, transformers and TRL have for what run.yaml calls otherwise, and the key here.
 * Names that differ only in their spelling (`weight_decay`) are found without this table.
 */
const FOREIGN_NAMES: ReadonlyMap<string, string> = new Map([
  // peft.LoraConfig
  ["r", "adapter.rank"],
  ["lora_r", "adapter.rank"],
  ["lora_rank", "adapter.rank"],
  ["lora_alpha", "adapter.alpha"],
  ["lora_dropout", "adapter.dropout"],
  ["use_rslora", "adapter.rslora"],
  ["layers_to_transform", "adapter.layers"],
  ["init_lora_weights", "adapter.init"],
  ["base_model_name_or_path", "base"],
  // transformers.TrainingArguments and from_pretrained
  ["model_name_or_path", "base"],
  ["base_model", "base"],
  ["output_dir", "output"],
  ["num_train_epochs", "training.epochs"],
  ["num_epochs", "training.epochs"],
  ["max_steps", "training.steps"],
  ["per_device_train_batch_size", "training.batchSize"],
  ["micro_batch_size", "training.batchSize"],
  ["per_device_eval_batch_size", "evaluation.batchSize"],
  ["gradient_accumulation_steps", "training.accumulation"],
  ["lr", "training.learningRate"],
  ["lr_scheduler_type", "training.schedule"],
  ["lr_scheduler", "training.schedule"],
  ["adam_epsilon", "training.epsilon"],
  ["eval_steps", "evaluation.everySteps"],
  ["save_steps", "checkpoints.everySteps"],
  ["save_total_limit", "checkpoints.keepLast"],
  ["gradient_checkpointing", "engine.activations"],
  ["load_in_4bit", "quantization"],
  // trl.SFTConfig
  ["max_seq_length", "data.maxLength"],
  ["max_seq_len", "data.maxLength"],
  ["train_file", "data.train"],
  ["dataset", "data.train"],
  ["datasets", "data.train"],
  ["chat_template", "data.template"],
  ["chat_template_path", "data.template"],
  ["assistant_only_loss", "data.trainOn"],
  ["completion_only_loss", "data.trainOn"],
  // Axolotl, LlamaFactory and mlx-lm
  ["train_on_inputs", "data.trainOn"],
  ["train_on_prompt", "data.trainOn"],
  ["mask_history", "data.trainOn"],
  ["mask_prompt", "data.trainOn"],
  ["sample_packing", "data.packing"],
  ["cutoff_len", "data.maxLength"],
  ["sequence_len", "data.maxLength"],
  ["tool_format", "data.tools"],
]);

const camelCase = (name: string): string => name.replace(/[_-]([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/**
 * The key of run.yaml that a name from elsewhere stands for: another tool's word, its
 * spelling with underscores, or our own word in the wrong table.
 *
 * @param keys every dotted key of the schema
 */
export function knownElsewhere(name: string, keys: readonly string[]): string | undefined {
  const foreign = FOREIGN_NAMES.get(name.toLowerCase().replaceAll("-", "_"));
  if (foreign !== undefined) return foreign;
  const ours = camelCase(name);
  const found = keys.filter((key) => key === ours || key.endsWith(`.${ours}`));
  // `batchSize` is a key of two tables; the training's is the one that people mean.
  return found.length > 1 ? found.find((key) => key.startsWith("training.")) : found[0];
}
