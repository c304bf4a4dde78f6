"""Load a folder of `heirloom quantize` in transformers + bitsandbytes, and hold it against bitsandbytes' own quantization.

    python check_quantized.py DENSE QUANTIZED

Two models of one base, on the CPU, eager attention, everything but the codes in fp32:
  ours    QUANTIZED, as transformers loads it
  theirs  DENSE, quantized by bitsandbytes on load with the same settings
Prints how many bytes of codes and scales differ between ours and theirs, and the largest difference of logits.
"""

import argparse
import json

import bitsandbytes
import torch
import transformers
from transformers import AutoModelForCausalLM, BitsAndBytesConfig


def load(path, config=None):
    # Given as None, it would take the place of the one in config.json.
    given = {} if config is None else {"quantization_config": config}
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager", **given).eval()


def parts(model):
    """Packed codes and scales of every 4-bit layer."""
    for name, module in model.named_modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            state = module.weight.quant_state
            yield name, "codes", module.weight.data.flatten()
            yield name, "absmax", state.absmax
            if state.nested:
                yield name, "nested absmax", state.state2.absmax
                yield name, "offset", state.offset.reshape(1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dense")
    parser.add_argument("quantized")
    args = parser.parse_args()
    torch.manual_seed(0)
    settings = json.load(open(f"{args.quantized}/config.json"))["quantization_config"]
    ours = load(args.quantized)
    theirs = load(
        args.dense,
        BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=settings["bnb_4bit_use_double_quant"],
            bnb_4bit_compute_dtype=torch.float32,
        ),
    )
    for module in ours.modules():  # what is compared is the weights, not the dtype of the products
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.compute_dtype = torch.float32
            module.compute_type_is_set = True
    figures = {}
    for (name, what, a), (other, _, b) in zip(parts(ours), parts(theirs), strict=True):
        assert name == other and a.shape == b.shape, (name, other, a.shape, b.shape)
        entry = figures.setdefault(what, {"tensors": 0, "differing": 0, "bytes": 0, "differing_bytes": 0, "largest": 0.0})
        x, y = a.contiguous().view(torch.uint8), b.contiguous().view(torch.uint8)
        entry["tensors"] += 1
        entry["bytes"] += x.numel()
        entry["differing_bytes"] += int((x != y).sum())
        entry["differing"] += int(not torch.equal(x, y))
        entry["largest"] = max(entry["largest"], float((a.double() - b.double()).abs().max() / b.double().abs().max().clamp(min=1e-30)))
    ids = torch.randint(3, theirs.config.vocab_size, (2, 32))
    with torch.no_grad():
        difference = (ours(input_ids=ids).logits - theirs(input_ids=ids).logits).abs().max().item()
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "bitsandbytes": bitsandbytes.__version__}
    print(json.dumps({"versions": versions, "parts": figures, "largest_logit_difference": difference}, indent=1))


main()
