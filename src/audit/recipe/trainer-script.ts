import { guardText } from "./guard.ts";
import { pyString, pyValue } from "./python.ts";
import type { RecipeFile, RecipeSource } from "./types.ts";

/** Versions that the scripts were run with, or whose source they were written from. */
const CHECKED_WITH = {
  peft: "run with torch 2.13, transformers 5.18, peft 0.21",
  trl: "run with torch 2.13, transformers 5.18, peft 0.21, trl 1.16",
  unsloth: "written from the source of Unsloth 2026.10.9; not run",
} as const;

/** Trainer's arguments, from the checkpoint that is resumed, else from the record, else left for people to fill in. */
function trainingArguments(source: RecipeSource): string[] {
  const { record, resume } = source;
  const base = [
    `    output_dir=OUTPUT,`,
    `    learning_rate=max(rate for rate, _ in RATES.values()),  # each group's own rate is in RATES`,
  ];
  const fixed = [`    logging_steps=1,`, `    save_strategy="no",`, `    report_to=[],`];
  if (resume !== null) {
    const known = (key: string, fallback: unknown, why: string) => {
      const value = resume.arguments[key];
      return `    ${key}=${pyValue(value ?? fallback)},${value === undefined || value === null ? `  # not recorded: ${why}` : ""}`;
    };
    return [
      ...base,
      `    max_steps=${pyValue(resume.maxSteps ?? -1)},  # as planned: another number bends the learning rate's schedule`,
      known("lr_scheduler_type", "linear", "Trainer's default"),
      known("warmup_steps", 0, "Trainer's default"),
      known("per_device_train_batch_size", 8, "Trainer's default"),
      known("gradient_accumulation_steps", 1, "Trainer's default"),
      known("max_grad_norm", 1, "Trainer's default"),
      known("seed", 42, "Trainer's default"),
      ...fixed,
    ];
  }
  const training = record?.config.training;
  const schedule = training?.schedule === "constant" ? "constant_with_warmup" : (training?.schedule ?? "linear");
  return [
    ...base,
    `    num_train_epochs=1,`,
    `    lr_scheduler_type=${pyString(schedule)},`,
    `    per_device_train_batch_size=${training?.batchSize ?? 1},`,
    `    gradient_accumulation_steps=${training?.accumulation ?? 1},`,
    `    max_grad_norm=${training === undefined ? 1 : (training.maxGradNorm ?? 0)},`,
    `    seed=${training?.seed ?? 42},`,
    ...fixed,
  ];
}

function head(source: RecipeSource, checked: string): string {
  const { folder, base, quantized, doubleQuant, groups, resume, record } = source;
  const rates = groups.map(({ name, learningRate, weightDecay }) => `    ${pyString(name)}: (${pyValue(learningRate)}, ${weightDecay}),`);
  const [beta1, beta2] = record?.config.training.betas ?? [0.9, 0.999];
  return `# Goes on with an adapter as exactly what it is. Written by heirloom recipe; ${checked}.
ADAPTER = ${pyString(folder)}
BASE = ${pyString(base)}
CHECKPOINT = ${resume === null ? "None  # its weights are the start; there is no trainer state to resume" : "ADAPTER  # optimizer, schedule and position are resumed, too"}
DATA = "train.jsonl"  # your rows
OUTPUT = "continued"
QUANTIZED = ${pyValue(quantized ?? false)}  # the base in 4 bits (NF4)${quantized === null ? ": no file says, so check it" : ""}
DOUBLE_QUANT = ${pyValue(doubleQuant)}
MAX_LENGTH = ${record?.config.data.maxLength ?? 1024}
RATES = {  # learning-rate group: (peak rate, weight decay)
${rates.join("\n")}
}
BETAS, EPSILON = (${beta1}, ${beta2}), ${record?.config.training.epsilon ?? 1e-8}

if None in [rate for rate, _ in RATES.values()]:
    raise SystemExit("no file says at what rate the adapter was trained: fill in RATES")
`;
}

const SHARED = `
def heirloom_restore(model):
    """Values that were loaded into fewer bits than they are stored in are loaded again in fp32."""
    ledger, narrowed = heirloom_ledger(), False
    for name, p in model.named_parameters():
        if heirloom_key(name) in ledger and p.element_size() < ledger[heirloom_key(name)][1]:
            p.data, narrowed = p.data.to(torch.float32), True
    if narrowed:
        set_peft_model_state_dict(model, load_peft_weights(ADAPTER, device="cpu"))


class HeirloomGroups:
    """The optimizer's groups, explicitly: a trainer's own grouping knows no others than decay and no decay."""

    def create_optimizer(self, *args, **kwargs):
        if self.optimizer is None:
            ledger = heirloom_ledger()
            live = [(heirloom_key(name), p) for name, p in self.model.named_parameters() if p.requires_grad]
            groups = [
                {"params": [p for name, p in live if ledger[name][2] == group], "lr": rate, "weight_decay": decay}
                for group, (rate, decay) in RATES.items()
            ]
            self.optimizer = torch.optim.AdamW(groups, betas=BETAS, eps=EPSILON)
        return self.optimizer

`;

const LOAD_PEFT = `
quantization = None
if QUANTIZED:
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=DOUBLE_QUANT,
        bnb_4bit_compute_dtype=torch.bfloat16 if torch.cuda.is_available() else torch.float32,
    )
tokenizer = AutoTokenizer.from_pretrained(BASE)
model = AutoModelForCausalLM.from_pretrained(
    BASE, quantization_config=quantization, dtype=torch.bfloat16 if torch.cuda.is_available() else torch.float32
)
if QUANTIZED:
    model = prepare_model_for_kbit_training(model)  # before the adapter is put on: it freezes whatever it finds
# The adapter's own configuration decides rank, alpha and selection. Without is_trainable PEFT loads it frozen.
model = PeftModel.from_pretrained(model, ADAPTER, is_trainable=True)
heirloom_restore(model)
heirloom_guard(model)
`;

