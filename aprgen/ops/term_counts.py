"""TermCounts op: how often each term of a vocabulary occurs in a text.

Knows the state machine of its C and the tables it reads; knows nothing of files, families or C.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.strings import (
    IDENTITY,
    MISSING,
    NO_STRINGS,
    Choice,
    Folding,
    FoldingReader,
    Span,
    StringReader,
    Strings,
    cut_folding,
    lower_then_strip,
    smallest_unsigned,
    sorted_strings,
    strip_then_lower,
    survives,
)
from aprgen.ops.text_bounds import TextReading, most_alike
from aprgen.program import TEXT, Array, Table, ValueType
from aprgen.unicode_case import (
    ACCENTS,
    CAPITAL_SIGMA,
    FINAL_SIGMA,
    LOWER,
    SMALL_SIGMA,
    WHITE_SPACE,
    lowercase,
    split_whitespace,
    strip_accents,
)

EXACT = 1 << 24  # a float32 that counts by ones stops here
STRANGERS = (
    "x",
    "unknown",
    chr(CAPITAL_SIGMA) * 2,
    "\u4e2d",
    "_",
    "\0",
)
SEPARATORS = (" ", " ", " ", "  ", "\t", "\n", "\u00a0", "\u3000", "")
CAPITALS = {lower: code for code, lower in LOWER.items()}
MAX_TOKENS = 16  # in an n-gram; each costs 24 bytes of stack


@dataclass(frozen=True, eq=False)
class TermCounts(TextReading):
    """Counts of n-grams of `low` to `high` tokens, joined by `_`; a token is what white space surrounds.

    The text is read once. gram[k] is the span of strings that begin with the last k tokens, joined, and with what was
    read of the running token, so tokens may be of any length. A stop word ends by restoring the spans its token found.
    """

    size: int  # columns
    low: int
    high: int  # [low, MAX_TOKENS]
    strings: Strings  # terms and stop words
    column: Table  # u8, u16 or u32 [strings]; of a stop word that is no term: `size`
    stop: Table | None  # u8 [strings / 8, rounded up], bit i % 8 of byte i / 8; None: there are no stop words
    folding: Folding
    stop_folding: Folding | None  # stop words are compared without case also when terms are not: None, they are alike

    headers = ("apr_text.h",)

    @property
    def kernel(self) -> str:
        return "term_counts_f32"

    @property
    def n_bytes(self) -> int:
        """Constant memory, without code."""
        tables = [self.column.n_bytes, self.strings.n_bytes, self.folding.n_bytes]
        tables += [] if self.stop is None else [self.stop.n_bytes]
        return sum(tables) + (0 if self.stop_folding is None else self.stop_folding.n_bytes)

    @property
    def narrowed_halves(self) -> int:
        """Halves of a byte by which spans are narrowed for a byte of text, at most."""
        return self.high * self.growth + self.stop_growth

    @property
    def narrowed(self) -> int:
        """Whole bytes: what the end of a token takes from that."""
        return self.narrowed_halves // 2

    @property
    def halvings_halves(self) -> int:
        """Twice the halvings for a byte of text, of the strings that share a first byte."""
        return self.narrowed_halves * self._halvings

    @property
    def halvings(self) -> int:
        return self.halvings_halves // 2

    @property
    def first_halvings(self) -> int:
        """Of all strings, by the first byte of a token, and of the word that is compared with stop words."""
        return 2 * self.strings.count.bit_length() * self.foldings

    @property
    def instead_halvings(self) -> int:
        """That this byte does not take."""
        return self._halvings * self.foldings

    @property
    def join_halvings(self) -> int:
        """For a token, by the marks between tokens."""
        return (self.high - 1) * self._halvings

    @property
    def _halvings(self) -> int:
        return 2 * most_alike(self.strings).bit_length()

    def result(self, text: ValueType) -> ValueType:
        if text != TEXT:
            raise ValueError(f"term counts take a text, not {text}")
        return ValueType("f32", self.size)

    def samples(self, count: int) -> tuple[str, ...]:
        """Texts of terms, stop words and strangers, to try the C with; the same on every machine."""
        reader = StringReader(self.strings)
        return samples_of([reader.string(index) for index in range(reader.count)], count)

    def evaluate(self, texts: Array) -> Array:
        counts = np.zeros((len(texts), self.size + 1), np.int64)
        machine = _Machine(self)
        for text, row in zip(texts, counts, strict=True):
            machine.run(text, row)
        return np.minimum(counts[:, : self.size], EXACT).astype(np.float32)


def samples_of(strings: Sequence[bytes], count: int) -> tuple[str, ...]:
    """Texts of strings in byte order and of strangers."""
    choice = Choice("term counts")
    known = [string.decode().replace("_", " ") for string in strings] or [""]
    texts = [" ".join(known[:8]), "", " ".join(known[:8]).translate(CAPITALS)]
    while len(texts) < count:
        parts: list[str] = []
        for _ in range(1 + choice.below(12)):
            word = choice.of(STRANGERS) if choice.below(3) == 0 else choice.of(known)
            parts += [word.translate(CAPITALS) if choice.below(2) == 0 else word, choice.of(SEPARATORS)]
        texts.append("".join(parts))
    return tuple(texts[:count])


def folded(reader: FoldingReader, codes: Sequence[int], at: int, cased: bool) -> bytes:
    """What a code point becomes between its neighbours; `cased`: whether a cased letter stands before it."""
    code = codes[at]
    if reader.sees_sigma and code == CAPITAL_SIGMA:
        after = at + 1
        while after < len(codes) and reader.kind(codes[after]) == 1:
            after += 1
        final = cased and not (after < len(codes) and reader.kind(codes[after]) == 2)
        return chr(FINAL_SIGMA if final else SMALL_SIGMA).encode()
    return reader.fold(code)


class _Machine:
    """The kernel's state machine, step by step as in term_counts_f32.c.j2."""

    def __init__(self, op: TermCounts) -> None:
        self._op = op
        self._strings = StringReader(op.strings)
        self._column: list[int] = op.column.data.tolist()
        self._stop = b"" if op.stop is None else op.stop.data.tobytes()
        self._folding = FoldingReader(op.folding)
        self._stop_folding = FoldingReader(op.stop_folding or IDENTITY)

    def run(self, text: str, counts: NDArray[np.int64]) -> None:
        codes = [*map(ord, text), 0x20]
        strings, high = self._strings, self._op.high
        gram = [strings.everything()] + [NO_STRINGS] * (high - 1)
        before, word = list(gram), strings.everything()
        in_token, cased = False, False
        for at, code in enumerate(codes):
            if code in WHITE_SPACE:
                if in_token:
                    self._end_token(gram, before, word, counts)
                in_token = False
                continue
            if not in_token:
                before, word = list(gram), strings.everything()
                in_token, cased = True, False
            for byte in folded(self._folding, codes, at, cased):
                gram = [strings.narrow(span, byte) for span in gram]
            if self._op.stop_folding is not None:
                word = strings.find(word, folded(self._stop_folding, codes, at, cased))
            reader = self._stop_folding if self._op.stop_folding is not None else self._folding
            kind = reader.kind(code)
            cased = cased if kind == 1 else kind == 2

    def _end_token(self, gram: list[Span], before: list[Span], word: Span, counts: NDArray[np.int64]) -> None:
        strings, op = self._strings, self._op
        if op.stop is not None:
            index = strings.complete(gram[0] if op.stop_folding is None else word)
            if index != MISSING and self._stop[index // 8] >> (index % 8) & 1:
                gram[:] = before
                return
        for tokens in range(op.low, op.high + 1):
            index = strings.complete(gram[tokens - 1])
            if index != MISSING:
                counts[self._column[index]] += 1
        gram[1:] = [strings.narrow(span, ord("_")) for span in gram[:-1]]
        gram[0] = strings.everything()


def count_terms(
    vocabulary: Mapping[str, int],
    *,
    low: int,
    high: int,
    is_lower: bool,
    is_stripped: bool,
    stop_words: Iterable[str],
) -> TermCounts:
    """The op for a vocabulary whose columns are 0 to len - 1, each once.

    Leaves out what cannot change a count: terms that no text has, such as those with capitals when text is lowercased,
    and, when n-grams are single tokens, stop words that are no terms.
    """
    accents = ACCENTS if is_stripped else {}
    codes = lower_then_strip(is_lower, accents)
    terms = {
        term: column
        for term, column in vocabulary.items()
        if low <= high and _may_occur(term) and term.count("_") >= low - 1 and survives(term, codes, is_lower)
    }
    longest = max((term.count("_") + 1 for term in terms), default=1)
    high = max(min(high, longest), 1)
    stop_codes = codes if is_lower else strip_then_lower(accents)
    stops = {word for word in stop_words if _may_occur(word) and survives(word, stop_codes, True)}
    if high == 1:
        stops &= {lowercase(strip_accents(term) if is_stripped else term) for term in terms}
    strings = sorted_strings([string.encode() for string in (*terms, *stops)])
    reader = StringReader(strings)
    names = [reader.string(index) for index in range(strings.count)]
    columns = {term.encode(): column for term, column in terms.items()}
    column = [columns.get(name, len(vocabulary)) for name in names] or [len(vocabulary)]
    marks = {word.encode() for word in stops}
    bits = np.packbits(np.array([name in marks for name in names], bool), bitorder="little")
    return TermCounts(
        size=len(vocabulary),
        low=min(low, high),
        high=high,
        strings=strings,
        column=Table(column, smallest_unsigned([len(vocabulary)])),
        stop=Table(bits) if stops else None,
        folding=cut_folding(codes, is_lower, (*terms, *stops) if is_lower else terms),
        stop_folding=cut_folding(stop_codes, True, stops) if stops and not is_lower else None,
    )


def _may_occur(string: str) -> bool:
    return split_whitespace(string) == [string]
