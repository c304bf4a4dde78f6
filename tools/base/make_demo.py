"""Makes the demo's two instruction sets, and says what the base's corpus must leave out because of them.

    python make_demo.py --cache /tmp/heirloom-base --out assets/demo

definitions-{train,eval}.jsonl   word → definition (WordNet); verses-{train,eval}.jsonl   first half of a verse → the rest (KJV).
Rows are {"prompt", "completion"}. No word, synset or chapter is in both train and eval, and all of them are written
to CACHE/reserved.json, which make_corpus.py keeps out of the base's training and held-out corpus. What a completion
says stands nowhere else in the sources (Scripture repeats itself, and so does WordNet).
"""

import argparse
import json
import re
from pathlib import Path

from sources import Verse, read_first_senses, read_synsets, read_verses
from split import by_hash, hash_fraction

DEFINITION_ROWS = {"eval": 80, "train": 800}
VERSE_ROWS = {"eval": 80, "train": 800}
ROWS_PER_CHAPTER = {"eval": 8, "train": 16}  # so that no single chapter is a large share of a set
TAGGED_AT_LEAST = 3  # SemCor tags of the sense: below this, words get rare
DEFINITION_CHARACTERS = (15, 75)  # short rows keep the demo within its three minutes
VERSE_CHARACTERS = (60, 170)
HALF_CHARACTERS = 20  # each half of a verse has at least this many
CLAUSE_END = re.compile(r"[;:,] ")


def definition_rows(wordnet: Path) -> tuple[dict[str, list[dict]], list[str]]:
    synsets = {synset.id: synset for synset in read_synsets(wordnet)}
    everything = "\n".join(f"{s.definition}." for s in synsets.values())
    candidates = {}
    for (lemma, part_of_speech), (synset_id, tagged) in read_first_senses(wordnet).items():
        synset = synsets.get(synset_id)
        if synset is None or tagged < TAGGED_AT_LEAST or not re.fullmatch(r"[a-z]{3,10}", lemma):
            continue
        if DEFINITION_CHARACTERS[0] <= len(synset.definition) <= DEFINITION_CHARACTERS[1] and lemma not in synset.definition:
            candidates.setdefault(lemma, (part_of_speech, synset))
    rows = {"eval": [], "train": []}
    used_lemmas, used_synsets = set(), set()
    for lemma in by_hash("demo-word", candidates):
        part_of_speech, synset = candidates[lemma]
        target = next((name for name in rows if len(rows[name]) < DEFINITION_ROWS[name]), None)
        if target is None:
            break
        if synset.id in used_synsets or used_lemmas & set(synset.lemmas) or everything.count(f"{synset.definition}.") > 1:
            continue
        used_synsets.add(synset.id)
        used_lemmas |= {lemma, *synset.lemmas}
        rows[target].append({
            "prompt": f"Question: What does the {part_of_speech} {lemma} mean? Answer:",
            "completion": f" The {part_of_speech} {lemma} means: {synset.definition}.",
        })
    return rows, sorted(used_synsets)


def halves(verse: Verse) -> tuple[str, str] | None:
    """The verse cut after the clause that ends nearest to its middle."""
    if not VERSE_CHARACTERS[0] <= len(verse.text) <= VERSE_CHARACTERS[1]:
        return None
    ends = [m.start() + 1 for m in CLAUSE_END.finditer(verse.text)]
    ends = [end for end in ends if HALF_CHARACTERS <= end <= len(verse.text) - HALF_CHARACTERS]
    if not ends:
        return None
    cut = min(ends, key=lambda end: abs(end - len(verse.text) / 2))
    return verse.text[:cut], verse.text[cut + 1 :]


def verse_rows(kjv: Path) -> tuple[dict[str, list[dict]], list[str]]:
    verses = read_verses(kjv)
    everything = "\n".join(verse.text for verse in verses)
    chapters = {}
    for verse in verses:
        chapters.setdefault(verse.chapter_id, []).append(verse)
    rows = {"eval": [], "train": []}
    used_chapters = []
    for target in rows:
        for chapter in by_hash("demo-chapter", chapters):
            if len(rows[target]) >= VERSE_ROWS[target]:
                break
            if chapter in used_chapters:
                continue
            used_chapters.append(chapter)
            usable = [v for v in chapters[chapter] if (cut := halves(v)) and all(everything.count(half) == 1 for half in cut)]
            usable.sort(key=lambda v: hash_fraction("demo-verse", f"{v.chapter_id}:{v.number}"))
            wanted = min(ROWS_PER_CHAPTER[target], VERSE_ROWS[target] - len(rows[target]))
            rows[target] += [verse_row(v) for v in usable[:wanted]]
    return rows, used_chapters


def verse_row(verse: Verse) -> dict:
    first, second = halves(verse)
    return {
        "prompt": f"Question: How does this verse of {verse.book} go on? {first} Answer:",
        "completion": f" It goes on: {second}",
    }


def write_rows(path: Path, rows: list[dict]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(f"{path.name}: {len(rows)} rows, {path.stat().st_size} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    definitions, synset_ids = definition_rows(args.cache / "wordnet" / "dict")
    verses, chapter_ids = verse_rows(args.cache / "kjv.txt")
    for name, sets in (("definitions", definitions), ("verses", verses)):
        for part, rows in sets.items():
            write_rows(args.out / f"{name}-{part}.jsonl", rows)
    reserved = {"synsets": synset_ids, "chapters": chapter_ids}
    (args.cache / "reserved.json").write_text(json.dumps(reserved, indent=1) + "\n", encoding="utf-8")
    print(f"reserved: {len(synset_ids)} synsets, {len(chapter_ids)} chapters")


if __name__ == "__main__":
    main()
