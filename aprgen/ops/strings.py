"""Sorted strings in constant memory, and the text that is folded before it is compared with them.

The evaluation is that of runtime_c/apr_text.h, function by function; knows no model.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from aprgen.program import Table
from aprgen.unicode_case import (
    CAPITAL_SIGMA,
    DOTTED_I,
    DOTTED_I_LOWER,
    FINAL_SIGMA,
    LOWER,
    SMALL_SIGMA,
    WHITE_SPACE,
    kind,
)

T = TypeVar("T")

NONE = 0xFFFF  # no word of a context: those are numbered below it
MISSING = 0xFFFFFFFF  # no such string
Span = tuple[int, int, int]  # strings first to last - 1 share their first `depth` bytes
NO_STRINGS: Span = (0, 0, 0)


class Choice:
    """Reproducible choices; random() of a seeded Random is the same in every version of Python."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def below(self, n: int) -> int:
        return int(self._random.random() * n)

    def of(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]


def smallest_unsigned(values: Iterable[int]) -> type[np.generic]:
    largest = max(values, default=0)
    return np.uint8 if largest < 1 << 8 else np.uint16 if largest < 1 << 16 else np.uint32


@dataclass(frozen=True, eq=False)
class Strings:
    """Strings in byte order, of which one is found by narrowing a span byte by byte, so that none is ever copied; or in
    the order of a perfect hash's slots."""

    text: Table  # u8, all strings, one after the other
    offset16: Table | None  # u16 [count + 1]: where each begins, and the end
    offset32: Table | None  # u32 instead, when the text is longer than 65,535 bytes
    count: int

    @property
    def n_bytes(self) -> int:
        return self.text.n_bytes + self.offsets.n_bytes

    @property
    def offsets(self) -> Table:
        """The one that is there."""
        offset = self.offset16 or self.offset32
        assert offset is not None
        return offset


def sorted_strings(strings: Iterable[bytes]) -> Strings:
    """A table of distinct strings."""
    return strings_in_order(sorted(set(strings)))


def strings_in_order(ordered: Sequence[bytes]) -> Strings:
    """A table of strings as they come, for those who find them in another way than by narrowing."""
    text = b"".join(ordered) or b"\0"  # C has no empty arrays
    offsets = np.cumsum([0, *map(len, ordered or [b""])])
    wide = int(offsets[-1]) > 0xFFFF
    return Strings(
        Table(np.frombuffer(text, np.uint8)),
        None if wide else Table(offsets, np.uint16),
        Table(offsets, np.uint32) if wide else None,
        len(ordered),
    )


class StringReader:
    """Reads a Strings table as the C does."""

    def __init__(self, strings: Strings) -> None:
        offset = strings.offset16 or strings.offset32
        assert offset is not None
        self._text = strings.text.data.tobytes()
        self._offset: list[int] = offset.data.tolist()
        self.count = strings.count

    def everything(self) -> Span:
        return (0, self.count, 0)

    def string(self, index: int) -> bytes:
        return self._text[self._offset[index] : self._offset[index + 1]]

    def _byte(self, index: int, depth: int) -> int:
        """1 + the byte at a depth; 0 behind the end, so that a string sorts before its extensions."""
        at = self._offset[index] + depth
        return 1 + self._text[at] if at < self._offset[index + 1] else 0

    def _bound(self, first: int, last: int, depth: int, wanted: int) -> int:
        """The first index in [first, last) whose byte is at least `wanted`."""
        while first < last:
            middle = first + (last - first) // 2
            if self._byte(middle, depth) < wanted:
                first = middle + 1
            else:
                last = middle
        return first

    def narrow(self, span: Span, byte: int) -> Span:
        """The strings of a span that have this byte next."""
        first, last, depth = span
        low = self._bound(first, last, depth, byte + 1)
        return (low, self._bound(low, last, depth, byte + 2), depth + 1)

    def complete(self, span: Span) -> int:
        """The string that ends at the depth of the span; MISSING when there is none."""
        first, last, depth = span
        return first if first < last and self._offset[first + 1] - self._offset[first] == depth else MISSING

    def find(self, span: Span, bytes_: bytes) -> Span:
        for byte in bytes_:
            span = self.narrow(span, byte)
        return span


@dataclass(frozen=True, eq=False)
class Folding:
    """What happens to each code point of a token before it is compared; cut down to one set of strings.

    ranges: two words for each range of code points that change. Word 0: the first (bits 0 to 20), how many follow
    (bits 21 to 29), step (bits 30 and 31: 0 all become one, 1 all move by one distance, 2 every second one does).
    Word 1: what the first becomes.
    kinds: two words for each range of code points that count beside a capital sigma. Word 0: the first, and 1 for
    ignorable or 2 for cased in bits 30 and 31. Word 1: the last. Absent: a capital sigma is nothing special.
    """

    ranges: Table | None  # u32 [n_ranges, 2]
    n_ranges: int
    kinds: Table | None  # u32 [n_kinds, 2]
    n_kinds: int
    dotted_i: bool  # U+0130 becomes two code points

    @property
    def n_bytes(self) -> int:
        return sum(table.n_bytes for table in (self.ranges, self.kinds) if table is not None)


