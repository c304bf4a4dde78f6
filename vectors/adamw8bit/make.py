# What bitsandbytes' AdamW8bit makes of a tensor whose gradients a formula gives; run in this folder.
import bitsandbytes as bnb
import numpy as np
import torch
from safetensors.torch import save_file

COUNT, UPDATES = 5000, 12
index = np.arange(COUNT, dtype=np.float64)


def spread(step):
    words = np.mod(index * 40503 + step * 30011 + 17, 65536)
    return (words / 65536 - 0.5) * 10.0 ** -np.mod(index, 5)


tensor = torch.nn.Parameter(torch.from_numpy(spread(0).astype(np.float32)))
optimizer = bnb.optim.AdamW8bit([tensor], lr=1e-3, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
saved = {}
for step in range(1, UPDATES + 1):
    for group in optimizer.param_groups:
        group["lr"] = 1e-3 / step
    tensor.grad = torch.from_numpy(spread(step).astype(np.float32))
    optimizer.step()
    if step in (1, UPDATES):
        state = optimizer.state[tensor]
        for name in ("state1", "state2", "absmax1", "absmax2"):
            saved[f"{step}.{name}"] = state[name].clone()
        saved[f"{step}.w"] = tensor.detach().clone()
saved["qmap1"], saved["qmap2"] = state["qmap1"].clone(), state["qmap2"].clone()
save_file(saved, "updates.safetensors")
