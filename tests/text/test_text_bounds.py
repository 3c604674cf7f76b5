"""The most that texts make of tables, against every way through small ones."""

from __future__ import annotations

import random

from hypothesis import given, settings

from aprgen.families.vectorizer import CountVectorizer
from aprgen.ops.strings import FoldingReader, StringReader, Strings, sorted_strings
from aprgen.ops.term_counts import TermCounts
from aprgen.ops.text_bounds import _growth, halvings_behind, halvings_of, most_alike
from tests.text.strategies import LETTERS, count_vectorizers

MOST = 5


def _tables() -> list[Strings]:
    choices = random.Random(2)
    made = []
    for _ in range(120):
        lengths = [choices.randrange(6) for _ in range(choices.randrange(12))]
        made.append(sorted_strings(bytes(choices.choices(b"ab c", k=length)) for length in lengths))
    return made


def _steps(reader: StringReader, text: bytes) -> list[int]:
    """Halvings for each byte that is read, and for one behind the text."""
    span, found = reader.everything(), []
    for at in range(len(text) + 1):
        found.append(2 * (span[1] - span[0]).bit_length() if span[0] < span[1] else 0)
        span = reader.narrow(span, text[at]) if at < len(text) else span
    return found


def test_halvings() -> None:
    """Reading a string and one byte more is the most that a text takes, as others leave the strings sooner."""
    for strings in _tables():
        reader = StringReader(strings)
        most = max((sum(_steps(reader, reader.string(i))) for i in range(strings.count)), default=0)
        assert most == halvings_of(strings)


def test_halvings_behind_a_space() -> None:
    """The same for the bytes behind a space or behind the byte after it."""
    for strings in _tables():
        reader = StringReader(strings)
        for skipped in (0, 1):
            most = [0] * (MOST + 1)
            for word in map(reader.string, range(strings.count)):
                steps = [*_steps(reader, word), *[0] * (2 * MOST)]
                for at in (place for place, byte in enumerate(word) if byte == 0x20):
                    taken = [sum(steps[at + 1 + skipped :][:n]) for n in range(MOST + 1)]
                    most = [max(pair) for pair in zip(most, taken, strict=True)]
            assert most == halvings_behind(strings, 0x20, skipped, MOST).tolist()


def test_most_alike() -> None:
    """Strings with the same first byte; empty ones have none."""
    assert 0 == most_alike(sorted_strings([]))
    assert 0 == most_alike(sorted_strings([b""]))
    assert 2 == most_alike(sorted_strings([b"", b"a", b"ab", b"b"]))


@settings(max_examples=40, deadline=None)
@given(counter=count_vectorizers())
def test_growth(counter: CountVectorizer) -> None:
    """No character becomes longer than is said."""
    op = next(step.op for step in counter.lower().steps if isinstance(step.op, TermCounts))
    for folding in filter(None, (op.folding, op.stop_folding)):
        growth, reader = _growth(folding), FoldingReader(folding)
        for character in LETTERS:
            assert 2 * len(reader.fold(ord(character))) <= growth * len(character.encode())
