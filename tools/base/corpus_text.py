"""The base's corpus as text: how a synset and a chapter are written, and which of them are training text."""

import json
from dataclasses import dataclass
from pathlib import Path

from sources import Synset, Verse, read_synsets, read_verses
from split import is_held_out


@dataclass(frozen=True)
class Chapter:
    id: str
    verses: tuple[Verse, ...]


def entry(synset: Synset) -> str:
    """`harbor, harbour (noun): a sheltered port …`, and each example on a line of its own."""
    head = f"{', '.join(synset.lemmas)} ({synset.part_of_speech}): {synset.definition}."
    return "\n".join([head, *(f'"{example}"' for example in synset.examples)])


def verse_line(verse: Verse, with_book: bool) -> str:
    book = f"{verse.book} " if with_book else ""
    return f"{book}{verse.chapter}:{verse.number} {verse.text}"


def passage(verses) -> str:
    """Verses in a row: the first one names the book, as in `Genesis 1:1 In the beginning …`."""
    return "\n".join(verse_line(verse, index == 0) for index, verse in enumerate(verses))


def unreserved(cache: Path) -> tuple[list[Synset], list[Chapter]]:
    """All synsets and chapters that the demo's instruction sets do not use."""
    reserved = json.loads((cache / "reserved.json").read_text(encoding="utf-8"))
    synset_ids, chapter_ids = set(reserved["synsets"]), set(reserved["chapters"])
    chapters: dict[str, list[Verse]] = {}
    for verse in read_verses(cache / "kjv.txt"):
        chapters.setdefault(verse.chapter_id, []).append(verse)
    synsets = [s for s in read_synsets(cache / "wordnet" / "dict") if s.id not in synset_ids]
    return synsets, [Chapter(key, tuple(verses)) for key, verses in chapters.items() if key not in chapter_ids]


def training_texts(cache: Path):
    """Whole entries and chapters, none of them held out: what the tokenizer may see."""
    synsets, chapters = unreserved(cache)
    yield from (entry(synset) for synset in synsets if not is_held_out(synset.id))
    yield from (passage(chapter.verses) for chapter in chapters if not is_held_out(chapter.id))
