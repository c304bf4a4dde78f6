"""Makes the base's corpus: documents that fit a 256-token row, as {"text"} JSONL for the trainer, and as token ids.

    python make_corpus.py --cache /tmp/heirloom-base --tokenizer assets/base/tokenizer.json

Writes into CACHE: corpus-train.jsonl, corpus-heldout.jsonl, the same as corpus-*.bin (uint16, little-endian; each
document is <|bos|> … <|eos|>), and corpus.json with the counts.
"""

import argparse
import array
import json
from pathlib import Path

from corpus_text import Chapter, entry, passage, unreserved
from split import by_hash, is_held_out
from tokenizers import Tokenizer

DOCUMENT_TOKENS = 250  # with <|bos|> and <|eos|>; rows of 256 then waste little


def chapter_documents(chapter: Chapter, token_count) -> list[str]:
    """Runs of whole verses, each as long as fits."""
    documents, run = [], []
    for verse in chapter.verses:
        if run and token_count(passage([*run, verse])) > DOCUMENT_TOKENS:
            documents.append(passage(run))
            run = []
        run.append(verse)
    documents.append(passage(run))
    return documents


def split_documents(cache: Path, token_count) -> dict[str, list[tuple[str, str]]]:
    """{"train", "heldout"} → (document id, text), in random but fixed order."""
    synsets, chapters = unreserved(cache)
    parts: dict[str, dict[str, str]] = {"train": {}, "heldout": {}}
    for synset in synsets:
        parts["heldout" if is_held_out(synset.id) else "train"][synset.id] = entry(synset)
    for chapter in chapters:
        part = parts["heldout" if is_held_out(chapter.id) else "train"]
        for number, text in enumerate(chapter_documents(chapter, token_count)):
            part[f"{chapter.id}#{number}"] = text
    return {name: [(key, part[key]) for key in by_hash("order", part)] for name, part in parts.items()}


def write_part(cache: Path, name: str, documents, encode) -> dict:
    ids = array.array("H")
    tokens = {"kjv": 0, "wordnet": 0}
    kept = dropped = 0
    with (cache / f"corpus-{name}.jsonl").open("w", encoding="utf-8") as file:
        for key, text in documents:
            row = encode(text)
            if len(row) > DOCUMENT_TOKENS:
                dropped += 1
                continue
            kept += 1
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
            ids.extend(row)
            tokens["kjv" if key.startswith("kjv:") else "wordnet"] += len(row)
    (cache / f"corpus-{name}.bin").write_bytes(ids.tobytes())
    return {"documents": kept, "droppedAsTooLong": dropped, "tokens": sum(tokens.values()), "tokensBySource": tokens}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    args = parser.parse_args()

    tokenizer = Tokenizer.from_file(str(args.tokenizer))
    eos = tokenizer.token_to_id("<|eos|>")

    def encode(text: str) -> list[int]:
        return [*tokenizer.encode(text).ids, eos]

    parts = split_documents(args.cache, lambda text: len(encode(text)))
    counts = {name: write_part(args.cache, name, documents, encode) for name, documents in parts.items()}
    (args.cache / "corpus.json").write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(counts, indent=2))


if __name__ == "__main__":
    main()
