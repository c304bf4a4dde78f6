"""Loads a base and an adapter in real PEFT, runs given token ids, and compares the logits with heirloom's.

    python check_adapter.py --base MODEL --adapter ADAPTER --ids ids.json [--nf4 single|double]
        [--logits-out peft.safetensors] [--ours heirloom.safetensors] [--report report.json]

ids.json: a list of rows of token ids, or {"input_ids": rows}; shorter rows are padded on the right, and padding is not
compared. Logits files hold `logits`, float32 [B, S, V]. One JSON document on stdout; exit 1 if anything differs.
"""

import argparse
import json
import os
import platform
import sys
import warnings
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import peft
import torch
import transformers
from compare_logits import TOLERANCE, compare, read_logits
from peft import PeftModel
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM


def read_ids(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, both [B, S]."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    rows = rows["input_ids"] if isinstance(rows, dict) else rows
    length = max(len(row) for row in rows)
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
    return ids, mask


def load_base(path: str, nf4: str | None):
    options = {"dtype": torch.float32, "attn_implementation": "eager"}
    if nf4:
        options["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=nf4 == "double",
            bnb_4bit_compute_dtype=torch.float32,
        )
        options["device_map"] = {"": "cpu"}
    return AutoModelForCausalLM.from_pretrained(path, **options)


def load_adapter(base, adapter: str) -> tuple[PeftModel, list[str]]:
    """The model, trainable as `PeftModel.from_pretrained(..., is_trainable=True)` makes it, and what PEFT warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = PeftModel.from_pretrained(base, adapter, is_trainable=True, autocast_adapter_dtype=True)
    return model.eval(), [str(w.message) for w in caught if "key" in str(w.message).lower()]


def tensors_that_differ(model: PeftModel, adapter: str) -> list[str]:
    """Tensors of the file that did not arrive in the live model with the same values, or whose key PEFT would not write."""
    live = peft.get_peft_model_state_dict(model)
    differing = []
    with safe_open(str(Path(adapter) / "adapter_model.safetensors"), "pt") as file:
        names = set(file.keys())
        for name in sorted(names | set(live)):
            if name not in names or name not in live or not torch.equal(file.get_tensor(name).float(), live[name].float()):
                differing.append(name)
    return differing


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", required=True)
    parser.add_argument("--adapter", required=True)
    parser.add_argument("--ids", type=Path, required=True)
    parser.add_argument("--nf4", choices=["single", "double"], help="quantize the base by bitsandbytes while loading it")
    parser.add_argument("--logits-out", type=Path)
    parser.add_argument("--ours", type=Path, help="logits by heirloom, to compare with")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    torch.set_num_threads(args.threads)
    transformers.logging.set_verbosity_error()
    ids, mask = read_ids(args.ids)
    model, key_warnings = load_adapter(load_base(args.base, args.nf4), args.adapter)
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits.float()
    trainable, total = model.get_nb_trainable_parameters()
    differing = tensors_that_differ(model, args.adapter)
    report = {
        "nf4": args.nf4,
        "rows": list(ids.shape),
        "trainable": trainable,
        "all": total,
        "banner": f"trainable params: {trainable:,d} || all params: {total:,d} || trainable%: {100 * trainable / total:.4f}",
        "tensorsThatDiffer": differing,
        "warnings": key_warnings,
        "comparison": compare(logits, read_logits(args.ours), mask, args.tolerance) if args.ours else None,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "peft": peft.__version__,
        },
    }
    report["ok"] = not differing and not key_warnings and (report["comparison"] is None or report["comparison"]["ok"])
    if args.logits_out:
        save_file({"logits": logits.contiguous()}, str(args.logits_out))
    text = json.dumps(report, indent=2)
    print(text)
    if args.report:
        args.report.write_text(text + "\n", encoding="utf-8")
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
