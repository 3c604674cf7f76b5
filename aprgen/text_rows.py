"""Texts that try a text Program: its own words in every disguise, and noise. Knows no families and no C.

Every text is reproducible: the random ones come from a fixed seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aprgen.ops.hashed_terms import HashedTerms
from aprgen.ops.suggest import Suggest
from aprgen.ops.term_counts import TermCounts
from aprgen.program import Array, Program
from aprgen.rows import text_array

MAX_PREFIX_BYTES = 240  # that an image completes: small boards must hold the answers; the C has no such limit
SPACES = (" ", "  ", "\t", "\n", "\u00a0", "\u2003", "\u3000", "\u0085")
NOISE = ("", "a", "Z", "0", "_", "-", "é", "ß", "İ", "Σ", "ς", "你", "🙂", "\u0301", "\0", "\ufeff", "x" * 40)


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts as an object array [rows], and why each is there."""

    values: Array
    kinds: tuple[str, ...]


def text_rows(program: Program, count: int, seed: int) -> Texts:
    """Edge texts, and `count` random ones."""
    pairs = [*_edges(program), *_random(program, count, seed)]
    if program.source.element == "prefix":
        pairs = [(kind, _shortened(text)) for kind, text in pairs]
    return Texts(text_array([text for _, text in pairs]), tuple(kind for kind, _ in pairs))


def _shortened(text: str) -> str:
    """At most MAX_PREFIX_BYTES bytes of UTF-8, whole characters."""
    return text.encode()[:MAX_PREFIX_BYTES].decode(errors="ignore")


def known_words(program: Program) -> tuple[str, ...]:
    """Words that the program can tell apart."""
    texts: list[str] = []
    for step in program.steps:
        if isinstance(step.op, TermCounts | HashedTerms | Suggest):
            texts += step.op.samples(200)
    words = sorted({word for text in texts for word in text.split()})
    return tuple(words) or ("word",)


def _edges(program: Program) -> Iterator[tuple[str, str]]:
    words = known_words(program)
    yield "empty", ""
    for space in SPACES:
        yield "white space", space
        yield "white space", f"{space}{words[0]}{space}{words[-1]}{space}"
    for word in words[:400]:
        yield "known word", word
        yield "part of a word", word[:-1]
        yield "longer than a word", f"{word}s"
        yield "other case", word.upper()
        yield "with an accent", word.replace("e", "é").replace("a", "à")
    for mark in NOISE:
        yield "odd character", f"{words[0]}{mark} {mark}{words[-1]}"
    yield "all words", " ".join(words[:400])


def _random(program: Program, count: int, seed: int) -> Iterator[tuple[str, str]]:
    generator = np.random.RandomState(seed)  # numpy freezes its stream
    words = known_words(program)
    for _ in range(count):
        length = int(generator.randint(0, 12))
        parts = []
        for _ in range(length):
            word = words[int(generator.randint(len(words)))]
            if generator.random_sample() < 0.3:
                word = word[: int(generator.randint(0, len(word) + 1))]
            if generator.random_sample() < 0.2:
                word += NOISE[int(generator.randint(len(NOISE)))]
            space = SPACES[0] if generator.random_sample() < 0.8 else SPACES[int(generator.randint(len(SPACES)))]
            parts += [word, space]
        text = "".join(parts)
        yield "random", text.upper() if generator.random_sample() < 0.1 else text
