"""One training measurement of PyTorch + PEFT LoRA on the CPU: what a user would otherwise run, nothing tuned.

    python torch_peft_step.py --config bench/configs/smollm2-135m.json --batch 2 --seq 512 --steps 5

A LLaMA-family model of the config's shape with random fp32 weights, LoRA on all linear layers, AdamW, clipping at 1.0, random
token ids, every token labelled. A step is zero_grad, forward, backward, clip, optimizer. The process measures one configuration
and prints one JSON object with `tokens_per_s` (over the measured steps), `step_s` and `peak_rss_mib`.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import time

import peft
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", required=True)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--seq", type=int, default=512)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup-steps", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def build_model(args):
    config = AutoConfig.from_pretrained(args.config)
    config.use_cache = False
    base = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    lora = peft.LoraConfig(task_type="CAUSAL_LM", r=args.rank, lora_alpha=2 * args.rank, target_modules="all-linear")
    return peft.get_peft_model(base, lora).train()


def train_step(model, optimizer, trainable, ids) -> float:
    optimizer.zero_grad(set_to_none=True)
    loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trainable, 1.0)
    optimizer.step()
    return loss.item()


def peak_rss_mib() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def main():
    args = parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    transformers.logging.set_verbosity_error()
    model = build_model(args)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-4)
    generator = torch.Generator().manual_seed(args.seed)

    seconds, losses = [], []
    for step in range(args.warmup_steps + args.steps):
        ids = torch.randint(model.config.vocab_size, (args.batch, args.seq), generator=generator)
        start = time.perf_counter()
        loss = train_step(model, optimizer, trainable, ids)
        if step >= args.warmup_steps:
            seconds.append(time.perf_counter() - start)
            losses.append(loss)
    print(json.dumps({
        "tokens_per_s": round(args.batch * args.seq * args.steps / sum(seconds), 2),
        "step_s": {"median": round(statistics.median(seconds), 3), "each": [round(s, 3) for s in seconds]},
        "losses": [round(x, 4) for x in losses],
        "dtype": "fp32 base, fp32 LoRA",
        "trainable_parameters": sum(p.numel() for p in trainable),
        "peak_rss_mib": peak_rss_mib(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "peft": peft.__version__,
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        },
    }))


if __name__ == "__main__":
    main()
