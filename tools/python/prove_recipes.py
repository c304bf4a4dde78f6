"""Runs the PEFT and TRL recipes with the real libraries on a small adapter, and shows that they go on with it rightly.

    python tools/python/prove_recipes.py --heirloom "node dist/cli/main.js" --tools peft --report tools/python/results/recipe-peft.json
    python tools/python/prove_recipes.py --nf4 --tools peft --report tools/python/results/recipe-peft-nf4.json

For each tool: the recipe continues an adapter of `heirloom train` (every tensor of the ledger moves, the configuration
stays); a run resumed from its checkpoint by a recipe ends with the bytes of the uninterrupted one; and with the full
copies frozen after loading, the guard stops it by their names before the first step.
"""
import argparse
import importlib.metadata
import json
import os
import pathlib
import py_compile
import shlex
import subprocess
import sys
import tempfile

from safetensors.torch import load_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
FROZEN = "for name, p in model.named_parameters():\n    p.requires_grad_(p.requires_grad and 'modules_to_save' not in name)\n"
ALL_TOOLS = ["unsloth", "peft", "trl", "axolotl", "llama-factory"]


def call(command, folder, expect=0):
    # Offline: everything is local, and asking the Hub whether it is takes minutes where there is no network.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    if (done.returncode == 0) != (expect == 0):
        raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout + done.stderr


def same_adapter(before, after):
    """Names and settings are the same; returns the tensors that did not move."""
    old, new = load_file(before / "adapter_model.safetensors"), load_file(after / "adapter_model.safetensors")
    assert old.keys() == new.keys(), sorted(old.keys() ^ new.keys())
    read = lambda folder: json.loads((folder / "adapter_config.json").read_text())
    for key in ["r", "lora_alpha", "lora_dropout", "layers_to_transform", "bias", "use_rslora", "use_dora"]:
        assert read(before)[key] == read(after)[key], key
    for key in ["target_modules", "modules_to_save"]:
        assert sorted(read(before)[key]) == sorted(read(after)[key]), key
    return [name for name in old if bool((old[name].float() == new[name].float()).all())]


def prove(tool, heirloom, adapter, base, folder, nf4):
    recipe = lambda source, out: call([*heirloom, "recipe", str(source), "--for", tool, "--base", str(base), "-o", str(out)], ROOT)
    script = f"continue_with_{tool}.py"

    # The whole run, with a checkpoint in the middle.
    whole = folder / "whole"
    recipe(adapter, whole)
    text = (whole / script).read_text()
    longer = text.replace("num_train_epochs=1,", "max_steps=4,").replace('save_strategy="no",', 'save_strategy="steps", save_steps=2,')
    assert longer.count("max_steps=4") == 1 and longer.count("save_steps=2") == 1
    (whole / script).write_text(longer)
    link_data(whole)
    printed = call([sys.executable, script], whole)
    guard = next(line for line in printed.splitlines() if line.startswith("heirloom guard:"))
    still = same_adapter(adapter, whole / "continued")

    # Its second half again, from the checkpoint.
    again = folder / "again"
    recipe(whole / "continued" / "checkpoint-2", again)
    link_data(again)
    resumed = (again / script).read_text()
    assert "CHECKPOINT = ADAPTER" in resumed, resumed[:800]
    if nf4:
        # No file of a Trainer checkpoint tells that the base was in 4 bits: the recipe says so, and people fill it in.
        assert resumed.count("QUANTIZED = False  # the base in 4 bits (NF4): no file says, so check it") == 1, resumed[:800]
        (again / script).write_text(resumed.replace("QUANTIZED = False", "QUANTIZED = True"))
    call([sys.executable, script], again)
    ours, theirs = (load_file(f / "continued" / "adapter_model.safetensors") for f in (again, whole))
    identical = all(bool((ours[name] == theirs[name]).all()) for name in theirs)

    # Copies frozen, as loaders do it: before the trainer sees the model.
    frozen = folder / "frozen"
    recipe(adapter, frozen)
    (frozen / script).write_text(text.replace("trainer = ContinuedTrainer(", f"{FROZEN}trainer = ContinuedTrainer("))
    link_data(frozen)
    stopped = call([sys.executable, script], frozen, expect=1)
    named = [line.strip() for line in stopped.splitlines() if line.strip().startswith("frozen or missing:")]
    return {
        "tool": tool,
        "guard": guard,
        "tensorsThatDidNotMove": still,
        "resumedEqualsUninterrupted": identical,
        "guardFiredWith": named,
        "trainedNothing": not (frozen / "continued" / "adapter_model.safetensors").exists(),
    }


def link_data(folder):
    rows = (ROOT / "assets/demo/definitions-train.jsonl").read_text().splitlines()[:8]
    (folder / "train.jsonl").write_text("\n".join(rows) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--heirloom", default="node dist/cli/main.js")
    parser.add_argument("--tools", nargs="+", default=["peft", "trl"])
    parser.add_argument("--nf4", action="store_true", help="over a base in 4 bits (bitsandbytes, double quantization)")
    parser.add_argument("--report", type=pathlib.Path)
    flags = parser.parse_args()
    heirloom, base = shlex.split(flags.heirloom), ROOT / "assets/base"
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        link_data(folder)
        settings = {
            "base": str(base),
            "output": str(folder / "runs"),
            "quantization": "nf4" if flags.nf4 else "none",
            "adapter": {"rank": 4, "alpha": 8, "modulesToSave": ["embed_tokens", "lm_head"]},
            "data": {"train": str(folder / "train.jsonl"), "maxLength": 128},
            "training": {
                "steps": 2,
                "batchSize": 2,
                "learningRate": 1e-3,
                "groups": [{"name": "embeddings", "match": ["embed_tokens", "lm_head"], "learningRateRatio": 0.1}],
            },
        }
        (folder / "run.json").write_text(json.dumps(settings))
        trained = json.loads(call([*heirloom, "train", "-c", str(folder / "run.json"), "--json", "--quiet"], ROOT))
        adapter = pathlib.Path(trained["adapter"])

        # LlamaFactory has no rate for copies, and must say so; every other recipe must be valid Python.
        refused = call([*heirloom, "recipe", str(adapter), "--for", "llama-factory"], ROOT, expect=12)
        assert "groups" in refused, refused
        for tool in [tool for tool in ALL_TOOLS if tool != "llama-factory"]:
            call([*heirloom, "recipe", str(adapter), "--for", tool, "-o", str(folder / "syntax" / tool)], ROOT)
        for script in (folder / "syntax").rglob("*.py"):
            py_compile.compile(str(script), doraise=True)

        results = [prove(tool, heirloom, adapter, base, folder / tool, flags.nf4) for tool in flags.tools]
    versions = {name: importlib.metadata.version(name) for name in ["torch", "transformers", "peft", "trl", "accelerate"] + ["bitsandbytes"] * flags.nf4}
    report = {"schemaVersion": 1, "base": "NF4, double quantization" if flags.nf4 else "unquantized", "banner": trained["banner"], "versions": versions, "results": results}
    print(json.dumps(report, indent=2))
    if flags.report:
        flags.report.write_text(json.dumps(report, indent=2) + "\n")
    good = all(
        not r["tensorsThatDidNotMove"] and r["resumedEqualsUninterrupted"] and len(r["guardFiredWith"]) == 2 and r["trainedNothing"]
        for r in results
    )
    sys.exit(0 if good else 1)


main()
