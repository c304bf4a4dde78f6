"""Token ids and labels that TRL's SFTTrainer makes of data files, one JSON object a row.

    python trl_equality.py SETS.json OUT.jsonl

SETS.json lists {name, path, kind, tokenizer, model, template, assistantOnly, completionOnly, limit}; `kind` says how the file's rows
become TRL's: pairs, prompt-messages, alpaca, parts, sharegpt. The conversions are written here on purpose, apart from
those in TypeScript that they are compared with.
"""

import json
import sys

import trl
from datasets import Dataset
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer


def read(path, limit):
    with open(path, encoding="utf-8") as file:
        rows = json.load(file) if path.endswith(".json") else [json.loads(line) for line in file if line.strip()]
    return rows[:limit]


def pairs(row):
    return {"prompt": row["question"], "completion": row["answer"]}


def prompt_messages(row):
    return {"prompt": [{"role": "user", "content": row["question"]}], "completion": [{"role": "assistant", "content": row["answer"]}]}


def alpaca(row):
    asked = row["instruction"] + ("\n" + row["input"] if row["input"] else "")
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": row["output"]}]}


def parts(row):
    return {"messages": [{"role": m["role"], "content": "".join(p["value"] for p in m["content"])} for m in row["messages"]]}


ROLES = {"human": "user", "gpt": "assistant", "observation": "tool"}


def sharegpt(row):
    messages = []
    for turn in row["conversations"]:
        if turn["from"] == "function_call":
            call = json.loads(turn["value"])
            messages.append({"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": call}]})
        else:
            messages.append({"role": ROLES[turn["from"]], "content": turn["value"]})
    tools = [{"type": "function", "function": tool} for tool in json.loads(row["tools"])]
    return {"messages": messages, **({"tools": tools} if tools else {})}


KINDS = {"pairs": pairs, "prompt-messages": prompt_messages, "alpaca": alpaca, "parts": parts, "sharegpt": sharegpt}


def encode(spec):
    tokenizer = AutoTokenizer.from_pretrained(spec["tokenizer"])
    with open(spec["template"], encoding="utf-8") as file:
        tokenizer.chat_template = file.read()
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    # Nothing is computed with it; the trainer wants one.
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(spec["model"]))
    rows = [KINDS[spec["kind"]](row) for row in read(spec["path"], spec["limit"])]
    config = trl.SFTConfig(
        output_dir="/tmp/trl-equality", report_to="none", max_length=None, packing=False, use_cpu=True, bf16=False,
        assistant_only_loss=spec["assistantOnly"], completion_only_loss=spec["completionOnly"], dataset_num_proc=None,
    )
    # Rows of tools differ in their keys; Arrow would fill them up with nulls, so each is a set of its own.
    groups = [[row] for row in rows] if spec["kind"] == "sharegpt" else [rows]
    for group in groups:
        trainer = trl.SFTTrainer(model=model, args=config, train_dataset=Dataset.from_list(group), processing_class=tokenizer)
        for example in trainer.train_dataset:
            batch = trainer.data_collator([example])
            yield {"ids": batch["input_ids"][0].tolist(), "labels": batch["labels"][0].tolist()}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        specs = json.load(file)
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        for spec in specs:
            for row, encoded in enumerate(encode(spec)):
                print(json.dumps({"set": spec["name"], "row": row, **encoded}), file=out)


main()
