"""Asks torch whether the files that write-torch-files.ts made mean what they should.

Every value is made again here, with torch, numpy and Python themselves. A file passes if torch.load(weights_only=True)
gives that value, type by type and bit by bit, and if torch.save of it is the same file byte for byte but for the first
half of the serialization id. The generators' states are loaded and set as Trainer does, then numbers are drawn.

    python tools/python/check_torch_files.py FOLDER [--report FILE.json]
"""

import argparse
import collections
import json
import math
import pathlib
import random
import sys

import numpy as np
import torch
from transformers.trainer_pt_utils import safe_globals

DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "I32": torch.int32,
    "I64": torch.int64, "U16": torch.uint16, "U32": torch.uint32, "U64": torch.uint64,
    "F8_E5M2": torch.float8_e5m2, "F8_E4M3": torch.float8_e4m3fn, "F8_E8M0": torch.float8_e8m0fnu,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz, "F8_E5M2FNUZ": torch.float8_e5m2fnuz, "F16": torch.float16,
    "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64, "C64": torch.complex64,
}  # fmt: skip
NUMPY = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8"]
# numpy's scalar type is no function that torch lets through by itself; Trainer's files have none.
SCALARS = [np._core.multiarray.scalar] + [type(np.dtype(code)) for code in NUMPY]


def pattern(count, seed, limit=256):
    return bytes((i * 37 + seed * 11 + 5) % limit for i in range(count))


def tensor(dtype, shape, data):
    flat = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.zeros(0, dtype=torch.uint8)
    # A storage of its own, as large as the data.
    return flat.clone().view(dtype).reshape(shape)


def dtypes():
    return {
        name: tensor(dtype, [2, 3], pattern(6 * dtype.itemsize, i, 2 if name == "BOOL" else 256))
        for i, (name, dtype) in enumerate(DTYPES.items())
    }


def shared():
    whole = tensor(torch.float32, [4, 6], pattern(96, 1))
    f8 = tensor(torch.float8_e4m3fn, [3, 8], pattern(24, 2))
    part = whole.as_strided([2, 3], [3, 1], 6)
    return {
        "whole": whole, "transposed": whole.T, "part": part, "again": part,
        "needs_grad": tensor(torch.float32, [2], pattern(8, 3)).requires_grad_(),
        "f8": f8, "f8_part": f8.as_strided([4], [1], 20),
        "scalar": tensor(torch.float32, [], pattern(4, 4)), "empty": torch.empty(0, 5),
        "strided_axis_of_one": tensor(torch.bfloat16, [1, 4, 1], pattern(8, 5)),
    }  # fmt: skip


def values():
    pair, two = [1, 2], (1, str("two"))
    text = "text"
    integers = [0, 1, 255, 256, 65535, 65536, 2**31 - 1, 2**31, -1, -128, -129, -(2**31), -(2**31) - 1, 2**32]
    counts = [0, 1, 2, 1000, 1001, 1002]
    return {
        "integers": integers + [2**63 - 1, 2**64, -(2**63), 2**200],
        "floats": [0.0, -0.0, 1.0, -1.0, 0.1, 1e-300, 5e-324, 1e300, math.inf, -math.inf, math.nan],
        "texts": ["", text, "naïve ☃ 𝄞", "zero\0inside", text],
        "constants": [None, True, False],
        "tuples": [(), tuple([1]), tuple([1, 2]), tuple([1, 2, 3]), tuple([1, 2, 3, 4]), tuple([tuple([()])])],
        "lists": [[]] + [list(range(n)) for n in [1, 2, 999, 1000, 1001, 2000, 2001]],
        "dicts": [{i: i for i in range(n)} for n in [0, 1, 2, 999, 1000, 1001, 2000]],
        "ordered": [collections.OrderedDict((i, i) for i in range(n)) for n in counts],
        "same": [pair, pair, two, two],
        "bytes": [pattern(300, 1), pattern(2, 2)],
        "arrays": [
            np.frombuffer(bytearray(pattern(4 * np.dtype(code).itemsize, i, 2 if code == "?" else 256)), code).reshape(2, 2)
            for i, code in enumerate(NUMPY)
        ],
        "scalars": [
            np.frombuffer(pattern(np.dtype(code).itemsize, i), code)[0]
            for i, code in enumerate(code for code in NUMPY if np.dtype(code).itemsize > 1)
        ],
    }


