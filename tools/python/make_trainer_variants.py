"""Trains the same tiny adapter with the groups that Unsloth and LoRA+ make, and keeps checkpoint-3 and the losses of 6 updates; called
by make-trainer-variants.ts.

Unsloth's groups are made as `_create_unsloth_optimizer` makes them (unsloth/trainer.py of 2026.3.4, with `embedding_learning_rate`);
LoRA+'s by PEFT's own `create_loraplus_optimizer`. `frozen` is what a loader that freezes full copies leaves.
"""

import importlib.metadata
import json
import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from check_adapter import load_base
from peft import LoraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from prove_trainer import Rows, collate
from transformers import Trainer, TrainingArguments, set_seed

STEPS, STOP = 6, 3
ADAMW = {"betas": (0.9, 0.98), "eps": 1e-7}


def unsloth(model):
    """Two groups: what is not a full copy of `modules_to_save`, and what is, at the embedding's own rate."""
    live = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    copies = lambda name: name.endswith("modules_to_save.default.weight")
    groups = [
        {"params": [p for name, p in live if not copies(name)], "weight_decay": 0.01, "lr": 2e-3},
        {"params": [p for name, p in live if copies(name)], "weight_decay": 0.01, "lr": 3e-4},
    ]
    return torch.optim.AdamW(groups, lr=2e-3, weight_decay=0.01, **ADAMW)


def loraplus(model):
    return create_loraplus_optimizer(model, torch.optim.AdamW, lr=1e-3, loraplus_lr_ratio=8, loraplus_weight_decay=0.02, **ADAMW)


def frozen(model):
    for name, p in model.named_parameters():
        if "modules_to_save" in name:
            p.requires_grad_(False)
    return unsloth(model)


def train(make, scene, rows, out):
    set_seed(11)
    base = load_base(scene["base"], None)
    config = LoraConfig(task_type="CAUSAL_LM", r=2, lora_alpha=4, target_modules=["q_proj", "v_proj", "down_proj"], modules_to_save=["embed_tokens", "lm_head"])
    model = get_peft_model(base, config)
    args = TrainingArguments(
        output_dir=str(out), max_steps=STEPS, per_device_train_batch_size=2, gradient_accumulation_steps=2, learning_rate=2e-3,
        lr_scheduler_type="cosine", warmup_steps=1, max_grad_norm=0.5, seed=11, logging_steps=1, save_steps=STOP, use_cpu=True,
        disable_tqdm=True, report_to=[], remove_unused_columns=False, adam_beta2=0.98, adam_epsilon=1e-7,
    )
    trainer = Trainer(model=model, args=args, train_dataset=Rows(rows), data_collator=collate, optimizers=(make(model), None))
    trainer.train()
    log = [{key: entry[key] for key in ("step", "loss", "grad_norm", "learning_rate")} for entry in trainer.state.log_history if "loss" in entry]
    shutil.rmtree(out / f"checkpoint-{STEPS}")
    checkpoint = out / f"checkpoint-{STOP}"
    for name in ("README.md", "rng_state.pth"):
        (checkpoint / name).unlink(missing_ok=True)
    settings = checkpoint / "adapter_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "base_model_name_or_path": "base"}, indent=2, sort_keys=True))
    return log


def main():
    folder = Path(sys.argv[1])
    scene = json.loads((folder / "scene.json").read_text())
    rows = json.loads((folder / "rows.json").read_text())
    out = Path(scene["out"]).resolve()
    os.chdir(folder)  # so that only relative paths are stored
    logs = {}
    for make in (unsloth, loraplus, frozen):
        name = make.__name__
        shutil.rmtree(out / name, ignore_errors=True)
        logs[name] = train(make, scene, rows, Path(name))
        shutil.copytree(name, out / name)
    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "peft", "accelerate")}
    (out / "steps.json").write_text(json.dumps({"versions": versions, "logs": logs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
