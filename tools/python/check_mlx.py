"""Logits of mlx-lm and of PEFT for the same model, adapter and ids; run by tools/export/prove-mlx.ts.

check_mlx.py mlx BASE ADAPTER|- IDS.json OUT.npy    with mlx-lm's own load(), which reads the adapter
check_mlx.py peft BASE ADAPTER|- IDS.json OUT.npy   with transformers and PEFT
check_mlx.py compare A.npy B.npy BASE.npy           prints JSON: the largest difference, and the adapter's own effect
"""

import json
import sys

import numpy as np


def mlx_logits(base, adapter, ids):
    import mlx.core as mx
    import mlx_lm

    model, _ = mlx_lm.load(base, adapter_path=adapter)
    versions = {"mlx": mx.__version__, "mlx-lm": mlx_lm.__version__, "device": str(mx.default_device())}
    return np.array(model(mx.array([ids])).astype(mx.float32))[0], versions


def peft_logits(base, adapter, ids):
    import peft
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if adapter is not None:
        model = peft.PeftModel.from_pretrained(model, adapter)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
    with torch.no_grad():
        return model.eval()(torch.tensor([ids])).logits[0].numpy(), versions


def main(mode, *args):
    if mode == "compare":
        a, b, plain = (np.load(path).astype(np.float64) for path in args)
        print(json.dumps({"largest": float(np.abs(a - b).max()), "effect": float(np.abs(a - plain).max())}))
        return
    base, adapter, ids, out = args
    with open(ids, encoding="utf-8") as f:
        logits, versions = {"mlx": mlx_logits, "peft": peft_logits}[mode](base, None if adapter == "-" else adapter, json.load(f))
    np.save(out, logits)
    print(json.dumps(versions))


if __name__ == "__main__":
    main(*sys.argv[1:])
