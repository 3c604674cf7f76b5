"""Where the search for a rank code begins: the range of a column is cut into spans of one width.

Knows thresholds as keys and as floats; knows no trees, no target and no C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.wide_codes import SPAN_REACHES, Spans
from aprgen.passes.fold import floats_of_keys
from aprgen.program import Table

Ints = NDArray[np.int64]

COUNTS = (32, 64, 128, 256, 512, 1024)  # of spans of a column


@dataclass(frozen=True, eq=False)
class _Cut:
    """A column cut into spans."""

    low: np.float32
    scale: np.float32
    of_keys: bool
    begins: Ints  # thresholds before each span
    crowd: int  # the most thresholds of a span


def spans_of(thresholds: Sequence[Ints], lengths: Sequence[int]) -> Spans | None:
    """For each column the fewest thresholds to compare, for all the fewest spans. A column in which too many lie too
    close together is searched; None: every one is. lengths: of the columns' keys with what follows them.
    """
    reach = np.array([_reach_of(keys) for keys in thresholds], np.uint8)
    if not reach.any():
        return None
    for count in COUNTS:
        cuts = [
            _cut(keys, count, own) if own else _uncut(count)
            for keys, own in zip(thresholds, reach.tolist(), strict=True)
        ]  # fmt: skip
        if all(cut.crowd <= own for cut, own in zip(cuts, reach.tolist(), strict=True)):
            break
    begins = np.minimum(np.stack([cut.begins for cut in cuts]), (np.array(lengths) - reach)[:, None])
    low, scale = (Table(np.array([getattr(cut, name) for cut in cuts])) for name in ("low", "scale"))
    of_keys = Table([-cut.of_keys for cut in cuts], np.int32) if any(cut.of_keys for cut in cuts) else None
    reaches = tuple(np.unique(reach).tolist())
    return Spans(
        count, reaches, Table(reach) if len(reaches) > 1 else None, low, scale, of_keys,
        Table(begins.astype(np.min_scalar_type(int(begins.max())))),
    )  # fmt: skip


def _reach_of(keys: Ints) -> int:
    """0: more thresholds lie in one of the most spans there can be."""
    return next((reach for reach in SPAN_REACHES if _cut(keys, COUNTS[-1], reach).crowd <= reach), 0)


def _uncut(count: int) -> _Cut:
    """Of a column that is searched."""
    return _Cut(np.float32(0), np.float32(1), False, np.zeros(count, np.int64), 0)


def _cut(keys: Ints, count: int, reach: int) -> _Cut:
    """By values; where these crowd by keys, which lie equally far apart whether numbers are large or small. The range
    is that of all thresholds or, where few lie far from the others, leaves out some at both ends: the first and the
    last span have these, too.
    """
    values = floats_of_keys(keys)
    values[np.isnan(values)] = -np.inf  # the threshold below all
    for ordered, of_keys in ((values, False), (keys.astype(np.float32), True)):
        for left_out in (0, reach // 2):
            cut = _cut_of(ordered, count, left_out, of_keys=of_keys)
            if cut.crowd <= reach:
                return cut
    return cut


def _cut_of(values: NDArray[np.float32], count: int, left_out: int, *, of_keys: bool) -> _Cut:
    """As the C computes the span of a value: a float that is not smaller lies in no span before."""
    inner = values[left_out : len(values) - left_out]
    low, high = (inner[0], inner[-1]) if len(inner) else (np.float32(0), np.float32(0))
    with np.errstate(all="ignore"):
        scale = np.float32(count) / (high - low) if high > low else np.float32(1)
        if not (np.isfinite(scale) and scale >= np.finfo(np.float32).tiny and np.isfinite(low)):
            return _Cut(low, scale, of_keys, np.zeros(count, np.int64), len(values) + SPAN_REACHES[-1])
        span = np.clip((values - low) * scale, 0, count - 1).astype(np.int64)
    begins = np.searchsorted(span, np.arange(count))
    return _Cut(low, scale, of_keys, begins, int(np.bincount(span, minlength=1).max()))
