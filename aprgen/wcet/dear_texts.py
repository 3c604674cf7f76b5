"""Texts that try a bound: what takes a text model long, from the model's own strings and from what UTF-8 has worst.

Every text is reproducible and as long as is asked for. Knows the shapes of dear texts; runs and costs nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np

from aprgen.ops.suggest import Suggest
from aprgen.program import Array, Program
from aprgen.rows import SEED
from aprgen.text_rows import known_words, text_rows

# First bytes without others, others without a first one, both cut short, what is longer than it may be; characters of
# every length, with and without another case, ignorable beside a sigma; spaces of every length.
_PARTS = (
    b"\xf0", b"\xe0", b"\xc3", b"\x80", b"\xff", b"\xf0\x90\x80", b"\xe2\x82", b"\xe0\x80\x80", b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80", b"a", b"A", b"\0", b"_", b"0",
    *(one.encode() for one in "éÉßİΣς\u0301\u00adȺ中\U0001f600\U00010400"),
    b" ", b"\t", *(one.encode() for one in "\u0085\u00a0\u2003\u3000"),
)  # fmt: skip
MOST_WORDS = 60
MOST_BYTES = 1 << 22  # of random texts


def dear_texts(program: Program, count: int, n_bytes: int) -> Array:
    """Texts of at most so many bytes, as an object array of bytes; `count` of them at random."""
    found = dict.fromkeys(text[:n_bytes] for text in _every(program, count, n_bytes))
    made = np.empty(len(found), object)
    made[:] = list(found)
    return made


def _every(program: Program, count: int, n_bytes: int) -> Iterator[bytes]:
    words = [word.encode() for word in known_words(program)]
    words = sorted(words[:: max(1, len(words) // MOST_WORDS)], key=len)
    for part in (*_PARTS, *words, *(word[:1] for word in words), *(word.upper() for word in words)):
        for space in (b"", b" ", "\u2003".encode()):
            yield _filled(part + space, n_bytes)
    yield _filled(b" ".join(words), n_bytes)
    for step in program.steps:
        if isinstance(step.op, Suggest):
            for prefix in step.op.samples(4 * MOST_WORDS):
                yield prefix.encode()
                for space in (b" ", "\u2003".encode(), b"\x80"):  # the same words, far apart
                    first, gap, rest = prefix.encode().partition(b" ")
                    yield first + space * ((n_bytes - len(first) - len(rest)) // len(space)) + gap + rest
    for text in text_rows(program, count, SEED).values:
        yield str(text).encode()
    choices = random.Random(SEED)  # the same in every version of Python
    parts = (*_PARTS, *words)
    for _ in range(min(count, MOST_BYTES // (n_bytes + 1))):
        some = [parts[int(choices.random() * len(parts))] for _ in range(1 + int(choices.random() * 4))]
        yield _filled(b"".join(some), n_bytes)
        yield b"".join(parts[int(choices.random() * len(parts))] for _ in range(n_bytes))


def _filled(pattern: bytes, n_bytes: int) -> bytes:
    return (pattern * (n_bytes // max(1, len(pattern)) + 1))[:n_bytes]
