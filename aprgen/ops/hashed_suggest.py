"""HashedSuggest op: Suggest, with contexts found by perfect hashing.

Knows the search of its C and the tables it reads; knows nothing of files, families or C.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aprgen.ops.perfect_hash import WORD, PerfectHash, perfect_hash
from aprgen.ops.strings import NONE, StringReader
from aprgen.ops.suggest import Search, Suggest, space_before
from aprgen.program import Table


@dataclass(frozen=True, eq=False)
class HashedSuggest(Suggest):
    """Rows of contexts stand by slot, those without a context are NONE and have no next words.

    Hashed are the bytes of the words from the last to the first, one space between two words; what may be meant is
    compared with the prefix.
    """

    hash: PerfectHash

    @property
    def headers(self) -> tuple[str, ...]:
        return ("apr_hash.h", "apr_text.h")

    @property
    def kernel(self) -> str:
        return "hashed_suggest_f32"

    @property
    def n_bytes(self) -> int:
        """Constant memory, without code."""
        return super().n_bytes + self.hash.displacement.n_bytes

    def search(self, prefix: bytes) -> Search:
        return _HashedSearch(self, prefix)


class _HashedSearch(Search):
    """One search, step by step as in hashed_suggest_f32.c.j2."""

    _op: HashedSuggest

    def _find_context(self, word_at: int) -> None:
        hashed, multiplier = self._op.hash, self._op.hash.multiplier
        value, count, at = hashed.hash(b""), 0, word_at
        while count < self._op.reach and at > 0:
            at = self._before_spaces(at)
            if count > 0:
                value = hashed.hash(b" ", value)
            while at > 0 and not space_before(self._prefix, at):
                at -= 1
                value = (value * multiplier + self._prefix[at]) & WORD
            count += 1
        slot = hashed.slot(value)
        if self._is_context(word_at, count, self._op.context.data[slot].tolist()):
            self._take_row(slot)

    def _before_spaces(self, at: int) -> int:
        while at > 0 and space_before(self._prefix, at):
            at -= space_before(self._prefix, at)
        return at

    def _is_context(self, at: int, count: int, row: list[int]) -> bool:
        found = 0
        while found < self._op.context_words and row[found] != NONE:
            word = self._words.string(row[found])
            at = self._before_spaces(at)
            end = len(word)
            while end > 0 and at > 0 and word[end - 1] == self._prefix[at - 1]:
                end, at = end - 1, at - 1
            if end > 0 or (at > 0 and not space_before(self._prefix, at)):
                return False
            found += 1
        return found == count


def hashed_suggest(op: Suggest) -> HashedSuggest | None:
    """The same suggestions by hashing; None when there is no perfect hash of the contexts."""
    words = _words(op)
    rows: list[list[int]] = op.context.data.tolist()[: op.n_contexts]
    keys = [b" ".join(words[word][::-1] for word in row if word != NONE) for row in rows]
    made = perfect_hash(keys)
    if made is None or len(set(keys)) < len(keys):
        return None
    hashed, by_slot = made
    row_of = {key: index for index, key in enumerate(keys)}
    order = [row_of.get(key) for key in by_slot]
    first: list[int] = op.next_first.data.tolist()
    spans = [(0, 0) if row is None else (first[row], first[row + 1]) for row in order]
    taken = [place for begin, end in spans for place in range(begin, end)] or [0]
    firsts = np.cumsum([0, *(end - begin for begin, end in spans)])
    context = np.full((hashed.n_slots, op.context_words), NONE, np.uint16)
    for slot, row in enumerate(order):
        context[slot] = NONE if row is None else rows[row]
    return HashedSuggest(
        size=op.size,
        commands=op.commands,
        command_level=op.command_level,
        words=op.words,
        context=Table(context),
        n_contexts=hashed.n_slots,
        context_words=op.context_words,
        reach=op.reach,
        next_first=Table(firsts, op.next_first.data.dtype.type),
        next_word=Table(op.next_word.data[taken]),
        next_level=Table(op.next_level.data[taken]),
        score=op.score,
        hash=hashed,
    )


def _words(op: Suggest) -> list[bytes]:
    reader = StringReader(op.words)
    return [reader.string(index) for index in range(reader.count)]
