"""The row for which a call takes longest, from all ways through the code: searched with `walks`, exact or bounded.

Knows the order of floats by their bits, in which comparisons cut the features into cells. Knows no instructions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from aprgen.errors import ComparisonError
from aprgen.wcet.symbolic import UnfollowedError
from aprgen.wcet.unfold import Conditions, Unfolded, Way
from aprgen.wcet.walk_paths import MAX_PATHS, Cells, Floats, Ints, Paths
from aprgen.wcet.walks import CLIMB_SHARE, search
from aprgen.wcet.words import END, EVERY, HALF, INFINITY, MINUS_INFINITY, Patterns, both, together

POSITIVE = INFINITY + 1  # the place of +0 in the order: -inf is first, -0 just before it, NaNs are last

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class WorstRow:
    """No row makes the parts together cost more than `upper`; the witness costs `lower`, by the ways it takes."""

    upper: int
    lower: int
    witness: Floats
    ways: tuple[Way, ...]

    @property
    def exact(self) -> bool:
        return self.upper == self.lower


@dataclass(frozen=True, eq=False)
class Solved:
    """What a search found, to spare the next one that asks the same: cell of each axis."""

    paths: Paths
    upper: int
    cell: Ints


def worst_row(
    unfolded: Unfolded, n_features: int, seconds: float, before: Sequence[Solved] = ()
) -> tuple[WorstRow, Solved]:
    """The dearest of all rows of the call. before: answers for other functions of the same model."""
    parts = [_merged(part) for part in unfolded.parts]
    fixed = sum(part[0].cycles for part in parts if len(part) == 1)
    paths = _paths([part for part in parts if len(part) > 1], unfolded.domain, n_features)
    solved = next((found for one in before if (found := _again(one, paths)) is not None), None)
    if solved is None:
        now = time.monotonic()
        upper, cell = search(paths, now + seconds, now + CLIMB_SHARE * seconds)
        solved = Solved(paths, upper, cell)
    witness = np.zeros(n_features, np.float32)
    for cells, index in zip(paths.cells, solved.cell, strict=True):
        witness[cells.feature] = cells.values[index]
    bits = witness.view(np.uint32)
    ways = tuple(_taken(part, bits) for part in unfolded.parts)
    lower = sum(way.cycles for way in ways)
    if lower != fixed + paths.total(solved.cell) or lower > fixed + solved.upper:
        raise ComparisonError(
            "wcet.walk",
            f"the worst row costs {lower}, {fixed + paths.total(solved.cell)} and at most {fixed + solved.upper} by "
            "three counts that must agree",
            where="the worst case of the trees",
            hint="report this with the model: aprgen contradicts itself",
        )
    return WorstRow(fixed + solved.upper, lower, witness, ways), solved


def _again(one: Solved, paths: Paths) -> Solved | None:
    """The former answer, where the question is the same but for what the parts cost whichever way they go, and for
    cells that cannot occur any more, which the former worst row does not need."""
    old = one.paths
    columns = ("tree", "at", "axis", "low", "high")
    if old.n_trees != paths.n_trees or old.n_trees == 0 or len(old.cells) != len(paths.cells):
        return None
    if not all(np.array_equal(getattr(old, name), getattr(paths, name)) for name in columns):
        return None
    for was, now, at in zip(old.cells, paths.cells, one.cell, strict=True):
        if was.feature != now.feature or not np.array_equal(was.thresholds, now.thresholds):
            return None
        if not now.low <= at <= now.high:
            return None
    if not np.array_equal(_above_least(old), _above_least(paths)):
        return None
    return Solved(paths, one.upper - old.total(one.cell) + paths.total(one.cell), one.cell)


def _above_least(paths: Paths) -> Ints:
    """What each path costs more than the cheapest of its tree."""
    return paths.weight - np.minimum.reduceat(paths.weight, paths.starts())[paths.tree]


def _taken(part: Sequence[Way], bits: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> Way:
    """The dearest of the ways that the row can take; there is one, unless something unknown decides."""
    possible = [
        way
        for way in part
        if all(both(((int(bits[f]), int(bits[f])),), patterns) for f, patterns in way.conditions.items())
    ]
    return max(possible, key=lambda way: way.cycles)


def _merged(part: Sequence[Way]) -> list[Way]:
    """Ways that cost the same and differ in one comparison, as one."""
    merged: list[Way] = []
    for way in part:
        merged.append(way)
        while len(merged) > 1:
            one = _as_one(merged[-2], merged[-1])
            if one is None:
                break
            merged[-2:] = [one]
    return merged


def _as_one(one: Way, other: Way) -> Way | None:
    if one.cycles != other.cycles:
        return None
    features = {f for f in {*one.conditions, *other.conditions} if one.conditions.get(f) != other.conditions.get(f)}
    if len(features) > 1:
        return None
    conditions = dict(one.conditions)
    for feature in features:
        sides = (one.conditions.get(feature, EVERY), other.conditions.get(feature, EVERY))
        union = together([span for side in sides for span in side])
        if union == EVERY:
            conditions.pop(feature, None)
        else:
            conditions[feature] = union
    return Way(one.cycles, conditions, one.trail)


# Cells ----------------------------------------------------------------------------------------------------------------


def in_order(patterns: Patterns) -> Ranges:
    """Where these bits are among all floats by size: from minus to plus infinity, then NaNs of either sign."""
    ranges = []
    for first, last in patterns:
        for low, high in both(((first, last),), ((0, HALF - 1),)):
            ranges.append((POSITIVE + low, POSITIVE + high))
        for low, high in both(((first, last),), ((HALF, MINUS_INFINITY),)):
            ranges.append((MINUS_INFINITY - high, MINUS_INFINITY - low))
        ranges += both(((first, last),), ((MINUS_INFINITY + 1, END - 1),))
    return together(ranges)


def bits_at(place: int) -> int:
    """The bits of the float at a place of that order."""
    if place < POSITIVE:
        return MINUS_INFINITY - place
    return place if place > MINUS_INFINITY else place - POSITIVE


def _readable(low: int, high: int) -> int:
    """A place between both whose float is easy to read: finite if there is one, and near zero."""
    low_finite, high_finite = max(low, 1), min(high, POSITIVE + INFINITY - 1)
    if low_finite > high_finite:
        return low
    return min(max(POSITIVE, low_finite), high_finite)


def _paths(parts: Sequence[Sequence[Way]], domain: Conditions, n_features: int) -> Paths:
    """The search's question: cells of features, and the ways as boxes of cells."""
    features = sorted({feature for part in parts for way in part for feature in way.conditions})
    if any(feature >= n_features for feature in features):
        raise UnfollowedError("the code reads beyond its input", "the row")
    placed = [[{f: in_order(p) for f, p in way.conditions.items()} for way in part] for part in parts]
    found: dict[int, set[int]] = {feature: {0} for feature in features}
    for box in (box for boxes in placed for box in boxes):
        for feature, ranges in box.items():
            found[feature].update(end for first, last in ranges for end in (first, last + 1) if end < END)
    starts = {feature: sorted(ends) for feature, ends in found.items()}
    cells = [_cells(feature, starts[feature], domain.get(feature, EVERY)) for feature in features]
    axis_of = {feature: axis for axis, feature in enumerate(features)}
    tree: list[int] = []
    weight: list[int] = []
    conditions: list[tuple[int, int, int, int]] = []
    for number, (part, boxes) in enumerate(zip(parts, placed, strict=True)):
        for way, box in zip(part, boxes, strict=True):
            for chosen in _boxes({axis_of[f]: ranges for f, ranges in box.items()}, cells, starts, features):
                conditions += [(len(tree), axis, low, high) for axis, (low, high) in chosen.items()]
                tree.append(number)
                weight.append(way.cycles)
                if len(tree) > MAX_PATHS:
                    raise UnfollowedError(f"the trees have more than {MAX_PATHS} ways", "the walk of the trees")
    columns = np.array(conditions, np.int64).reshape(-1, 4).T
    return Paths(tuple(cells), len(parts), np.array(tree, np.int64), np.array(weight, np.int64), *columns)


