"""Read our exports with the libraries that others read them with.

    python check_exports.py --base BASE --adapter ADAPTER --merged MERGED [--gguf MODEL.gguf] [--lora LORA.gguf]

BASE and MERGED are model folders, MERGED in fp32 and merged onto the base as its files are. Compares, in fp32 on the CPU with
eager attention, the logits of PEFT with the adapter and of the merged folder in transformers; and opens the GGUF files with the
package gguf: metadata, and the values of some tensors, unpermuted, against the merged folder and the adapter.
"""

import argparse
import json

import gguf
import numpy
import peft
import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM


def logits(model, ids):
    with torch.no_grad():
        return model.eval()(input_ids=ids).logits


def load(path):
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager")


def unpermute(values, heads):
    return values.reshape(heads, values.shape[0] // heads // 2, 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def field(reader, key):
    return reader.fields[key].contents()


def main():
    parser = argparse.ArgumentParser()
    for name in ("base", "adapter", "merged"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--gguf")
    parser.add_argument("--lora")
    args = parser.parse_args()
    torch.manual_seed(0)
    merged = load(args.merged)
    config = merged.config
    ids = torch.randint(3, config.vocab_size, (2, 48))
    of_merged = logits(merged, ids)
    base = load(args.base)
    of_base = logits(base, ids)
    of_adapter = logits(peft.PeftModel.from_pretrained(base, args.adapter), ids)
    report = {
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, peft)},
        "merged against PEFT, largest": (of_merged - of_adapter).abs().max().item(),
        "merged against PEFT, rms": (of_merged - of_adapter).pow(2).mean().sqrt().item(),
        "the adapter's effect, rms": (of_adapter - of_base).pow(2).mean().sqrt().item(),
    }
    state = merged.state_dict()
    if args.gguf:
        reader = gguf.GGUFReader(args.gguf)
        tensors = {t.name: t for t in reader.tensors}
        report["gguf"] = {key: field(reader, key) for key in ("general.architecture", "general.file_type", "tokenizer.ggml.pre")}
        report["gguf"]["tensors"] = len(tensors)
        errors = {}
        for name, hf, heads in (
            ("blk.0.attn_q.weight", "model.layers.0.self_attn.q_proj.weight", config.num_attention_heads),
            ("blk.1.attn_k.weight", "model.layers.1.self_attn.k_proj.weight", config.num_key_value_heads),
            ("blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight", 0),
            ("token_embd.weight", "model.embed_tokens.weight", 0),
        ):
            values = gguf.quants.dequantize(tensors[name].data, tensors[name].tensor_type)
            values = unpermute(values, heads) if heads else values
            want = state[hf].numpy()
            errors[name] = float(numpy.abs(values - want).max() / numpy.abs(want).max())
        report["gguf"]["largest relative differences"] = errors
    if args.lora:
        reader = gguf.GGUFReader(args.lora)
        tensors = {t.name: t for t in reader.tensors}
        stored = load_file(f"{args.adapter}/adapter_model.safetensors")
        path = "base_model.model.model.layers.0.self_attn.q_proj"
        b = unpermute(numpy.array(tensors["blk.0.attn_q.weight.lora_b"].data), config.num_attention_heads)
        report["lora"] = {
            "alpha": field(reader, "adapter.lora.alpha"),
            "tensors": len(tensors),
            "A differs by": float(numpy.abs(tensors["blk.0.attn_q.weight.lora_a"].data - stored[f"{path}.lora_A.weight"].float().numpy()).max()),
            "B differs by": float(numpy.abs(b - stored[f"{path}.lora_B.weight"].float().numpy()).max()),
        }
    print(json.dumps(report, indent=1, default=str))


main()
