"""Which text goes where: the base's training corpus, its held-out corpus, or the demo's instruction sets.

Every decision is a hash of an id, so that a rerun, another order or a longer source changes nothing else.
A chapter of the Bible and a synset of WordNet are each the smallest unit: none is split between two places.
"""

import hashlib

HELD_OUT_FRACTION = 0.02


def hash_fraction(salt: str, identity: str) -> float:
    """A number in [0, 1) that depends only on the two texts."""
    digest = hashlib.sha256(f"{salt}\0{identity}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def is_held_out(identity: str) -> bool:
    return hash_fraction("held-out", identity) < HELD_OUT_FRACTION


def by_hash(salt: str, identities) -> list[str]:
    """The identities in an order that is random, but the same on every run."""
    return sorted(set(identities), key=lambda identity: hash_fraction(salt, identity))
