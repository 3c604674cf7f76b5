"""Text vectorizers: CountVectorizer and TfidfVectorizer.

Knows their layouts (the derive with the tokenizer left out, so tokens are what white space surrounds), what they
compute and how they lower; knows nothing of files or C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from aprgen.container.bincode import BOOL, F32, F64S, STRING, U64, Map, Option, Record, Set, Tuple
from aprgen.errors import UnsupportedError
from aprgen.families.base import (
    EQUAL,
    Fact,
    Fields,
    Floats,
    Labels,
    Struct,
    bad_parameter,
    in_ulps,
    require_finite,
    unfitted,
)
from aprgen.ops.term_counts import MAX_TOKENS, TermCounts, count_terms
from aprgen.ops.tfidf import MAX_IDF, MIN_IDF, weigh
from aprgen.program import TEXT, Array, Builder, Program
from aprgen.unicode_case import lowercase, split_whitespace, strip_accents

MAX_TERMS = 131_070  # and stop words: 17 halvings find one
MAX_STRINGS = 65_534  # of what is numbered in 16 bits
MAX_TEXT_BYTES = 1 << 20  # of all strings: 65,534 of 16 bytes; four times as much takes 3 s to compile

Doubles = NDArray[np.float64]


def require_strings(what: str, strings: Sequence[str], most: int = MAX_STRINGS) -> None:
    """More or longer strings than a device has room for are refused before tables are made of them."""
    n_bytes = sum(len(string.encode()) for string in strings)
    if len(strings) > most or n_bytes > MAX_TEXT_BYTES:
        raise UnsupportedError(
            "model.too_large",
            f"{len(strings)} {what} of {n_bytes} bytes; at most {most} of {MAX_TEXT_BYTES} bytes are supported",
            where="the payload",
            hint="train with fewer terms (max_features, min_df) or on less text",
        )


@dataclass(frozen=True, eq=False)
class CountVectorizer:
    """Counts of the vocabulary's terms, which are tokens or n-grams joined by `_`."""

    vocabulary: tuple[tuple[str, int], ...]
    is_lower: bool
    ngram_range: tuple[int, int]
    stop_words: tuple[str, ...]
    is_stripped: bool
    settings: tuple[Fact, ...] = ()
    family: str = field(default="count vectorizer", init=False)
    struct: str = field(default="CountVectorizer", init=False)
    n_features: int = field(default=0, init=False)
    wider_rows: bool = field(default=False, init=False)
    outputs: str = field(default="the count of each term", init=False)

    def facts(self) -> tuple[Fact, ...]:
        return (
            Fact("terms", len(self.vocabulary)),
            Fact("bytes of terms", sum(len(term.encode()) for term, _ in self.vocabulary)),
            Fact("longest term", max((len(term) for term, _ in self.vocabulary), default=0)),
            Fact("n-gram range", self.ngram_range),
            Fact("lowercase", self.is_lower),
            Fact("strip accents", self.is_stripped),
            Fact("stop words", len(self.stop_words)),
            *self.settings,
        )

    def check(self) -> None:
        if not self.vocabulary:
            raise unfitted(self.struct)
        require_strings("terms and stop words", (*(term for term, _ in self.vocabulary), *self.stop_words), MAX_TERMS)
        size = len(self.vocabulary)
        columns = {column for _, column in self.vocabulary}
        if columns != set(range(size)):
            raise bad_parameter(
                f"the columns of {size} terms are not 0 to {size - 1}, each once (largest {max(columns)})",
                where="CountVectorizer.vocabulary",
            )
        if self.ngram_range[0] < 1:
            raise bad_parameter("n-grams of 0 tokens are asked for", where="CountVectorizer.ngram_range")
        tokens = self._counts_op.high
        if tokens > MAX_TOKENS:
            raise UnsupportedError(
                "model.ngrams",
                f"terms of up to {tokens} tokens; at most {MAX_TOKENS} are supported",
                where="CountVectorizer.ngram_range",
                hint="train with a smaller ngram_range",
            )

    def counts(self, texts: Array) -> Doubles:
        """[texts, terms], string by string as the original does."""
        columns = dict(self.vocabulary)
        stop_words = frozenset(self.stop_words)
        low, high = self.ngram_range
        counts = np.zeros((len(texts), len(columns)), np.float64)
        for text, row in zip(texts, counts, strict=True):
            tokens = [token for token in map(self._token, split_whitespace(text)) if lowercase(token) not in stop_words]
            for size in range(low, min(high, len(tokens)) + 1):
                for start in range(len(tokens) - size + 1):
                    column = columns.get("_".join(tokens[start : start + size]))
                    if column is not None:
                        row[column] += 1.0
        return counts

    def _token(self, token: str) -> str:
        token = lowercase(token) if self.is_lower else token
        return strip_accents(token) if self.is_stripped else token

    def predict(self, rows: Array) -> Floats:
        """Exact to 16,777,216 of a term in one text."""
        return self.counts(rows).astype(np.float32)

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        return EQUAL

    def classify(self, rows: Array) -> Labels | None:
        return None

    @cached_property
    def _counts_op(self) -> TermCounts:
        low, high = self.ngram_range
        return count_terms(
            dict(self.vocabulary),
            low=low,
            high=high,
            is_lower=self.is_lower,
            is_stripped=self.is_stripped,
            stop_words=self.stop_words,
        )

    def lower(self) -> Program:
        builder = Builder(TEXT)
        return builder.build(builder.add(self._counts_op, 0))