IDENTITY = Folding(None, 0, None, 0, False)
MAX_RUN = 512


def lower_then_strip(lowercase: bool, accents: Mapping[int, int]) -> dict[int, int]:
    """Every code point that changes when text is lowercased, if at all, and its accents are then taken off."""
    lowered = {code: accents.get(lower, lower) for code, lower in LOWER.items()} if lowercase else {}
    return {**accents, **lowered}


def strip_then_lower(accents: Mapping[int, int]) -> dict[int, int]:
    """The other order, which differs: U+0178 becomes y above, but U+00FF here."""
    return {**LOWER, **{code: LOWER.get(plain, plain) for code, plain in accents.items()}}


def survives(string: str, codes: Mapping[int, int], lowercase: bool) -> bool:
    """Whether folding leaves a string alone. No folded token equals one for which it does not."""
    special = {CAPITAL_SIGMA, DOTTED_I} if lowercase else set()
    return not any(ord(char) in codes or ord(char) in special for char in string)


def cut_folding(codes: Mapping[int, int], lowercase: bool, strings: Iterable[str]) -> Folding:
    """The part of a folding that can make characters of the given strings.

    A token with any other character equals none of them, whatever that character would have become.
    """
    alphabet = {ord(char) for string in strings for char in string}
    runs = [run for run in _runs(codes) if not alphabet.isdisjoint(_targets(run))]
    words = [(first | (last - first) << 21 | step << 30, to) for first, last, step, to in runs]
    dotted_i = lowercase and alphabet.issuperset(DOTTED_I_LOWER)
    kinds: list[tuple[int, int]] = []
    if lowercase and not alphabet.isdisjoint((FINAL_SIGMA, SMALL_SIGMA)):
        near = alphabet | {code for code, target in codes.items() if target in alphabet} | WHITE_SPACE | {CAPITAL_SIGMA}
        kinds = _kind_ranges(near | ({DOTTED_I} if dotted_i else set()))
    if not words and not kinds and not dotted_i:
        return IDENTITY
    return Folding(
        Table(np.array(words, np.uint32)) if words else None,
        len(words),
        Table(np.array(kinds, np.uint32)) if kinds else None,
        len(kinds),
        dotted_i,
    )


Run = tuple[int, int, int, int]  # first, last, step, what the first becomes


def _runs(codes: Mapping[int, int]) -> list[Run]:
    """The mapping as few ranges that do not overlap."""
    runs: list[Run] = []
    for code, target in sorted(codes.items()):
        if runs:
            first, last, step, to = runs[-1]
            gap, fresh, room = code - last, first == last, code - first < MAX_RUN
            moves = target - code == to - first
            if room and gap == 1 and target == to and (fresh or step == 0):
                runs[-1] = (first, code, 0, to)
                continue
            if room and gap in (1, 2) and moves and (fresh or step == gap):
                runs[-1] = (first, code, gap, to)
                continue
        runs.append((code, code, 0, target))
    return runs


def _targets(run: Run) -> set[int]:
    first, last, step, to = run
    return {to} if step == 0 else set(range(to, to + last - first + 1, step))


def _kind_ranges(near: Iterable[int]) -> list[tuple[int, int]]:
    """Ranges by kind over the code points that matter; those between them may fall either way."""
    ranges: list[list[int]] = []  # kind, first, last
    for code in sorted(near):
        if ranges and ranges[-1][0] == kind(code):
            ranges[-1][2] = code
        else:
            ranges.append([kind(code), code, code])
    return [(first | what << 30, last) for what, first, last in ranges if what != 0]


class FoldingReader:
    """Reads a Folding as the C does."""

    def __init__(self, folding: Folding) -> None:
        self._ranges: list[list[int]] = [] if folding.ranges is None else folding.ranges.data.tolist()
        self._kinds: list[list[int]] = [] if folding.kinds is None else folding.kinds.data.tolist()
        self._dotted_i = folding.dotted_i
        self.sees_sigma = bool(self._kinds)

    def kind(self, code: int) -> int:
        for word, last in self._kinds:
            if word & 0x1FFFFF <= code <= last:
                return word >> 30
        return 0

    def changed(self) -> Iterator[tuple[int, int]]:
        """Code points that become others by the ranges."""
        for word, to in self._ranges:
            first, more, step = word & 0x1FFFFF, word >> 21 & 0x1FF, word >> 30
            for distance in range(0, more + 1, 2 if step == 2 else 1):
                yield first + distance, to if step == 0 else to + distance

    def fold(self, code: int) -> bytes:
        """The UTF-8 of what a code point becomes."""
        if self._dotted_i and code == DOTTED_I:
            return "".join(map(chr, DOTTED_I_LOWER)).encode()
        for word, to in self._ranges:
            first, more, step = word & 0x1FFFFF, word >> 21 & 0x1FF, word >> 30
            if first <= code <= first + more and (step != 2 or (code - first) % 2 == 0):
                return chr(to if step == 0 else to + code - first).encode()
        return chr(code).encode()
