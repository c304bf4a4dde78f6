"""Makes small tokenizers of the kinds that LLaMA-family models have, and the ids that the Rust library gives.

Usage: python make_tokenizers.py [OUT]   (OUT: this folder). Needs only `pip install tokenizers`; see README.md.
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # with threads, the trainer breaks ties in another order each time

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers  # noqa: E402
from tokenizers.models import BPE  # noqa: E402

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
SPECIALS = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

TEXTS = [
    "",
    " ",
    "Hello world",
    "  two leading, two trailing  ",
    "It's we've I'LL don'T \u2019s it\u017fs",
    "def add(a, b):\n    return a + b  # sum\n\n\tif x == 10_000:\n\t\tpass\n",
    "for (let i = 0; i < n; ++i) { total += data[i] ** 2; }",
    "line one\r\nline two\r\n\r\nline four\rold mac",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8\u3068\ud55c\uad6d\uc5b4 \ud14d\uc2a4\ud2b8",
    "emoji \U0001f600\U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f",
    "1 22 333 4444 1234567890 3.14159 1,000,000",
    "\u00be cup, 1\u00bd, 2\u00bc + \u2153 = ?",
    "x\u00b2 + y\u00b3 = z\u2074 \u2081\u2082\u2083 10\u207b\u2075",
    "\u0661\u0662\u0663\u0664 \u06f4\u06f5\u06f6 \u0967\u0968\u0969 \uff11\uff12\uff13",
    "\u2160\u2161\u2162 \u2460\u2461\u2462 \u3007\u4e00 \u0bf0 \U0001d7d8\U0001d7d9",
    "mix 1\u00be2 a1\u0661b\u00b22c",
    "half \u00bd and \u00be, \u2153 of it; area \u00b2 \u2460 \u2160 \u0661 end \u00bd\u00be",
    "nbsp\u00a0here thin\u2009space ideographic\u3000space nel\u0085next bom\ufeffmid zwsp\u200bend",
    "line\u2028sep para\u2029sep vt\x0bff\x0cend \x1c\x1d\x1e\x1f",
    "\u1680ogham \u2000\u2001\u2002\u2003\u202f\u205f",
    "e\u0301cole cafe\u0301 vs caf\u00e9 \u1e9b\u0323 A\u030a \u212b \ufb01ne",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u0645\u0631\u062d\u0628\u0627 \u05e9\u05c1\u05dc\u05d5\u05b9\u05dd",
    "na\u00efve co\u00f6perate \u00dcber stra\u00dfe \u0130stanbul \u01c5 \u02b0",
    "--- *** ___ ... !!! ?! (a) [b] {c} <d> \u00abe\u00bb \u201cf\u201d \u2014 \u2026 $\u20ac\u00a3 `g`",
    "<|im_start|>user\nWhat is \u00be of 8?<|im_end|>\n<|im_start|>assistant\n6<|im_end|>\n",
    "a<s>b</s> c <s> d",
    "tabs\t\there    four spaces \n \n  \n\n\n",
    "https://example.org/path?q=1&r=%20#frag user@example.org",
    "\u0000nul \u0007bell \u007fdel \ud7ff \ue000 \ufffd \uffff \U0010ffff",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    "CamelCase HTTPServer XMLHttpRequest snake_case \u01c4\u01c5\u01c6 \u1f88",
]


def corpus():
    words = "the of and to in is that it was for on are as with his they at be this from have or by one had not but what all were"
    prose = [f"{a} {b} {a}ing {b}ed, the {a}; is {b} {i}?" for i, a in enumerate(words.split()) for b in words.split()[:8]]
    # Symbols after a space share their first UTF-8 byte with fractions and superscripts, so "space + first byte" becomes
    # a merge, and a wrong split before a number character shows in the ids.
    symbols = [f"{a} \u00a3 \u00ab{b}\u00bb \u00a7 \u2014 \u2026 \u20ac \u2191 \u06e9 \u0660" for a, b in zip(TEXTS, prose)]
    return prose + symbols * 2 + TEXTS * 3


def byte_level(pre, normalizer=None, **model):
    t = Tokenizer(BPE(**model))
    if normalizer is not None:
        t.normalizer = normalizer
    t.pre_tokenizer = pre
    t.decoder = decoders.ByteLevel()
    train(t, pre_tokenizers.ByteLevel.alphabet())
    return t


def train(t, alphabet):
    t.train_from_iterator(
        corpus(), trainers.BpeTrainer(vocab_size=700, min_frequency=2, initial_alphabet=alphabet, special_tokens=SPECIALS, show_progress=False)
    )


def with_bos(t):
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return t


def split(pattern):
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )


def pieces(normalizer, pre):
    """SentencePiece converted to BPE, as Llama 2 and the first Mistral have it."""
    t = Tokenizer(BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if normalizer is not None:
        t.normalizer = normalizer
    if pre is not None:
        t.pre_tokenizer = pre
    # Trained on word-sized lines: the pre-tokenizer may leave a text whole, and a merge over whole texts learns nothing useful.
    lines = [w for line in corpus() for w in line.replace("\n", " \n ").split(" ")]
    counts = Counter("".join(lines))
    # A fixed alphabet: the trainer's own limit breaks ties in a random order.
    alphabet = ["\u2581"] + sorted(counts, key=lambda c: (-counts[c], c))[:59]
    byte_tokens = [f"<0x{b:02X}>" for b in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        min_frequency=4,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        special_tokens=SPECIALS + byte_tokens,
        show_progress=False,
    )
    t.train_from_iterator(lines, trainer)
    raw = json.loads(t.to_str())
    # Byte tokens are ordinary entries of the vocabulary, not added tokens.
    raw["added_tokens"] = [a for a in raw["added_tokens"] if a["content"] in SPECIALS]
    t = Tokenizer.from_str(json.dumps(raw))
    t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return with_bos(t)


def words(pre):
    t = Tokenizer(BPE(unk_token="<unk>"))
    t.pre_tokenizer = pre
    train(t, [])
    return t


def build():
    P, N = pre_tokenizers, normalizers
    prepend = N.Sequence([N.Prepend("\u2581"), N.Replace(" ", "\u2581")])
    flagged = byte_level(split(LLAMA3))
    flagged.add_special_tokens([AddedToken("<|tool|>", lstrip=True, rstrip=True, special=True)])
    flagged.add_tokens([AddedToken("caf\u00e9", normalized=True, special=False), AddedToken("emoji", normalized=False, special=False)])
    return {
        "gpt2": byte_level(P.ByteLevel(add_prefix_space=False)),
        "gpt2-prefix-space": byte_level(P.ByteLevel(add_prefix_space=True)),
        "smollm": byte_level(P.Sequence([P.Digits(individual_digits=True), P.ByteLevel(add_prefix_space=False)])),
        "digits-contiguous": byte_level(P.Sequence([P.Digits(individual_digits=False), P.ByteLevel(add_prefix_space=False)])),
        "llama3": with_bos(byte_level(split(LLAMA3), ignore_merges=True)),
        "llama3-added": flagged,
        "qwen2": byte_level(split(QWEN2), normalizer=N.NFC()),
        "tekken": byte_level(split(TEKKEN)),
        "llama2-prepend": pieces(prepend, None),
        "metaspace-first": pieces(None, P.Metaspace(prepend_scheme="first", split=False)),
        "metaspace-always-split": pieces(None, P.Metaspace(prepend_scheme="always", split=True)),
        "metaspace-never-split": pieces(None, P.Metaspace(prepend_scheme="never", split=True)),
        "whitespace": words(P.Whitespace()),
        "whitespace-split": words(P.Sequence([P.WhitespaceSplit(), P.Punctuation()])),
        "punctuation-contiguous": words(P.Sequence([P.CharDelimiterSplit(" "), P.Punctuation("contiguous")])),
        "split-merged-previous": words(P.Split(Regex(r"[\s,]"), "merged_with_previous")),
        "split-merged-next": words(P.Split(" ", "merged_with_next")),
        "split-contiguous": words(P.Split(Regex(r"\p{N}"), "contiguous")),
        "split-inverted": words(P.Split(Regex(r"\w+"), "isolated", invert=True)),
        "split-inverted-removed": words(P.Split(Regex(r"\w+|[^\w\s]+"), "removed", invert=True)),
        "bert": words(P.BertPreTokenizer()),
    }


def main():
    for name, t in build().items():
        (OUT / f"{name}.tokenizer.json").write_text(t.to_str(pretty=False) + "\n", encoding="utf-8")
        cases = []
        for text in TEXTS:
            plain = t.encode(text, add_special_tokens=False).ids
            cases.append(
                {
                    "text": text,
                    "ids": plain,
                    "idsWithSpecial": t.encode(text, add_special_tokens=True).ids,
                    "decoded": t.decode(plain, skip_special_tokens=False),
                    "decodedSkippingSpecial": t.decode(plain, skip_special_tokens=True),
                }
            )
        top = max(t.get_vocab(with_added_tokens=True).values())
        document = {"vocabSize": t.get_vocab_size(with_added_tokens=True), "maxId": top, "cases": cases}
        (OUT / f"{name}.expected.json").write_text(json.dumps(document, ensure_ascii=True) + "\n", encoding="utf-8")
        print(name, document["vocabSize"])


main()