def optimizer():
    def moment(index, kind):
        return tensor(torch.float32, [4, 2], np.array([index + kind / 4 + i / 16 for i in range(8)], "f4").tobytes())

    def group(weight_decay, params):
        betas = tuple([0.9, 0.999])
        return {
            "weight_decay": weight_decay, "lr": 5e-4, "betas": betas, "eps": 1e-8, "amsgrad": False, "maximize": False,
            "foreach": None, "capturable": False, "differentiable": False, "fused": None,
            "decoupled_weight_decay": True, "initial_lr": 1e-3, "params": params,
        }  # fmt: skip

    state = {i: {"step": torch.tensor(7.0), "exp_avg": moment(i, 0), "exp_avg_sq": moment(i, 1)} for i in range(3)}
    return {"state": state, "param_groups": [group(0.01, [0, 1]), group(0.0, [2])]}


def optimizer_8bit():
    qmap = tensor(torch.float32, [256], pattern(1024, 1))
    state = {
        "step": 7, "state1": tensor(torch.uint8, [64, 64], pattern(4096, 2)),
        "state2": tensor(torch.uint8, [64, 64], pattern(4096, 3)), "qmap1": qmap, "qmap2": qmap,
        "absmax1": tensor(torch.float32, [16], pattern(64, 4)), "absmax2": tensor(torch.float32, [16], pattern(64, 5)),
    }  # fmt: skip
    return {"state": {0: state}, "param_groups": [{"lr": 1e-3, "alpha": 0.0, "t_alpha": None, "params": [0]}]}


def real_scheduler(name, base_lrs, steps):
    """The state that transformers' own schedule has, not a copy of it."""
    from transformers import get_scheduler

    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in base_lrs]
    adamw = torch.optim.AdamW(groups)
    schedule = get_scheduler(name, adamw, num_warmup_steps=0, num_training_steps=14)
    for _ in range(steps):
        adamw.step()
        schedule.step()
    return schedule.state_dict()


def rng_state(seed):
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    torch.manual_seed(seed)
    return {"python": random.getstate(), "numpy": np.random.get_state(), "cpu": torch.random.get_rng_state()}


def draws():
    return [random.random(), random.gauss(0, 1), *np.random.rand(3), np.random.randn(), *torch.randn(20).tolist(), *torch.rand(3).tolist()]


def large():
    return {"a": torch.zeros(2**32 + 64, dtype=torch.uint8), "b": tensor(torch.float32, [3], pattern(12, 1))}


# torch.save calls bytes() for it, which torch.load(weights_only=True) refuses; ours can be loaded.
NOT_AS_TORCH = {"no_bytes.pt"}
VALUES = {
    "dtypes.pt": dtypes, "shared.pt": shared, "values.pt": values, "no_bytes.pt": lambda: [b""], "optimizer.pt": optimizer,
    "optimizer_8bit.pt": optimizer_8bit, "scheduler.pt": lambda: real_scheduler("linear", [1e-3, 1.0], 7),
    "scheduler_constant.pt": lambda: real_scheduler("constant", [1e-3], 0), "large.pt": large,
}  # fmt: skip


def difference(ours, theirs, at=""):
    """Where two values differ first, or None. Types count, NaNs are compared by their bits."""
    if type(ours) is not type(theirs):
        return f"{at}: {type(ours).__name__} for {type(theirs).__name__}"
    if isinstance(ours, torch.Tensor):
        facts = [(x.dtype, x.shape, x.stride(), x.storage_offset(), x.requires_grad) for x in (ours, theirs)]
        if facts[0] != facts[1]:
            return f"{at}: {facts[0]} for {facts[1]}"
        raw = [x.detach().untyped_storage() for x in (ours, theirs)]
        same = torch.equal(*(torch.tensor([], dtype=torch.uint8).set_(x) for x in raw))
        return None if same else f"{at}: other bytes"
    if isinstance(ours, np.ndarray | np.generic):
        same = ours.dtype == theirs.dtype and ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()
        return None if same else f"{at}: other numpy values"
    if isinstance(ours, dict):
        if list(ours) != list(theirs):
            return f"{at}: other keys"
        return next(filter(None, (difference(ours[k], theirs[k], f"{at}[{k!r}]") for k in theirs)), None)
    if isinstance(ours, list | tuple):
        if len(ours) != len(theirs):
            return f"{at}: {len(ours)} items for {len(theirs)}"
        return next(filter(None, (difference(a, b, f"{at}[{i}]") for i, (a, b) in enumerate(zip(ours, theirs)))), None)
    if isinstance(ours, float):
        return None if np.float64(ours).tobytes() == np.float64(theirs).tobytes() else f"{at}: {ours} for {theirs}"
    return None if ours == theirs else f"{at}: {ours!r} for {theirs!r}"


