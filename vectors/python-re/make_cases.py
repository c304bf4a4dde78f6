"""Writes cases.json: what Python's re.fullmatch and re.match say for patterns and names.

Run with Python 3.11 or later (atomic groups and possessive quantifiers): python make_cases.py > cases.json
Hand-written cases first, then random ones over a small grammar (seed below).
"""
import json
import random
import re
import sys
import warnings

warnings.simplefilter("ignore")
NAMES = ["model.embed_tokens", "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.v_proj", "model.layers.10.mlp.down_proj",
         "model.layers.1.mlp.gate_proj", "model.norm", "lm_head", "", "a", "ab", "abab", "aab", "a\n", "\n", "A.B", "x]y", "x^y", "a{2}", "a{,}", "é1", "٣", "a b", "\x1c"]
PATTERNS = [
    r".*layers\.[01]\.self_attn\.(q|v)_proj", r".*\.(?P<name>q_proj|v_proj)", r"\Amodel\..*_proj\Z", r"model.*$", r"lm_head$", r"a$", r"(?m)a$", r"(?s).", r".",
    r"(?i)MODEL\.NORM", r"(?i:MODEL)\.norm", r"(?-i:MODEL)\.norm", r"(?x) model \. norm # the last one", r"(?x)a\ b", r"[]x]+\]y", r"x[]]y", r"x[^]]y", r"[\^x]+y", r"x[\]^]y",
    r"a{2}b", r"a{,2}b", r"a{,}", r"a\{,}", r"a{2", r"a{2}", r"a\{2\}", r"a{x}", r"(ab){2}", r"(?:a|ab)(?:b|bab)", r"(?>a|ab)b", r"(?>a*)ab", r"a*+b", r"a++b", r"a?+ab", r"a{1,2}+b", r"(?:ab){1,}+",
    r"model\.(?!norm).*", r"model\.(?=norm).*", r".*(?<=q_)proj", r".*(?<!q_)proj", r".*(?<=ab|bb)", r"\w+", r"(?a)\w+", r"\d", r"(?a)\d", r"\w\d", r"\s", r"(?a)\s", r"a\sb", r"\S+", r"\D+", r"\W",
    r"^(?!.*(?:lm_head|norm)).*proj$", r".*\bproj\b", r".*\b\w+_proj", r"\Bx", r"model\.layers\.(?:[0-9]|1[0-9])\.mlp\.\w+", r"a??b", r"a*?b", r"(?:a*)*b", r"(a|a)*b", r"(?:a+)+b", r"(?#note)lm_head", r"\x6cm_head", r"\u006cm_head", r"\154m_head", r"[\154]m_head",
    r"\.", r"\-a", r"[a-]+", r"[-a]+", r"[a\-b]+", r"[a-b.]+", r"(?:)", r"()", r"", r"|a", r"a|", r"(?i)[a-z]+\.B", r"\101\.B", r"\0", r"[\b]", r"\Z", r"$", r"^", r"^^a", r"(?:^a)+", r"(?=a)*a", r"a(?=)",
    # invalid in Python
    r"*a", r"a**", r"a{2}{3}", r"(a", r"a)", r"[a", r"[b-a]", r"a{3,2}", r"\q", r"(?P<1>a)", r"a(?i)b", r"^*", r"\x6", r"(?<=a+)b", r"[\q]", r"a\z", "a\\", r"a*+*", r"(?y)a", r"(?Z:a)",
]
REFUSED = [r"(a)\1", r"(?P<x>a)(?P=x)", r"(a)?(?(1)b|c)", r"(?L)a", r"\N{DIGIT ONE}"]


def random_pattern(rng, depth=0):
    kind = rng.random()
    if depth > 3 or kind < 0.35:
        return rng.choice(["a", "b", ".", "[ab]", "[^a]", r"\w", r"\.", "^", "$", r"\b", "_"])
    if kind < 0.6:
        return random_pattern(rng, depth + 1) + random_pattern(rng, depth + 1)
    if kind < 0.72:
        return "(?:" + random_pattern(rng, depth + 1) + "|" + random_pattern(rng, depth + 1) + ")"
    if kind < 0.92:
        group = rng.choice(["(?:%s)", "(%s)", "(?>%s)"]) % random_pattern(rng, depth + 1)
        return group + rng.choice(["*", "+", "?", "{2}", "{1,2}", "{,1}"]) + rng.choice(["", "", "?", "+"])
    return rng.choice(["(?=%s)", "(?!%s)"]) % random_pattern(rng, depth + 1)


def result(pattern, names):
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return None
    return {"fullmatch": [bool(compiled.fullmatch(n)) for n in names], "match": [bool(compiled.match(n)) for n in names]}


rng = random.Random(20261)
short = ["", "a", "b", "ab", "ba", "aab", "a.b", "_a", "abba", "a\n"]
cases = [{"pattern": p, "names": NAMES, "expected": result(p, NAMES)} for p in PATTERNS]
cases += [{"pattern": p, "names": short, "expected": result(p, short)} for p in (random_pattern(rng) for _ in range(400))]
text = ",\n".join(json.dumps(c) for c in cases)
sys.stdout.write('{"refused": ' + json.dumps(REFUSED) + ',\n"cases": [\n' + text + "\n]}\n")
