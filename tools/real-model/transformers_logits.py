"""Logits of token ids by transformers in float32: FOLDER IDS.json OUT.safetensors

IDS.json is a list of lists; OUT has one tensor `i` for each, [tokens, vocabulary].
"""
import json
import sys

import safetensors
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, ids, out = sys.argv[1:]
model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
passages = json.load(open(ids, encoding="utf-8"))
with torch.no_grad():
    rows = {str(i): model(torch.tensor([row["ids"]])).logits[0].contiguous() for i, row in enumerate(passages)}
save_file(rows, out)
tokenizer = AutoTokenizer.from_pretrained(folder)
same = [tokenizer(row["text"], add_special_tokens=False)["input_ids"][: len(row["ids"])] == row["ids"] for row in passages]
print(json.dumps({
    "transformers": transformers.__version__,
    "torch": torch.__version__,
    "safetensors": safetensors.__version__,
    "missingKeys": sorted(info["missing_keys"]),
    "unexpectedKeys": sorted(info["unexpected_keys"]),
    "sameTokens": all(same),
    "tied": model.get_output_embeddings().weight.data_ptr() == model.get_input_embeddings().weight.data_ptr(),
    "chat": tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True),
}))
