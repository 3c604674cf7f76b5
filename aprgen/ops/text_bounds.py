"""The most that any text makes of tables of strings and foldings, for the marks of loops (runtime_c/apr_mark.h).

Knows what runtime_c/apr_text.h does with its tables; knows no model and no C.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.strings import Folding, FoldingReader, Strings
from aprgen.program import Table

SHORT = 0x80  # characters below are of one byte


class TextReading:
    """What an op makes of a text of which it folds every character, once for terms and perhaps once for stop words."""

    size: int
    low: int
    high: int
    strings: Strings
    column: Table
    folding: Folding
    stop_folding: Folding | None

    @property
    def found_bytes(self) -> int:
        """That a text has, at least, for a term that is counted and for what ends the token with which it ends."""
        sizes = np.diff(self.strings.offsets.data.astype(np.int64))[: self.column.data.size]
        terms = sizes[self.column.data[: sizes.size] < self.size]
        shortest = int(terms.min(initial=np.iinfo(np.int64).max)) if self.high == 1 and terms.size else 1
        return -(-2 * shortest // self.growth) + 1

    @property
    def found_halves(self) -> int:
        """Twice the terms of which a token ends one, at most."""
        return 2 * (self.high - self.low + 1)

    @property
    def growth(self) -> int:
        """Halves of a byte that a byte of text becomes, at most."""
        return _growth(self.folding)

    @property
    def stop_growth(self) -> int:
        return 0 if self.stop_folding is None else _growth(self.stop_folding)

    @property
    def searches(self) -> int:
        """Halvings that fold one character, at most, and tell whether it is cased."""
        last = self._foldings[-1]
        return sum(one.n_ranges.bit_length() for one in self._foldings) + last.n_kinds.bit_length()

    @property
    def look_halves(self) -> int:
        """Twice how often a text is read behind its sigmas."""
        return 2 * sum(one.kinds is not None for one in self._foldings)

    @property
    def look_searches(self) -> int:
        """Twice the halvings for a character that is looked at there."""
        return 2 * sum(one.n_kinds.bit_length() for one in self._foldings)

    @property
    def more_halves(self) -> int:
        """Halves of a byte that are read for a byte of text."""
        return 2 + self.look_halves

    @property
    def put_halves(self) -> int:
        """Halves of a byte that are written for it."""
        return self.growth + self.stop_growth

    @property
    def folded_halves(self) -> int:
        """Twice the characters of a byte, and again for each folding that changes them; most that change are longer."""
        changed = [code for one in self._foldings for code, _ in FoldingReader(one).changed() if not self.spares(code)]
        return (1 + self.foldings) * (2 if min(changed, default=SHORT) < SHORT else 1)

    def spares(self, code: int) -> bool:
        """Whether a character is folded in a shorter way."""
        return False

    @property
    def foldings(self) -> int:
        """Bytes that are written, at least, where one is that can be."""
        return len(self._foldings)

    @property
    def end_halves(self) -> int:
        """Twice that, for the end of the text, which ends a token and takes no byte."""
        return 2 * self.foldings

    @property
    def _foldings(self) -> tuple[Folding, ...]:
        return (self.folding,) if self.stop_folding is None else (self.folding, self.stop_folding)


def _growth(folding: Folding) -> int:
    """2 or more: what changes nothing keeps its length, and so does a sigma. A dotted i becomes half as long again."""
    sizes = ((len(chr(code).encode()), len(chr(to).encode())) for code, to in FoldingReader(folding).changed())
    return max([3 if folding.dotted_i else 2, *(-(-2 * became // was) for was, became in sizes)])


def longest_of(strings: Strings) -> int:
    return int(np.diff(strings.offsets.data.astype(np.int64)).max())


def most_alike(strings: Strings) -> int:
    """Of how many sorted strings one can be when its first byte is known."""
    offset = strings.offsets.data.astype(np.int64)
    first = strings.text.data[offset[:-1][np.diff(offset) > 0]]
    return int(np.bincount(first).max()) if first.size else 0


def halvings_of(strings: Strings) -> int:
    """Of spans of sorted strings, two searches for each byte, while a text is read until no string begins like it."""
    return int(_halvings(strings).max(initial=0))


def halvings_behind(strings: Strings, byte: int, skipped: int, most: int) -> NDArray[np.int64]:
    """The same for 0 to `most` bytes that are read behind one of this value, wherever strings have it, and behind some
    more that are skipped."""
    work = _halvings(strings)
    offset = strings.offsets.data.astype(np.int64)
    (places,) = np.nonzero(strings.text.data == byte)
    index = np.searchsorted(offset, places, "right") - 1
    read, end = places + index, offset[1:][index] + index  # in work, which has one place more for each string
    ends = np.minimum(read[:, np.newaxis] + skipped + np.arange(most + 1), end[:, np.newaxis])
    return np.asarray((work[ends] - work[ends[:, :1]]).max(axis=0, initial=0), np.int64)


def _halvings(strings: Strings) -> NDArray[np.int64]:
    """For each string, one behind the other, the halvings until its first byte is read, ..., its last, and one more.

    A span of n takes n.bit_length() at most, for either search. Strings that share what was read stand together: level
    by level those that are alone are done, as each of their bytes takes one halving twice.
    """
    offset = strings.offsets.data.astype(np.int64)
    begin, size = offset[:-1], np.diff(offset)
    at = begin + np.arange(strings.count)  # in the result
    taken = np.full(int(offset[-1]) + strings.count, 2, np.int64)
    first, group = at, np.zeros(strings.count, np.int64)
    depth = 0
    while len(size):
        alike = np.bincount(group)[group]
        taken[at + depth] = 2 * (np.floor(np.log2(alike)).astype(np.int64) + 1)
        on = (alike > 1) & (size > depth)
        begin, size, at, group = begin[on], size[on], at[on], group[on]
        byte = strings.text.data[begin + depth].astype(np.int64)
        differs = (np.diff(group) != 0) | (np.diff(byte) != 0)
        group = np.concatenate([[0], np.cumsum(differs)])[: len(size)]
        depth += 1
    together = np.cumsum(taken)
    before = np.concatenate([[0], together])[first]
    lengths = np.diff(offset) + 1
    work: NDArray[np.int64] = together - np.repeat(before, lengths)
    return work
