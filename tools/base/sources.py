"""Reads the two sources of the bundled base: the verses of the King James Bible and WordNet's synsets.

Knows their file formats and what is cleaned away; knows nothing of tokens or splits.
"""

import re
from dataclasses import dataclass
from pathlib import Path

# Debian's `bible -f` abbreviates the books; the corpus has their names in full.
BOOKS = {
    "Ge": "Genesis", "Exo": "Exodus", "Lev": "Leviticus", "Num": "Numbers", "Deu": "Deuteronomy", "Josh": "Joshua",
    "Jdgs": "Judges", "Ruth": "Ruth", "1Sm": "1 Samuel", "2Sm": "2 Samuel", "1Ki": "1 Kings", "2Ki": "2 Kings",
    "1Chr": "1 Chronicles", "2Chr": "2 Chronicles", "Ezra": "Ezra", "Neh": "Nehemiah", "Est": "Esther", "Job": "Job",
    "Psa": "Psalms", "Prv": "Proverbs", "Eccl": "Ecclesiastes", "SSol": "Song of Solomon", "Isa": "Isaiah",
    "Jer": "Jeremiah", "Lam": "Lamentations", "Eze": "Ezekiel", "Dan": "Daniel", "Hos": "Hosea", "Joel": "Joel",
    "Amos": "Amos", "Obad": "Obadiah", "Jonah": "Jonah", "Mic": "Micah", "Nahum": "Nahum", "Hab": "Habakkuk",
    "Zep": "Zephaniah", "Hag": "Haggai", "Zec": "Zechariah", "Mal": "Malachi", "Mat": "Matthew", "Mark": "Mark",
    "Luke": "Luke", "John": "John", "Acts": "Acts", "Rom": "Romans", "1Cor": "1 Corinthians", "2Cor": "2 Corinthians",
    "Gal": "Galatians", "Eph": "Ephesians", "Phi": "Philippians", "Col": "Colossians", "1Th": "1 Thessalonians",
    "2Th": "2 Thessalonians", "1Tim": "1 Timothy", "2Tim": "2 Timothy", "Titus": "Titus", "Phmn": "Philemon",
    "Heb": "Hebrews", "Jas": "James", "1Pet": "1 Peter", "2Pet": "2 Peter", "1Jn": "1 John", "2Jn": "2 John",
    "3Jn": "3 John", "Jude": "Jude", "Rev": "Revelation",
}
VERSE_COUNT = 31_102  # the King James Bible has exactly these; a bad download must not pass unnoticed

PARTS_OF_SPEECH = {"noun": "noun", "verb": "verb", "adj": "adjective", "adv": "adverb"}
EXAMPLES_KEPT = 2  # the third and later examples add length, not variety

SYNSET_LINE = re.compile(r"^(\d{8}) (\d\d) [nvasr] ([0-9a-f]{2}) (.*?) \| (.*)$")
EXAMPLE = re.compile(r'; "([^"]+)"')


@dataclass(frozen=True)
class Verse:
    book: str
    chapter: int
    number: int
    text: str

    @property
    def chapter_id(self) -> str:
        return f"kjv:{self.book}:{self.chapter}"


@dataclass(frozen=True)
class Synset:
    id: str
    part_of_speech: str
    lemmas: tuple[str, ...]
    definition: str
    examples: tuple[str, ...]


def read_verses(path: Path) -> list[Verse]:
    verses = []
    for line in path.read_text(encoding="ascii").splitlines():
        match = re.match(r"^(\w+?)(\d+):(\d+) (.+)$", line)
        if match is None or match[1] not in BOOKS:
            raise SystemExit(f"{path}: not a verse: {line[:60]!r}")
        verses.append(Verse(BOOKS[match[1]], int(match[2]), int(match[3]), " ".join(match[4].split())))
    if len(verses) != VERSE_COUNT:
        raise SystemExit(f"{path}: expected {VERSE_COUNT} verses, found {len(verses)}")
    return verses


def read_synsets(dictionary: Path) -> list[Synset]:
    """Synsets of ordinary words. Left out: proper names, Latin names, lemmas with digits, and synsets that only compounds
    ("silver oak") name: a third of all nouns, mostly taxonomy, of which a model this small learns nothing."""
    synsets = []
    seen_definitions = set()
    for file, part_of_speech in PARTS_OF_SPEECH.items():
        for line in (dictionary / f"data.{file}").read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):  # the licence, at the head of each file
                continue
            synset = _parse_synset(line, part_of_speech)
            key = synset.definition.lower()
            has_word = any(" " not in lemma for lemma in synset.lemmas)
            if not has_word or key in seen_definitions or not _is_clean(synset.definition):
                continue
            seen_definitions.add(key)
            synsets.append(synset)
    return synsets


def _is_clean(definition: str) -> bool:
    """A couple of dozen glosses quote inside the definition; cutting them would leave half a sentence."""
    return definition.isascii() and '"' not in definition


def _parse_synset(line: str, part_of_speech: str) -> Synset:
    match = SYNSET_LINE.match(line)
    if match is None:
        raise SystemExit(f"WordNet: not a synset: {line[:60]!r}")
    words = match[4].split(" ")[: 2 * int(match[3], 16) : 2]
    lemmas = [re.sub(r"\((a|p|ip)\)$", "", word).replace("_", " ") for word in words]
    common = tuple(lemma for lemma in lemmas if re.fullmatch(r"[a-z][a-z' -]*", lemma))
    gloss = " ".join(match[5].split())
    definition = re.split(r'; "|; \'', gloss)[0].strip(" ;:")
    examples = tuple(EXAMPLE.findall(gloss)[:EXAMPLES_KEPT])
    return Synset(f"wn:{part_of_speech}:{match[1]}", part_of_speech, common, definition, examples)


def read_first_senses(dictionary: Path) -> dict[tuple[str, str], tuple[str, int]]:
    """(lemma, part of speech) → (synset id of its first sense, how often that sense was tagged in SemCor)."""
    kinds = {"1": "noun", "2": "verb", "3": "adjective", "4": "adverb", "5": "adjective"}
    senses = {}
    for line in (dictionary / "index.sense").read_text(encoding="utf-8").splitlines():
        key, offset, number, tagged = line.split()
        lemma, rest = key.split("%")
        if number == "1":
            part_of_speech = kinds[rest[0]]
            senses[lemma, part_of_speech] = (f"wn:{part_of_speech}:{offset}", int(tagged))
    return senses
