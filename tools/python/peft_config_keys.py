"""Which settings LoraConfig had in which release of PEFT, from the releases' own source.

usage: pip download --no-deps -d WHEELS peft==X for each release, then peft_config_keys.py WHEELS > src/formats/peft-releases.json

Nothing is imported: the dataclasses' annotated fields are read with ast. Pre-releases and patch releases without a change do not show.
"""

import ast
import json
import pathlib
import re
import sys
import zipfile

CLASSES = {"PeftConfigMixin", "PeftConfig", "LoraConfig"}


def version_of(path):
    return tuple(int(part) for part in re.search(r"peft-([0-9.]+)-", path.name).group(1).split("."))


def facts(wheel):
    """Fields of the three dataclasses, and whether unknown keys are only warned of."""
    fields, tolerant = set(), False
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if not re.fullmatch(r"peft/(utils/)?config\.py|peft/tuners/lora(/config)?\.py", name):
                continue
            source = archive.read(name).decode()
            tolerant = tolerant or "Unexpected keyword arguments" in source
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.ClassDef) and node.name in CLASSES:
                    for line in node.body:
                        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                            fields.add(line.target.id)
                        # `self.peft_type = …` aside, dict fields that to_dict adds:
    return fields, tolerant


def main():
    wheels = sorted(pathlib.Path(sys.argv[1]).glob("peft-*.whl"), key=version_of)
    since, until, tolerant_since, seen = {}, {}, None, set()
    text = {wheel: ".".join(map(str, version_of(wheel))) for wheel in wheels}
    for wheel in wheels:
        fields, tolerant = facts(wheel)
        if tolerant and tolerant_since is None:
            tolerant_since = text[wheel]
        for key in fields - seen:
            since.setdefault(key, text[wheel])
            until.pop(key, None)
        for key in seen - fields:
            until[key] = text[wheel]
        seen = fields
    print(json.dumps({"newest": text[wheels[-1]], "tolerantSince": tolerant_since, "keys": {
        key: {"since": since[key], **({"goneIn": until[key]} if key in until else {})} for key in sorted(since)
    }}, indent=2))


main()