def without_own_id(file):
    """As withoutOwnId in src/formats/fixtures/torch-files.ts."""
    data = bytearray(file)
    local = data.find(b"/.data/serialization_id")
    descriptor = data.find(b"PK\x07\x08", local)
    header = data.rfind(b"PK\x01\x02", 0, data.rfind(b"/.data/serialization_id"))
    for start, end in [(descriptor - 40, descriptor - 20), (descriptor + 4, descriptor + 8), (header + 16, header + 20)]:
        data[start:end] = bytes(end - start)
    return bytes(data)


def saved(value, name, folder):
    """torch.save to a file, which names the archive after it."""
    path = folder / name
    torch.save(value, path)
    return path


def check(path, folder):
    seed = int(path.stem.rsplit("_", 1)[1]) if path.name.startswith("rng_state_") else None
    theirs = rng_state(seed) if seed is not None else VALUES[path.name]()
    with safe_globals(), torch.serialization.safe_globals(SCALARS if path.name == "values.pt" else []):
        ours = torch.load(path, weights_only=True)
    problem = difference(ours, theirs)
    again = saved(theirs, path.name, folder)
    if path.name == "large.pt":
        # 20 digits and two checksums of 4 bytes: at most 28 bytes may differ.
        a, b = (np.memmap(p, np.uint8, "r") for p in (path, again))
        identical = len(a) == len(b) and sum(int((a[i : i + 2**28] != b[i : i + 2**28]).sum()) for i in range(0, len(a), 2**28)) <= 28
    else:
        identical = without_own_id(path.read_bytes()) == without_own_id(again.read_bytes())
    again.unlink()
    if seed is not None:
        expected = draws()
        for before in (1, 2):
            rng_state(before)
            random.setstate(ours["python"])
            np.random.set_state(ours["numpy"])
            torch.random.set_rng_state(ours["cpu"])
            if draws() != expected:
                problem = problem or "other numbers are drawn"
        if torch.random.initial_seed() != seed:
            problem = problem or f"initial seed {torch.random.initial_seed()}"
    if path.name == "optimizer.pt":
        parameters = [torch.nn.Parameter(torch.zeros(4, 2)) for _ in range(3)]
        adamw = torch.optim.AdamW([{"params": parameters[:2], "weight_decay": 0.01}, {"params": parameters[2:], "weight_decay": 0.0}])
        adamw.load_state_dict(ours)
        problem = problem or difference(adamw.state_dict()["state"], theirs["state"])
    return {"file": path.name, "bytes": path.stat().st_size, "difference": problem, "sameBytesAsTorch": identical}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--report", type=pathlib.Path)
    options = parser.parse_args()
    scratch = options.folder / "torch"
    scratch.mkdir(exist_ok=True)
    results = [check(path, scratch) for path in sorted(options.folder.glob("*.pt*"))]
    scratch.rmdir()
    for result in results:
        print(f"{result['file']}: {result['difference'] or 'equal'}, bytes {'the same' if result['sameBytesAsTorch'] else 'DIFFER'}")
    ok = bool(results) and all(r["difference"] is None and (r["sameBytesAsTorch"] or r["file"] in NOT_AS_TORCH) for r in results)
    if options.report is not None:
        versions = {"torch": torch.__version__, "numpy": np.__version__, "python": sys.version.split()[0]}
        report = {"schemaVersion": 1, "ok": ok, "versions": versions, "files": results}
        options.report.write_text(json.dumps(report, indent=2) + "\n")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
