"""Tfidf op: term counts to TF-IDF weights, in float64 and rounded once at the end. Knows its arithmetic; knows no C."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aprgen import mathf
from aprgen.program import Array, Table, ValueType

MIN_IDF, MAX_IDF = 1e-30, 1e30  # times any count, or its logarithm, a normal float32


@dataclass(frozen=True, eq=False)
class Tfidf:
    """y = f32(tf * idf), tf being the count, or 1 + ln(count) when sublinear; a count of 0 gives 0.

    Terms of equal document frequency have equal idf, so few values are kept, and a small index for each term.
    """

    size: int
    idf: Table  # f64, each 0 or from MIN_IDF to MAX_IDF; [size], or the distinct values when there is an index
    index: Table | None  # u8 or u16 [size]: into idf
    sublinear: bool

    headers = ("apr_tfidf.h",)

    @property
    def kernel(self) -> str:
        return "tfidf_sublinear_f32" if self.sublinear else "tfidf_f32"

    @property
    def n_bytes(self) -> int:
        """Constant memory, without code."""
        return self.idf.n_bytes + (0 if self.index is None else self.index.n_bytes)

    def result(self, counts: ValueType) -> ValueType:
        if counts != ValueType("f32", self.size):
            raise ValueError(f"tfidf takes f32[{self.size}], not {counts}")
        return counts

    def evaluate(self, counts: Array) -> Array:
        idf = self.idf.data if self.index is None else self.idf.data[self.index.data]
        tf = counts.astype(np.float64)
        if self.sublinear:
            logarithm = mathf.log_f64(np.maximum(counts, 1).astype(np.uint32))
            tf = np.where(counts > 0, 1.0 + logarithm, 0.0)
        return np.asarray(tf * idf, np.float64).astype(np.float32)


def weigh(idf: Array, *, sublinear: bool) -> Tfidf:
    """The op for float64 idf values, in whichever of its two forms is smaller."""
    distinct, index = np.unique(idf, return_inverse=True)
    places = Table(index, np.uint8 if len(distinct) <= 256 else np.uint16)
    if len(distinct) <= 65_536 and distinct.nbytes + places.n_bytes < idf.nbytes:
        return Tfidf(len(idf), Table(distinct, np.float64), places, sublinear)
    return Tfidf(len(idf), Table(idf, np.float64), None, sublinear)
