"""HashedTerms op: how often each term of a vocabulary occurs in a text, by perfect hashing.

Counts what TermCounts counts. Knows the state machine of its C and the tables it reads; knows nothing of files,
families or C.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.perfect_hash import START, WORD, PerfectHash, perfect_hash
from aprgen.ops.strings import IDENTITY, MISSING, Folding, FoldingReader, StringReader, Strings, strings_in_order
from aprgen.ops.term_counts import EXACT, TermCounts, folded, samples_of
from aprgen.ops.text_bounds import TextReading
from aprgen.program import TEXT, Array, Table, ValueType
from aprgen.unicode_case import WHITE_SPACE

JOINT = 0x5F
PLAIN = range(0x21, 0x80)  # ASCII without white space and control characters
CAPITALS = range(0x41, 0x5B)
WIDEST = 4  # bytes of a code point
MOST_BYTES = 4096  # of a string, and so of a ring on the stack
LEAST_ROOM = 2  # bits; gcc takes a ring of one byte for uninitialised


@dataclass(frozen=True, eq=False)
class HashedTerms(TextReading):
    """Counts of n-grams of `low` to `high` tokens, joined by `_`; a token is what white space surrounds.

    The text is read once. Hashes are polynomials of the bytes, so that of an n-gram follows from those of its tokens.
    The last bytes stay in a ring, where what has the hash of a term is compared with it; what is longer than the
    longest term is none, and the ring may have been written over. A stop word ends by going back in the ring.
    """

    size: int  # columns
    low: int
    high: int  # [low, MAX_TOKENS]
    strings: Strings  # terms and stop words by slot; empty where a slot has none
    hash: PerfectHash
    column: Table  # u8, u16 or u32 [slots]; of a slot without a term: `size`
    stop: Table | None  # u8 [slots / 8, rounded up], bit i % 8 of byte i / 8; None: there are no stop words
    folding: Folding
    stop_folding: Folding | None  # as of TermCounts
    room: int  # bytes of the ring, a power of two
    longest: int  # bytes of the longest string

    headers = ("apr_hash.h", "apr_text.h")

    @property
    def kernel(self) -> str:
        return "hashed_terms_f32"

    @property
    def n_bytes(self) -> int:
        """Constant memory, without code."""
        tables = [self.column.n_bytes, self.strings.n_bytes, self.hash.displacement.n_bytes, self.folding.n_bytes]
        tables += [] if self.stop is None else [self.stop.n_bytes]
        return sum(tables) + (0 if self.stop_folding is None else self.stop_folding.n_bytes)

    @property
    def last(self) -> int:
        return self.room - 1

    @property
    def joins(self) -> bool:
        return self.high > 1

    @property
    def from_one(self) -> bool:
        """Whether single tokens count."""
        return self.low == 1

    @property
    def sees_sigma(self) -> bool:
        """Whether it matters if a cased letter stands before a character."""
        return any(folding is not None and folding.kinds is not None for folding in (self.folding, self.stop_folding))

    @property
    def knows_token(self) -> bool:
        """Whether the token is looked up alone, beside the n-grams that end with it."""
        return not self.joins or (self.stop is not None and self.stop_folding is None)

    @property
    def stop_name(self) -> str:
        """Of the variable that says which string the token is, as stop words are compared."""
        return "token" if self.stop_folding is None else "stop"

    @property
    def lower_ascii(self) -> bool:
        return _lowers(self.folding)

    @property
    def lower_stop_ascii(self) -> bool:
        return self.stop_folding is not None and _lowers(self.stop_folding)

    @property
    def plain_ascii(self) -> bool:
        """Whether ASCII has a short way: it stays or only loses its capitals, and no sigma looks at it."""
        both = (self.folding, self.stop_folding or IDENTITY)
        return not self.sees_sigma and all(_lowers(folding) or _keeps(folding) for folding in both)

    @property
    def compared_halves(self) -> int:
        """Halves of a byte that are compared for a byte of text: it is in k of the n-grams of k tokens."""
        alone = int(self.knows_token and self.low > 1)
        return (sum(range(self.low, self.high + 1)) + alone) * self.growth + self.stop_growth

    @property
    def compared(self) -> int:
        """Whole bytes that are not compared because a token ends, but for the marks between tokens."""
        return self.compared_halves // 2 - self._marks

    @property
    def compared_more(self) -> int:
        """For the end of the text, which ends a token and takes no byte."""
        return self.compared_halves // 2

    @property
    def _marks(self) -> int:
        """Between the tokens of all n-grams that end with one."""
        return sum(range(self.low - 1, self.high))

    def spares(self, code: int) -> bool:
        return self.plain_ascii and code in PLAIN

    def result(self, text: ValueType) -> ValueType:
        if text != TEXT:
            raise ValueError(f"term counts take a text, not {text}")
        return ValueType("f32", self.size)

    def samples(self, count: int) -> tuple[str, ...]:
        """Those of TermCounts."""
        reader = StringReader(self.strings)
        return samples_of(sorted(filter(None, map(reader.string, range(reader.count)))), count)

    def evaluate(self, texts: Array) -> Array:
        counts = np.zeros((len(texts), self.size + 1), np.int64)
        machine = _Machine(self)
        for text, row in zip(texts, counts, strict=True):
            machine.run(text, row)
        return np.minimum(counts[:, : self.size], EXACT).astype(np.float32)


def hashed_terms(op: TermCounts, most_bytes: int = MOST_BYTES) -> HashedTerms | None:
    """The same counts by hashing; None when a string is longer than most_bytes, or no perfect hash is found."""
    reader = StringReader(op.strings)
    names = [reader.string(index) for index in range(reader.count)]
    if max(map(len, names), default=0) > most_bytes:
        return None
    made = perfect_hash(names)
    if made is None:
        return None
    hashed, by_slot = made
    index_of = {name: index for index, name in enumerate(names)}
    indices = [index_of.get(name) for name in by_slot]
    columns: list[int] = op.column.data.tolist()
    stop = None
    longest_stop = 0
    if op.stop is not None:
        marks = np.unpackbits(op.stop.data, bitorder="little")
        bits = np.array([index is not None and bool(marks[index]) for index in indices], bool)
        stop = Table(np.packbits(bits, bitorder="little"))
        longest_stop = max((len(name) for name, mark in zip(names, marks.tolist(), strict=False) if mark), default=0)
        longest_stop *= 1 if op.stop_folding is None else WIDEST
    longest = max(map(len, names))
    behind = longest_stop if op.high > 1 else 0  # a stop word writes behind what is still to be compared
    return HashedTerms(
        size=op.size,
        low=op.low,
        high=op.high,
        strings=strings_in_order(by_slot),
        hash=hashed,
        column=Table([op.size if index is None else columns[index] for index in indices], op.column.data.dtype.type),
        stop=stop,
        folding=op.folding,
        stop_folding=op.stop_folding,
        room=1 << max(LEAST_ROOM, (longest + behind - 1).bit_length()),
        longest=longest,
    )


def _lowers(folding: Folding) -> bool:
    """Whether plain ASCII loses its capitals and is nothing else changed."""
    fold = FoldingReader(folding).fold
    return all(fold(code) == bytes([code + 32 if code in CAPITALS else code]) for code in PLAIN)


def _keeps(folding: Folding) -> bool:
    fold = FoldingReader(folding).fold
    return all(fold(code) == bytes([code]) for code in PLAIN)


class _Machine:
    """The kernel's state machine, step by step as in hashed_terms_f32.c.j2."""

    def __init__(self, op: HashedTerms) -> None:
        self._op = op
        self._hash = op.hash
        self._strings = StringReader(op.strings)
        self._column: list[int] = op.column.data.tolist()
        self._stop = b"" if op.stop is None else op.stop.data.tobytes()
        self._folding = FoldingReader(op.folding)
        self._stop_folding = FoldingReader(op.stop_folding or IDENTITY)

    def _find(self, hashed: int, length: int, ring: bytearray, end: int) -> int:
        slot = self._hash.slot(hashed)
        string = self._strings.string(slot)
        if len(string) != length:
            return MISSING
        for i, byte in enumerate(string):
            if byte != ring[(end - length + i) & self._op.last]:
                return MISSING
        return slot

    def _is_stop(self, slot: int) -> bool:
        return self._op.stop is not None and slot != MISSING and bool(self._stop[slot // 8] >> (slot % 8) & 1)

    def run(self, text: str, counts: NDArray[np.int64]) -> None:
        op, multiplier = self._op, self._hash.multiplier
        codes = [*map(ord, text), 0x20]
        ring, word = bytearray(op.room), bytearray(op.room)
        hashed, power, begin, end = START, 1, 0, 0
        word_hash, word_end = START, 0
        joined = [(0, 0)] + [(0, 0)] * (op.high - 1)  # hash, less the one of no bytes, and length
        n_joined, cased = 0, False
        for at, code in enumerate(codes):
            if code not in WHITE_SPACE:
                for byte in folded(self._folding, codes, at, cased):
                    ring[end & op.last] = byte
                    hashed = (hashed * multiplier + byte) & WORD
                    power = power * multiplier & WORD
                    end += 1
                if op.stop_folding is not None:
                    for byte in folded(self._stop_folding, codes, at, cased):
                        word[word_end & op.last] = byte
                        word_hash = (word_hash * multiplier + byte) & WORD
                        word_end += 1
                reader = self._folding if op.stop_folding is None else self._stop_folding
                kind = reader.kind(code)
                cased = cased if kind == 1 else kind == 2
            elif end != begin:
                own, length, own_power = hashed, end - begin, power
                token = self._find(own, length, ring, end)
                found = token if op.stop_folding is None else self._find(word_hash, word_end, word, word_end)
                hashed, power, cased, word_hash, word_end = START, 1, False, START, 0
                if self._is_stop(found):
                    end = begin
                    continue
                if op.joins:
                    for tokens in range(n_joined + 1, 0, -1):
                        before, before_length = joined[tokens - 1]
                        gram, gram_length = (before * own_power + own) & WORD, before_length + length
                        if tokens >= op.low:
                            self._count(self._find(gram, gram_length, ring, end), counts)
                        if tokens < op.high:
                            joined[tokens] = ((gram * multiplier + JOINT - START) & WORD, gram_length + 1)
                    n_joined = min(n_joined + 1, op.high - 1)
                    ring[end & op.last] = JOINT
                    begin = end + 1
                else:
                    self._count(token, counts)
                end = begin

    def _count(self, slot: int, counts: NDArray[np.int64]) -> None:
        if slot != MISSING:
            counts[self._column[slot]] += 1