def _boxes(
    box: dict[int, Ranges], cells: Sequence[Cells], starts: dict[int, list[int]], features: Sequence[int]
) -> Iterator[dict[int, tuple[int, int]]]:
    """The way's conditions as ranges of cells, one of each axis; several boxes when a range is in pieces."""
    axes = list(box)
    choices = []
    for axis in axes:
        at = np.array(starts[features[axis]])
        runs = [
            (int(np.searchsorted(at, low)), int(np.searchsorted(at, high, side="right")) - 1) for low, high in box[axis]
        ]
        first, last = cells[axis].low, cells[axis].high
        choices.append([(max(a, first), min(b, last)) for a, b in runs if a <= last and b >= first])
    for chosen in product(*choices):
        yield {axis: run for axis, run in zip(axes, chosen, strict=True) if run != (cells[axis].low, cells[axis].high)}


def _cells(feature: int, starts: Sequence[int], allowed: Patterns) -> Cells:
    ends = [*(start - 1 for start in starts[1:]), END - 1]
    ranges = in_order(allowed)
    if len(ranges) != 1:
        raise UnfollowedError("the rows that are walked are not one range of numbers", f"feature {feature}")
    ((first, last),) = ranges
    low = int(np.searchsorted(starts, first, side="right")) - 1
    high = int(np.searchsorted(starts, last, side="right")) - 1
    places = [
        _readable(max(a, first), min(b, last)) if b >= first and a <= last else a
        for a, b in zip(starts, ends, strict=True)
    ]
    values = np.array([bits_at(place) for place in places], np.uint32).view(np.float32)
    return Cells(feature, np.array(starts, np.float64), values, low, high)
