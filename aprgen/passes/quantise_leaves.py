"""Part of the quantise pass: totals of leaves of trees, and the functions and decisions behind them."""

from __future__ import annotations

import numpy as np

from aprgen.ops.curve import Curve
from aprgen.ops.decide import Lookup, Threshold
from aprgen.ops.elementwise import Map
from aprgen.ops.integer import LARGEST, Code
from aprgen.passes.coded import Coded
from aprgen.passes.quantise_work import Work, as_floats
from aprgen.passes.tree_sums import FUNCTION_ENTRIES, Totals, threshold_between
from aprgen.program import Array, Table

LARGEST_ENTRIES_LOG = 9  # of a curve's table
CURVE_ERROR: dict[Code, float] = {"i8": 2.0**-10, "i16": 2.0**-14, "i32": 2.0**-14}  # of its largest value
LARGEST_CURVE_SHIFT = 14
CURVE_SAMPLES = 1 << 16  # totals at which a curve's error is measured


def sum_of_leaves(work: Work, totals: Totals, rows: int) -> Coded:
    """The total, which no row takes out of its reach."""
    value = work.builder.add(totals.op, rows)
    trees = f"what the leaves of {totals.op.n_trees} trees add up to"
    if totals.bound > 0:
        work.notes.append(f"{trees} is within {totals.bound:.3g} of the sum in floats, for every row")
    else:
        work.notes.append(f"{trees} is the sum in floats: {totals.proof}")
    scale, offset = np.array([totals.unit]), np.array([totals.start])
    return Coded(value, "i32", scale, offset, LARGEST["i32"], (totals.low, totals.high))


def _of_totals(op: Map, x: Coded, totals: Array) -> Array:
    """The function of the real values of totals, in floats."""
    real = (totals.astype(np.float64) * x.scale[0] + x.offset[0]).astype(np.float32)
    with np.errstate(all="ignore"):
        return op.evaluate(real.reshape(-1, 1))[:, 0].astype(np.float64)


def function_of_total(work: Work, op: Map, x: Coded, value: int) -> None:
    """A function of a total: its values by total when those are few, else a curve, as long as it needs to be."""
    assert x.reach is not None
    low, high = x.reach
    totals = np.arange(low, high + 1, 1 + (high - low) // CURVE_SAMPLES)
    exact = _of_totals(op, x, totals)
    if not np.isfinite(exact).all():
        work.floats[value] = work.builder.add(op, as_floats(work, work.program.steps[value - 1].inputs[0]))
        work.in_floats.append(op.kernel)
        return
    steps = np.diff(exact)
    if np.all(steps >= 0) or np.all(steps <= 0):
        work.functions[value] = (x, op)
    if low == 0 and high < FUNCTION_ENTRIES:
        table = Table(exact.astype(np.float32))
        work.floats[value] = work.builder.add(Lookup("i32", 1, 1, table), x.value)
        return
    unit = max(float(np.abs(exact).max()), 1e-30) / LARGEST["i16"]
    for entries in range(LARGEST_ENTRIES_LOG + 1):
        made = _curve_of_total(op, x, unit, entries)
        error = float(np.abs(made.evaluate(totals.reshape(-1, 1))[:, 0] * unit - exact).max())
        if error <= CURVE_ERROR[work.element] * unit * LARGEST["i16"]:
            break
    compared = "every total" if len(totals) == high - low + 1 else f"{len(totals)} totals that were compared"
    work.notes.append(f"a curve is within {error:.3g} of the function of it, for {compared}")
    work.coded[value] = Coded(work.builder.add(made, x.value), "i16", np.array([unit]), np.zeros(1), LARGEST["i16"])


def _curve_of_total(op: Map, x: Coded, unit: float, entries: int) -> Curve:
    """About 2^entries straight lines."""
    assert x.reach is not None
    low, high = x.reach
    between = max((high - low).bit_length() - entries, 0)
    drop = max(0, between - LARGEST_CURVE_SHIFT)
    at = low + (np.arange(((high - low) >> between) + 2, dtype=np.int64) << between)
    limit = LARGEST["i16"]
    codes = np.clip(np.rint(np.nan_to_num(_of_totals(op, x, at)) / unit), -limit, limit)
    return Curve(low, high, drop, between - drop, Table(codes.astype(np.int16)))


def decision_before(work: Work, op: Threshold, source: int) -> int:
    """A label from the total itself: the function behind it keeps or turns the order."""
    x, function = work.functions[source]
    assert x.reach is not None

    def label(total: int) -> int:
        value = _of_totals(function, x, np.array([total])).astype(np.float32)
        return int(op.evaluate(value.reshape(1, 1))[0, 0])

    return work.builder.add(threshold_between(*x.reach, label), x.value)
