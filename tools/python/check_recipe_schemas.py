"""Checks recipes against what the tools themselves accept, without a GPU: their own classes where they can be imported, else
their source.

    pip download --no-deps -d /tmp/tools axolotl llamafactory unsloth && (cd /tmp/tools && for w in *.whl; do unzip -qo $w -d ${w%%-*}; done)
    python tools/python/check_recipe_schemas.py --tools /tmp/tools --recipes FOLDER --report tools/python/results/recipe-schemas.json

FOLDER holds a folder per tool (axolotl, llama-factory, unsloth), as `heirloom recipe -o` writes them. Axolotl: its pydantic
schema validates the file, and no key is unknown to it (it ignores unknown ones). LlamaFactory: its parser's dataclasses take
every key, with values of the annotated types. Unsloth, which cannot be imported without a GPU: every keyword that the script
passes is a parameter in its source.
"""
import argparse
import ast
import dataclasses
import json
import os
import pathlib
import re
import sys

import yaml


def version(folder):
    return next(re.match(r".*-(.+)\.dist-info", path.name).group(1) for path in folder.glob("*.dist-info"))


def axolotl(source, recipe):
    sys.path.insert(0, str(source))
    from axolotl.utils.schemas.config import AxolotlInputConfig

    given = yaml.safe_load((recipe / "continue.yaml").read_text())
    names = set()
    for name, field in AxolotlInputConfig.model_fields.items():
        names |= {name, field.alias or name}
    unknown = sorted(given.keys() - names)
    parsed = AxolotlInputConfig.model_validate(given)
    changed = [key for key in given if key in AxolotlInputConfig.model_fields and isinstance(given[key], (int, float, str, bool)) and getattr(parsed, key) != given[key]]
    return {"keys": len(given), "unknown": unknown, "readOtherwise": changed}


def llama_factory(source, recipe):
    os.environ["DISABLE_VERSION_CHECK"] = "1"
    sys.path.insert(0, str(source))
    from llamafactory.hparams import DataArguments, FinetuningArguments, GeneratingArguments, ModelArguments, TrainingArguments

    given = yaml.safe_load((recipe / "continue.yaml").read_text())
    fields = {}
    for kind in [ModelArguments, DataArguments, TrainingArguments, FinetuningArguments, GeneratingArguments]:
        fields.update({field.name: field for field in dataclasses.fields(kind)})
    # Values are not converted: PyYAML reads 1e-8 as text, and the optimizer fails on it.
    numbers = {"int": (int,), "float": (int, float), int: (int,), float: (int, float)}
    wrong = [key for key in given if key in fields and fields[key].type in numbers and not isinstance(given[key], numbers[fields[key].type])]
    return {"keys": len(given), "unknown": sorted(given.keys() - fields.keys()), "readOtherwise": wrong}


def parameters(path, owner, method):
    """Parameter names of a method in a source file; those of a function of that name in any class if the owner is None."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef) and node.name == owner:
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and inner.name == method:
                    return {a.arg for a in [*inner.args.posonlyargs, *inner.args.args, *inner.args.kwonlyargs]}
    raise SystemExit(f"{path}: expected {owner}.{method}, found none")


def unsloth(source, recipe):
    models = source / "unsloth/models"
    signatures = {
        "from_pretrained": parameters(models / "loader.py", "FastLanguageModel", "from_pretrained"),
        "for_training": parameters(models / "llama.py", "FastLlamaModel", "for_training"),
    }
    unknown, keys = [], 0
    for node in ast.walk(ast.parse((recipe / "continue_with_unsloth.py").read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "FastLanguageModel":
            keys += len(node.keywords)
            unknown += [f"{node.func.attr}({word.arg})" for word in node.keywords if word.arg not in signatures[node.func.attr]]
    # The fault that the script works around is still there: full copies are trained only if a flag says so, which is off.
    frozen = "patch_modules_to_save" not in (models / "llama.py").read_text()
    return {"keys": keys, "unknown": unknown, "readOtherwise": [], "loaderFreezesFullCopies": frozen}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tools", type=pathlib.Path, required=True)
    parser.add_argument("--recipes", type=pathlib.Path, required=True)
    parser.add_argument("--only", choices=["axolotl", "llama-factory", "unsloth"], nargs="+", default=["axolotl", "llama-factory", "unsloth"])
    parser.add_argument("--report", type=pathlib.Path)
    flags = parser.parse_args()
    checks = {"axolotl": ("axolotl", axolotl), "llama-factory": ("llamafactory", llama_factory), "unsloth": ("unsloth", unsloth)}
    results = []
    for tool in flags.only:
        package, check = checks[tool]
        folder = flags.tools / package
        results.append({"tool": tool, "version": version(folder), **check(folder, flags.recipes / tool)})
    report = {"schemaVersion": 1, "results": results}
    print(json.dumps(report, indent=2))
    if flags.report:
        flags.report.write_text(json.dumps(report, indent=2) + "\n")
    sys.exit(0 if not any(r["unknown"] or r["readOtherwise"] for r in results) else 1)


main()