const ROWS = `

class Rows(torch.utils.data.Dataset):
    """{"prompt", "completion"} or {"text"}; the loss is on the completion."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as lines:
            self.rows = [json.loads(line) for line in lines if line.strip()]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        row = self.rows[index]
        prompt = tokenizer(row["prompt"])["input_ids"] if "prompt" in row else []
        rest = tokenizer(row.get("completion", row.get("text")), add_special_tokens=not prompt)["input_ids"]
        ids = (prompt + rest + [tokenizer.eos_token_id])[:MAX_LENGTH]
        return {"input_ids": ids, "labels": ([-100] * len(prompt) + ids[len(prompt):])[:MAX_LENGTH]}


def collate(rows):
    longest = max(len(row["input_ids"]) for row in rows)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    fill = lambda values, value: values + [value] * (longest - len(values))
    return {
        "input_ids": torch.tensor([fill(row["input_ids"], pad) for row in rows]),
        "labels": torch.tensor([fill(row["labels"], -100) for row in rows]),
        "attention_mask": torch.tensor([fill([1] * len(row["input_ids"]), 0) for row in rows]),
    }

`;

const PRECISION = "    bf16=torch.cuda.is_available(),";
const FINISH = `trainer.train(resume_from_checkpoint=CHECKPOINT)
trainer.save_model(OUTPUT)
`;

/** The recipe for plain PEFT with transformers' Trainer. */
export function peftScript(source: RecipeSource): RecipeFile {
  const text = `${head(source, CHECKED_WITH.peft)}
import json

import torch
from peft import PeftModel, load_peft_weights, prepare_model_for_kbit_training, set_peft_model_state_dict
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, Trainer, TrainingArguments

${guardText(source.tensors)}
${SHARED}${LOAD_PEFT}${ROWS}
class ContinuedTrainer(HeirloomGroups, Trainer):
    pass


arguments = TrainingArguments(
${trainingArguments(source).join("\n")}
${PRECISION}
)
trainer = ContinuedTrainer(
    model=model, args=arguments, train_dataset=Rows(DATA), data_collator=collate, callbacks=[HeirloomGuard()]
)
${FINISH}`;
  return { name: "continue_with_peft.py", text };
}

/** The recipe for TRL's SFTTrainer. */
export function trlScript(source: RecipeSource): RecipeFile {
  const text = `${head(source, CHECKED_WITH.trl)}
import torch
from datasets import load_dataset
from peft import PeftModel, load_peft_weights, prepare_model_for_kbit_training, set_peft_model_state_dict
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from trl import SFTConfig, SFTTrainer

${guardText(source.tensors)}
${SHARED}${LOAD_PEFT}

class ContinuedTrainer(HeirloomGroups, SFTTrainer):
    pass


arguments = SFTConfig(
${trainingArguments(source).join("\n")}
${PRECISION}
    max_length=MAX_LENGTH,
)
trainer = ContinuedTrainer(
    model=model,  # no peft_config beside it: TRL refuses both, and older ones merged this adapter and began another
    args=arguments,
    train_dataset=load_dataset("json", data_files=DATA, split="train"),
    processing_class=tokenizer,
    callbacks=[HeirloomGuard()],
)
heirloom_restore(trainer.model)  # TRL rounds every trained tensor to bf16 if the base is quantized
${FINISH}`;
  return { name: "continue_with_trl.py", text };
}

/** The recipe for Unsloth: its own loader, TRL's trainer, and what its loader freezes made trainable again. */
export function unslothScript(source: RecipeSource): RecipeFile {
  const text = `${head(source, CHECKED_WITH.unsloth)}
from unsloth import FastLanguageModel  # first: it changes the libraries below
import torch
from datasets import load_dataset
from peft import load_peft_weights, set_peft_model_state_dict
from trl import SFTConfig, SFTTrainer

${guardText(source.tensors)}
${SHARED}
# The adapter's folder, not the base: the adapter's own configuration decides rank, alpha and selection. Calling
# get_peft_model again would only be skipped.
model, tokenizer = FastLanguageModel.from_pretrained(model_name=ADAPTER, max_seq_length=MAX_LENGTH, load_in_4bit=QUANTIZED)
model = FastLanguageModel.for_training(model)
# On loading Unsloth freezes everything but the LoRA matrices, full copies of embed_tokens and lm_head included
# (2024-09 to 2026-10 at least), and says nothing. What the ledger names is trained again, and nothing else.
trained = heirloom_ledger()
for name, p in model.named_parameters():
    p.requires_grad_(heirloom_key(name) in trained)
heirloom_restore(model)
heirloom_guard(model)


class ContinuedTrainer(HeirloomGroups, SFTTrainer):
    pass


arguments = SFTConfig(
${trainingArguments(source).join("\n")}
${PRECISION}
    max_length=MAX_LENGTH,
)
trainer = ContinuedTrainer(
    model=model,
    args=arguments,
    train_dataset=load_dataset("json", data_files=DATA, split="train"),
    processing_class=tokenizer,
    callbacks=[HeirloomGuard()],
)
heirloom_restore(trainer.model)
${FINISH}`;
  return { name: "continue_with_unsloth.py", text };
}
