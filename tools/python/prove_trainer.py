"""Resumes a run folder of heirloom with the real Trainer (or TRL's SFTTrainer) and reports its losses; called by prove-trainer.ts.

    python tools/python/prove_trainer.py SCENE

SCENE/scene.json says what the run was: base, run folder, schedule, groups. SCENE/rows.json holds its rows as token ids in the
order that heirloom took them. The run folder is copied, so that `resume_from_checkpoint=True` finds the checkpoint in
`output_dir` by itself; a second copy has its optimizer's moments set to zero, to show that they are what makes the losses.
One JSON document on stdout.
"""

import contextlib
import importlib.metadata
import json
import os
import shutil
import sys
import warnings
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from check_adapter import load_base
from peft import PeftModel, prepare_model_for_kbit_training
from safetensors.torch import load_file
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed


class Rows(torch.utils.data.Dataset):
    def __init__(self, rows):
        self.rows = [{key: torch.tensor(value) for key, value in row.items()} for row in rows]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


def collate(rows):
    return {key: torch.stack([row[key] for row in rows]) for key in rows[0]}


class InOrder:
    """The rows as they come, and the optimizer's groups as heirloom's recipes build them."""

    def _get_train_sampler(self, *args, **kwargs):
        return torch.utils.data.SequentialSampler(self.train_dataset)

    def create_optimizer(self, *args, **kwargs):
        if self.scene["groups"] is None:
            return super().create_optimizer(*args, **kwargs)
        if self.optimizer is None:
            live = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
            groups = [
                {"params": [p for name, p in live if self.scene["groupOf"][name] == group["name"]], "lr": group["rate"], "weight_decay": group["decay"]}
                for group in self.scene["groups"]
            ]
            self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8)
        return self.optimizer


def trainer_class(scene):
    if scene["trainer"] == "trainer":
        return type("Resumed", (InOrder, Trainer), {"scene": scene}), TrainingArguments, {}
    from trl import SFTConfig, SFTTrainer

    extra = {"dataset_kwargs": {"skip_prepare_dataset": True}, "packing": False, "max_length": None, "gradient_checkpointing": False}
    return type("Resumed", (InOrder, SFTTrainer), {"scene": scene}), SFTConfig, extra


def resume(scene, rows, run, save_at=None):
    """Losses, norms and rates of the updates after the checkpoint; the state that the optimizer began with; the trained tensors."""
    set_seed(0)
    base = load_base(scene["base"], scene["nf4"])
    if scene["nf4"]:
        base = prepare_model_for_kbit_training(base, use_gradient_checkpointing=False)
    checkpoint = run / f"checkpoint-{scene['step']}"
    model = PeftModel.from_pretrained(base, str(checkpoint), is_trainable=True)
    resumed, config, extra = trainer_class(scene)
    args = config(
        output_dir=str(run), max_steps=scene["steps"], per_device_train_batch_size=scene["batchSize"],
        gradient_accumulation_steps=scene["accumulation"], learning_rate=scene["rate"], lr_scheduler_type=scene["schedule"],
        warmup_steps=scene["warmupSteps"], weight_decay=scene["decay"], max_grad_norm=scene["clip"], seed=scene["seed"],
        logging_strategy="steps", logging_steps=1, save_strategy="no" if save_at is None else "steps", save_steps=save_at or scene["steps"],
        disable_tqdm=True, report_to=[], use_cpu=True, bf16=False, remove_unused_columns=False, optim="adamw_torch", **extra,
    )
    kwargs = {}
    if scene["trainer"] == "sft":
        from datasets import Dataset
        from transformers import AutoTokenizer

        kwargs["processing_class"] = AutoTokenizer.from_pretrained(scene["base"])
        dataset = Dataset.from_list(rows).with_format("torch")
    else:
        dataset = Rows(rows)
    trainer = resumed(model=model, args=args, train_dataset=dataset, data_collator=collate, **kwargs)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    began = {}

    class NoteState(TrainerCallback):
        """What the optimizer holds before its first step: the state was loaded, or it was not."""

        def on_pre_optimizer_step(self, *args, **kwargs):
            if not began:
                inner = getattr(trainer.optimizer, "optimizer", trainer.optimizer)
                state = inner.state
                began["tensors"] = sum(1 for p in trained.values() if p in state and float(state[p]["step"]) == scene["step"])
                began["largestMoment"] = max((float(state[p]["exp_avg"].abs().max()) for p in trained.values() if p in state), default=0.0)
                began["rates"] = [group["lr"] for group in inner.param_groups]

    trainer.add_callback(NoteState())
    with contextlib.redirect_stdout(sys.stderr):
        trainer.train(resume_from_checkpoint=True)
    log = [entry for entry in trainer.state.log_history if "loss" in entry and entry["step"] > scene["step"]]
    figures = {key: [entry[name] for entry in log] for key, name in [("losses", "loss"), ("norms", "grad_norm"), ("rates", "learning_rate")]}
    return {"steps": [entry["step"] for entry in log], **figures, "began": began, "trained": len(trained)}, model


def copied(scene, folder, name, zeroed=False):
    run = folder / name
    shutil.copytree(scene["run"], run)
    for other in run.glob("checkpoint-*"):
        if other.name != f"checkpoint-{scene['step']}":
            shutil.rmtree(other)
    if zeroed:
        path = run / f"checkpoint-{scene['step']}" / "optimizer.pt"
        optimizer = torch.load(path, weights_only=True)
        for state in optimizer["state"].values():
            state["exp_avg"].zero_()
            state["exp_avg_sq"].zero_()
        torch.save(optimizer, path)
    return run


def final_differences(model, adapter):
    """Largest difference of the LoRA matrices and of the full copies to heirloom's final adapter."""
    from peft import get_peft_model_state_dict

    ours, theirs = load_file(Path(adapter) / "adapter_model.safetensors"), get_peft_model_state_dict(model)
    assert ours.keys() == theirs.keys(), sorted(ours.keys() ^ theirs.keys())
    found = {"lora": 0.0, "fullCopies": 0.0}
    for name, tensor in ours.items():
        key = "lora" if ".lora_" in name else "fullCopies"
        found[key] = max(found[key], float((tensor.float() - theirs[name].float().cpu()).abs().max()))
    return found


def main():
    folder = Path(sys.argv[1])
    scene = json.loads((folder / "scene.json").read_text())
    rows = json.loads((folder / "rows.json").read_text())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result, model = resume(scene, rows, copied(scene, folder, "resumed"))
        zeroed, _ = resume(scene, rows, copied(scene, folder, "zeroed", zeroed=True))
        report = {"resumed": result, "zeroed": zeroed, "final": final_differences(model, scene["adapter"])}
        if scene["back"] is not None:
            back = copied(scene, folder, "back")
            partly, _ = resume({**scene}, rows, back, save_at=scene["back"])
            report["back"] = {"run": str(back), "losses": partly["losses"]}
    names = ["torch", "transformers", "peft", "accelerate", *(["trl"] if scene["trainer"] == "sft" else []), *(["bitsandbytes"] if scene["nf4"] else [])]
    report["versions"] = {name: importlib.metadata.version(name) for name in names}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
