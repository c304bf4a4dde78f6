"""Saves the state of bitsandbytes' 8-bit AdamW after two updates: one tensor in 8 bits, a small one in full."""

import torch
from bitsandbytes.optim import AdamW8bit

torch.manual_seed(3)
parameters = [torch.nn.Parameter(torch.randn(shape)) for shape in ((64, 64), (8, 4))]
optimizer = AdamW8bit(parameters, lr=1e-3, weight_decay=0.01)
for _ in range(2):
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
torch.save(optimizer.state_dict(), "optimizer.pt")
