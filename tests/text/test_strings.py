"""Folding tables cut down to a set of strings, and string tables, against the plain rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprgen.ops.strings import (
    MAX_RUN,
    MISSING,
    FoldingReader,
    StringReader,
    cut_folding,
    lower_then_strip,
    sorted_strings,
    strip_then_lower,
)
from aprgen.unicode_case import ACCENTS, LOWER, kind, lowercase, strip_accents
from tests.text.strategies import LETTERS

EVERY_CHANGE = sorted({*LOWER, *ACCENTS, 0x130, *map(ord, LETTERS)})
FOLDINGS = {
    "lower": (lower_then_strip(True, {}), lowercase),
    "lower_strip": (lower_then_strip(True, ACCENTS), lambda text: strip_accents(lowercase(text))),
    "strip_lower": (strip_then_lower(ACCENTS), lambda text: lowercase(strip_accents(text))),
}


@pytest.mark.parametrize("name", FOLDINGS)
@given(alphabet=st.sets(st.sampled_from(sorted({*LETTERS, *map(chr, LOWER.values()), "i", "\u0307"})), max_size=40))
def test_a_cut_folding_makes_every_character_of_its_strings(name: str, alphabet: set[str]) -> None:
    """What can become characters of the strings becomes them; nothing else does."""
    codes, rule = FOLDINGS[name]
    reachable = {char for char in alphabet if ord(char) not in codes and char != "\u0130"}
    reader = FoldingReader(cut_folding(codes, True, reachable))

    for code in EVERY_CHANGE:
        expected, found = rule(chr(code)), reader.fold(code).decode()
        assert (expected if reachable.issuperset(expected) else None) == (
            found if reachable.issuperset(found) else None
        )


def test_foldings_of_ascii_are_small() -> None:
    """Lowercase ASCII words need the capitals and the Kelvin sign, in 16 bytes; without a k, 8."""
    codes = lower_then_strip(True, {})

    assert cut_folding(codes, True, ["bike"]).n_bytes == 16
    assert cut_folding(codes, True, ["fast"]).n_bytes == 8
    assert cut_folding(codes, True, ["42"]).n_bytes == 0


def test_kinds_are_there_only_for_sigmas() -> None:
    """Neighbours of a sigma matter only when the strings tell a final one from others."""
    codes = lower_then_strip(True, {})
    greek = cut_folding(codes, True, ["λόγος's"])
    reader = FoldingReader(greek)

    assert cut_folding(codes, True, ["λόγο"]).kinds is None
    assert [kind(ord(char)) for char in "ΛΌΓΟΣσς'S \u00a0"] == [reader.kind(ord(char)) for char in "ΛΌΓΟΣσς'S \u00a0"]


def test_runs_fit_their_bits() -> None:
    """No range of mapped code points is longer than nine bits can say."""
    every = "".join(map(chr, LOWER.values()))
    table = cut_folding(lower_then_strip(True, {}), True, [every]).ranges

    assert table is not None
    assert int((table.data[:, 0] >> 21 & 0x1FF).max()) < MAX_RUN
    assert len(table.data) < 200


@given(st.sets(st.binary(min_size=1, max_size=4), min_size=1, max_size=40), st.binary(max_size=4))
def test_narrowing_finds_exactly_the_strings(strings: set[bytes], wanted: bytes) -> None:
    """A span holds the strings that start with its bytes; complete() the one that is them."""
    reader = StringReader(sorted_strings(strings))
    first, last, _ = span = reader.find(reader.everything(), wanted)

    assert sorted(s for s in strings if s.startswith(wanted)) == [reader.string(i) for i in range(first, last)]
    assert (wanted in strings) == (reader.complete(span) != MISSING)


def test_long_texts_have_wide_offsets() -> None:
    """65,535 bytes of strings are the most that 16-bit offsets reach."""
    short = sorted_strings([bytes([65 + i]) * 13107 for i in range(5)])
    long = sorted_strings([*(bytes([65 + i]) * 13107 for i in range(5)), b"x"])

    assert (short.offset16 is not None, short.offset32) == (True, None)
    assert (long.offset16, long.offset32 is not None) == (None, True)
    assert StringReader(long).string(5) == b"x"
