"""check_tokens.py FOLDER FILE.json

Holds the ids that llama.cpp gave for texts (tools/export/tokens-in-llama-cpp.ts) against those of transformers
reading the tokenizer of the folder. Exit status 1 if any text differs.
"""

import json
import sys

import tokenizers
import transformers
from transformers import AutoTokenizer


def main(folder, file):
    with open(file, encoding="utf-8") as f:
        cases = json.load(f)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    differing = []
    for text, ids in zip(cases["texts"], cases["ids"], strict=True):
        ours = tokenizer.encode(text, add_special_tokens=False)
        if ours != ids:
            differing.append((text, ours, ids))
    for text, ours, ids in differing[:5]:
        print(f"{text!r}\n  transformers {ours}\n  llama.cpp    {ids}")
    tokens = sum(len(ids) for ids in cases["ids"])
    print(
        f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}: "
        f"{len(cases['texts'])} texts, {tokens} tokens, {len(differing)} texts differ"
    )
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