@dataclass(frozen=True, eq=False)
class TfidfVectorizer:
    """Counts times inverse document frequency, in float64, given as float32."""

    counter: CountVectorizer
    idf: Doubles
    sublinear: bool
    family: str = field(default="TF-IDF vectorizer", init=False)
    struct: str = field(default="TfidfVectorizer", init=False)
    n_features: int = field(default=0, init=False)
    wider_rows: bool = field(default=False, init=False)

    @property
    def outputs(self) -> str:
        return "the weight of each term"

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        """Counts and products are equal; with sublinear counts the logarithm is half an ulp of float64 off."""
        return in_ulps(1.0, scores) if self.sublinear else EQUAL

    def facts(self) -> tuple[Fact, ...]:
        return (
            *self.counter.facts(),
            Fact("sublinear tf", self.sublinear),
            Fact("smallest idf", float(self.idf.min(initial=np.inf)) if len(self.idf) else 0.0),
            Fact("largest idf", float(self.idf.max(initial=0.0))),
        )

    def check(self) -> None:
        if not len(self.idf):
            raise unfitted(self.struct)
        self.counter.check()
        where = "TfidfVectorizer.idf_values"
        if len(self.idf) != len(self.counter.vocabulary):
            raise bad_parameter(f"{len(self.idf)} idf values for {len(self.counter.vocabulary)} terms", where=where)
        require_finite(where, self.idf)
        outside = ((self.idf < MIN_IDF) | (self.idf > MAX_IDF)) & ((self.idf != 0) | np.signbit(self.idf))
        if bool(outside.any()):
            at = int(np.argmax(outside))
            raise bad_parameter(
                f"an idf of {self.idf[at]} at index {at}; fitting gives 1 or a little more", where=where
            )

    def predict(self, rows: Array) -> Floats:
        tf = self.counter.counts(rows)
        if self.sublinear:
            tf = np.where(tf > 0, 1.0 + np.log(np.maximum(tf, 1.0)), tf)
        return (tf * self.idf).astype(np.float32)

    def classify(self, rows: Array) -> Labels | None:
        return None

    def lower(self) -> Program:
        builder = Builder(TEXT)
        counts = builder.inline(self.counter.lower(), 0)
        return builder.build(builder.add(weigh(self.idf, sublinear=self.sublinear), counts))


_STOP_WORDS = Record("StopWordsFilter", (("stop_words", Set(STRING)),))
_COUNT = Record(
    "CountVectorizer",
    (
        ("vocabulary", Map(STRING, U64)),
        ("lowercase", BOOL),
        ("max_features", Option(U64)),
        ("ngram_range", Tuple(U64, U64)),
        ("min_df", U64),
        ("max_df", F32),
        ("stop_words", Option(_STOP_WORDS)),
        ("strip_accents", BOOL),
    ),
)
_TFIDF = Record("TfidfVectorizer", (("count_vectorizer", _COUNT), ("idf_values", F64S), ("sublinear_tf", BOOL)))


def _count_vectorizer(fields: Fields) -> CountVectorizer:
    stop_words = cast("dict[str, object] | None", fields["stop_words"])
    return CountVectorizer(
        vocabulary=cast("tuple[tuple[str, int], ...]", fields["vocabulary"]),
        is_lower=cast(bool, fields["lowercase"]),
        ngram_range=cast("tuple[int, int]", fields["ngram_range"]),
        stop_words=() if stop_words is None else cast("tuple[str, ...]", stop_words["stop_words"]),
        is_stripped=cast(bool, fields["strip_accents"]),
        settings=(
            Fact("max_features", cast("int | None", fields["max_features"])),
            Fact("min_df", cast(int, fields["min_df"])),
            Fact("max_df", cast(float, fields["max_df"])),
        ),
    )


def _tfidf_vectorizer(fields: Fields) -> TfidfVectorizer:
    return TfidfVectorizer(
        counter=_count_vectorizer(cast(Fields, fields["count_vectorizer"])),
        idf=cast(Doubles, fields["idf_values"]),
        sublinear=cast(bool, fields["sublinear_tf"]),
    )


STRUCTS: tuple[Struct, ...] = (
    Struct("CountVectorizer", (0x0012,), _COUNT, _count_vectorizer),
    Struct("TfidfVectorizer", (0x0011,), _TFIDF, _tfidf_vectorizer),
)
