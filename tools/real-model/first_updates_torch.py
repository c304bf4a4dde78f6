"""Makes the first updates of a run in PyTorch + PEFT from heirloom's start, and prints their losses.

    python first_updates_torch.py --base MODEL --adapter INITIAL --batches batches.safetensors --settings settings.json

The base is quantized by bitsandbytes (NF4, double quantization, fp32 products), the adapter loaded by PEFT; batches are
heirloom's, packed, so that attention gets a block-diagonal mask. One JSON document on stdout.
"""

import argparse
import json
import os
import platform
import resource
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import peft
import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

IGNORED = -100


def load(base: str, adapter: str) -> PeftModel:
    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.float32
    )
    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.float32, attn_implementation="eager", quantization_config=quantization, device_map={"": "cpu"}
    )
    return PeftModel.from_pretrained(model, adapter, is_trainable=True).train()


def mask_of(segments: torch.Tensor) -> torch.Tensor:
    """Additive [B, 1, S, S]: a token sees the earlier ones of its own segment, padding itself only."""
    length = segments.shape[1]
    same = segments[:, :, None] == segments[:, None, :]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    real = (segments > 0)[:, :, None]
    seen = (same & causal & real) | torch.eye(length, dtype=torch.bool)
    return torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[:, None]


def loss_of(model: PeftModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    logits = model(
        input_ids=batch["inputIds"].long(),
        position_ids=batch["positions"].long(),
        attention_mask=mask_of(batch["segments"]),
        use_cache=False,
    ).logits
    labels = batch["labels"][:, 1:].long()
    flat = logits[:, :-1].reshape(-1, logits.shape[-1])
    total = torch.nn.functional.cross_entropy(flat, labels.reshape(-1), ignore_index=IGNORED, reduction="sum")
    return total / (labels != IGNORED).sum()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("base", "adapter", "batches", "settings"):
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    settings = json.loads(Path(args.settings).read_text(encoding="utf-8"))
    torch.set_num_threads(settings["threads"])
    model = load(args.base, args.adapter)
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    copies = [p for name, p in named if "embed_tokens" in name or "lm_head" in name]
    others = [p for name, p in named if not ("embed_tokens" in name or "lm_head" in name)]
    rate = settings["learningRate"]
    optimizer = torch.optim.AdamW(
        [{"params": others, "lr": rate}, {"params": copies, "lr": rate * settings["copiesRatio"]}],
        betas=tuple(settings["betas"]),
        eps=settings["epsilon"],
        weight_decay=0.0,
    )
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, settings["warmupSteps"], settings["steps"])
    arrays = load_file(args.batches)
    losses, seconds = [], []
    for update in range(settings["updates"]):
        started = time.perf_counter()
        batch = {name.split(".")[1]: value for name, value in arrays.items() if name.split(".")[0] == str(update)}
        loss = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for _, p in named], settings["maxGradNorm"])
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - started)
    print(
        json.dumps(
            {
                "losses": losses,
                "seconds": seconds,
                "trainable": sum(p.numel() for _, p in named),
                "peakRssKiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
                "versions": {"torch": torch.__version__, "peft": peft.__version__, "transformers": transformers.__version__, "python": platform.python_version()},
            }
        )
    )


if __name__ == "__main__":
    main()
