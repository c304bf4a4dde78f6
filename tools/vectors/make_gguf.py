"""Writes vectors/gguf: blocks of every GGUF type with what the PyPI package gguf makes of them.

    python3 tools/vectors/make_gguf.py vectors/gguf
"""
import json
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize, quantize
from safetensors.numpy import save_file

SEED = 7
TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
# Where the fp16 fields of a block begin.
HALVES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
# Zero, both signs; the smallest and largest subnormal; the smallest normal; the largest; infinity; NaN.
EDGES = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x7C00, 0x7E00]


def blocks_of(name: str, rng: np.random.Generator) -> np.ndarray:
    values, size = GGML_QUANT_SIZES[T[name]]
    if values == 1:
        return rng.integers(0, 256, size=(1, 256 * size), dtype=np.uint8)
    halves = HALVES[name]
    count = 8 + len(EDGES) * len(halves) + 2
    blocks = rng.integers(0, 256, size=(count, size), dtype=np.uint8)
    ordinary = rng.normal(0, 0.02, size=(count, len(halves))).astype(np.float16)
    for i, at in enumerate(halves):
        blocks[:, at:at + 2] = ordinary[:, i:i + 1].view(np.uint8)
    row = 8
    for at in halves:
        for edge in EDGES:
            blocks[row, at:at + 2] = np.frombuffer(np.uint16(edge).tobytes(), np.uint8)
            row += 1
    for fill, byte in ((row, 0x00), (row + 1, 0xFF)):
        kept = {at: blocks[fill, at:at + 2].copy() for at in halves}
        blocks[fill] = byte
        for at, half in kept.items():
            blocks[fill, at:at + 2] = half
    return blocks


def to_quantize(rng: np.random.Generator) -> np.ndarray:
    rows = [rng.normal(0, 1, 32), rng.normal(0, 1e-3, 32), rng.uniform(-1, 1, 32), np.zeros(32), -np.zeros(32)]
    rows.append(np.r_[127.0, np.arange(31) + 0.5])  # halves: rounded away from zero
    rows.append(np.r_[-127.0, -(np.arange(31) + 0.5)])
    rows.append(np.r_[1e-30, rng.normal(0, 1e-31, 31)])  # the scale is zero as fp16
    rows.append(np.r_[6e4, rng.normal(0, 1e4, 31)])
    rows.append(rng.normal(0, 1, 32) * 10.0 ** rng.uniform(-6, 2, 32))
    rows.extend(rng.normal(0, 0.05, (40, 32)))
    return np.array(rows, dtype=np.float32)


def main(folder: Path) -> None:
    rng = np.random.default_rng(SEED)
    tensors: dict[str, np.ndarray] = {}
    with np.errstate(all="ignore"):
        for name in TYPES:
            blocks = blocks_of(name, rng)
            tensors[f"{name}.blocks"] = blocks
            tensors[f"{name}.values"] = np.ascontiguousarray(dequantize(blocks, T[name]).reshape(-1)).astype(np.float32, copy=False)
        values = to_quantize(rng)
        tensors["quantize.values"] = values
        tensors["quantize.Q8_0"] = quantize(values, T.Q8_0)
    save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, folder / "blocks.safetensors")
    sizes = {t.name: [t.value, *GGML_QUANT_SIZES[t]] for t in T}
    (folder / "types.json").write_text(json.dumps({"types": sizes}, indent=1) + "\n")
    print(f"numpy {np.__version__}, {len(tensors)} tensors")


main(Path(sys.argv[1]))
