"""Compares two files of logits; each holds `logits`, float32 [B, S, V].

    python compare_logits.py PEFT.safetensors OURS.safetensors [--ids ids.json] [--tolerance 5e-5]

With --ids, positions beyond the end of a row (padding) are not compared. Exit 1 if the difference is above the tolerance.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

# Absolute; ten times what fp32 differs from fp64 by on models of this size (vectors/README.md, "Tolerances").
TOLERANCE = 5e-5


def read_logits(path: Path) -> torch.Tensor:
    return load_file(str(path))["logits"].float()


def compare(expected: torch.Tensor, found: torch.Tensor, mask: torch.Tensor, tolerance: float) -> dict:
    """mask is [B, S]: 1 where logits are compared."""
    if expected.shape != found.shape:
        return {"ok": False, "problem": f"expected logits of shape {list(expected.shape)}, found {list(found.shape)}"}
    difference = (expected - found).abs()[mask.bool()]
    largest = float(difference.max())
    return {
        "ok": largest <= tolerance,  # false for NaN as well
        "largestDifference": largest,
        "tolerance": tolerance,
        "positions": int(mask.sum()),
        "largestLogit": float(expected[mask.bool()].abs().max()),
        "sameArgmax": int((expected.argmax(-1) == found.argmax(-1))[mask.bool()].sum()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("expected", type=Path)
    parser.add_argument("found", type=Path)
    parser.add_argument("--ids", type=Path)
    parser.add_argument("--tolerance", type=float, default=TOLERANCE)
    args = parser.parse_args()

    expected = read_logits(args.expected)
    mask = torch.ones(expected.shape[:2])
    if args.ids:
        rows = json.loads(args.ids.read_text(encoding="utf-8"))
        for index, row in enumerate(rows["input_ids"] if isinstance(rows, dict) else rows):
            mask[index, len(row) :] = 0
    result = compare(expected, read_logits(args.found), mask, args.tolerance)
    print(json.dumps(result, indent=2))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
