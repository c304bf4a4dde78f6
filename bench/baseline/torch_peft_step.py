"""One training measurement of PyTorch + PEFT LoRA on the CPU: what a user would otherwise run, nothing tuned.

    python torch_peft_step.py --config bench/configs/smollm2-135m.json --batch 2 --seq 512 --steps 5
    python torch_peft_step.py --model DIR --base nf4 --batch 2 --seq 512 --steps 5
    python torch_peft_step.py --config bench/configs/smollm2-135m.json --data rows.jsonl --batch 4

A LLaMA-family model of the config's shape with random fp32 weights (with --model: those of a folder), LoRA on all linear layers,
AdamW, clipping at 1.0. Rows are random token ids, every token labelled, or those of a JSON Lines file of input_ids and labels: all
of them once, padded on the right to the longest of each batch, as transformers' collators do. With --base nf4 the linear layers
are bitsandbytes' Linear4bit with double quantization that compute in fp32. A step is zero_grad, forward, backward, clip, optimizer.
The process measures one configuration and prints one JSON object with `tokens_per_s` (real tokens over the measured steps),
`step_s` and `peak_rss_mib`.
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

IGNORE = -100
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", help="a config.json, for random weights")
    parser.add_argument("--model", help="a model folder, for its weights")
    parser.add_argument("--base", choices=["fp32", "bf16", "nf4"], default="fp32")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--seq", type=int, default=512, help="length of the random rows")
    parser.add_argument("--data", help="JSON Lines of input_ids and labels; unused: --seq, --steps")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup-steps", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--native-bf16", action="store_true", help="only say whether the CPU multiplies bf16 in hardware")
    args = parser.parse_args()
    if not args.native_bf16 and not (args.config or args.model):
        parser.error("expected --config or --model")
    if args.base == "nf4" and not args.model:
        parser.error("--base nf4 reads the weights that it quantizes: expected --model")
    return args


def native_bf16() -> dict:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            flags = next((line.split(":")[1].split() for line in f if line.startswith(("flags", "Features"))), [])
    except OSError:
        flags = []
    found = [flag for flag in ("amx_bf16", "avx512_bf16", "bf16") if flag in flags]
    return {"native_bf16": bool(found), "flags": found, "cpu_capability": torch.backends.cpu.get_cpu_capability()}


def load_base(args):
    if args.base == "nf4":
        from transformers import BitsAndBytesConfig

        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        )
        return AutoModelForCausalLM.from_pretrained(
            args.model, quantization_config=quantization, dtype=torch.float32, device_map="cpu"
        )
    if args.model:
        return AutoModelForCausalLM.from_pretrained(args.model, dtype=DTYPES[args.base])
    return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(args.config), dtype=DTYPES[args.base])


def build_model(args):
    base = load_base(args)
    base.config.use_cache = False
    if args.base == "nf4":
        base = peft.prepare_model_for_kbit_training(base, use_gradient_checkpointing=False)
    lora = peft.LoraConfig(task_type="CAUSAL_LM", r=args.rank, lora_alpha=2 * args.rank, target_modules="all-linear")
    return peft.get_peft_model(base, lora).train()


def random_batches(args, vocab_size):
    generator = torch.Generator().manual_seed(args.seed)
    batches = []
    for _ in range(args.warmup_steps + args.steps):
        ids = torch.randint(vocab_size, (args.batch, args.seq), generator=generator)
        batches.append({"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids})
    return batches


def file_batches(args):
    """The warm-up is the first batch; then every row once, in the file's order, which is a random one."""
    with open(args.data, encoding="utf-8") as f:
        rows = [json.loads(line) for line in f if line.strip()]
    batches = [pad(rows[start:start + args.batch]) for start in range(0, len(rows), args.batch)]
    return batches[:1] * args.warmup_steps + batches


def pad(rows):
    longest = max(len(row["input_ids"]) for row in rows)

    def column(lists, fill):
        return torch.tensor([values + [fill] * (longest - len(values)) for values in lists])

    return {
        "input_ids": column([row["input_ids"] for row in rows], 0),
        "attention_mask": column([[1] * len(row["input_ids"]) for row in rows], 0),
        "labels": column([row["labels"] for row in rows], IGNORE),
    }


def train_step(model, optimizer, trainable, batch) -> float:
    optimizer.zero_grad(set_to_none=True)
    loss = model(**batch).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trainable, 1.0)
    optimizer.step()
    return loss.item()


def peak_rss_mib() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def versions(args) -> dict:
    found = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
    if args.base == "nf4":
        import bitsandbytes

        found["bitsandbytes"] = bitsandbytes.__version__
    return found


def main():
    args = parse_args()
    if args.native_bf16:
        print(json.dumps(native_bf16()))
        return
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    transformers.logging.set_verbosity_error()
    model = build_model(args)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-4)
    batches = file_batches(args) if args.data else random_batches(args, model.config.vocab_size)

    seconds, losses = [], []
    for step, batch in enumerate(batches):
        start = time.perf_counter()
        loss = train_step(model, optimizer, trainable, batch)
        if step >= args.warmup_steps:
            seconds.append(time.perf_counter() - start)
            losses.append(loss)
    measured = batches[args.warmup_steps:]
    real = sum(int(batch["attention_mask"].sum()) for batch in measured)
    print(json.dumps({
        "tokens_per_s": round(real / sum(seconds), 2),
        "tokens": real,
        "positions": sum(batch["input_ids"].numel() for batch in measured),
        "step_s": {"median": round(statistics.median(seconds), 3), "each": [round(s, 3) for s in seconds]},
        "losses": [round(x, 4) for x in losses],
        "dtype": f"{args.base} base, fp32 LoRA",
        "trainable_parameters": sum(p.numel() for p in trainable),
        "peak_rss_mib": peak_rss_mib(),
        "versions": versions(args),
    }))


if __name__ == "__main__":
    main()
