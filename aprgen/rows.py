"""Input rows that try a Program where it decides, and rows at random. Knows ops and floats; knows no families and no C.

Every row is reproducible: the random ones come from a fixed seed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.distance import Neighbours, SquaredDistance
from aprgen.ops.elementwise import Map
from aprgen.ops.gauss import Gauss
from aprgen.ops.trees import TreeOp
from aprgen.ops.wide_floats import Sums
from aprgen.program import Array, Program, Table

Floats = NDArray[np.float32]

SEED = 20260117
LARGE = np.float32(3e38)
SUBNORMAL = np.float32(1e-41)
TRIES = 16  # random rows that are tried for a split whose sides end at the same leaf
NEARBY = 32  # sides of splits below it that are looked at

Bounds = Mapping[int, tuple[float, float]]  # by feature: low < x <= high
Side = tuple[int, np.float32]  # feature and value


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows [rows, features] and why each is there."""

    values: Floats
    kinds: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """How many rows of each kind, in order of appearance."""
        return {kind: self.kinds.count(kind) for kind in dict.fromkeys(self.kinds)}


@np.errstate(over="ignore")  # parameters can be as large as floats get
def typical_values(program: Program) -> tuple[Floats, Floats]:
    """Where each feature lives and how far it spreads, as far as the constants tell; else 0 and 1."""
    n = program.n_features
    centre, spread = np.zeros(n, np.float32), np.ones(n, np.float32)
    for step in program.steps:
        if step.inputs[:1] != (0,):
            continue
        points = _points(step.op)
        if points is not None and len(points) > 0:
            low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
            centre = ((low + high) / 2).astype(np.float32)
            width = ((high - low) / 2).astype(np.float32)
            spread = np.where(width > 0, width, np.maximum(np.abs(centre), 1)).astype(np.float32)
        elif isinstance(step.op, TreeOp) and step.op.compare == "f32" and step.op.nodes.n_nodes:
            feature, threshold = step.op.nodes.feature.data, step.op.nodes.threshold.data
            for column in np.unique(feature):
                cuts = threshold[feature == column]
                cuts = cuts[np.isfinite(cuts)]
                if len(cuts):
                    centre[column] = np.sort(cuts)[len(cuts) // 2]
                    spread[column] = max(np.ptp(cuts), np.abs(cuts).max() * 0.25, np.float32(1e-3))
    return centre, np.where(np.isfinite(spread), spread, 1).astype(np.float32)


@np.errstate(over="ignore")  # parameters can be as large as floats get
def _points(op: object) -> Floats | None:
    """Rows that the op itself stores or implies."""
    if isinstance(op, SquaredDistance | Neighbours):
        return np.asarray(op.points.data)
    if isinstance(op, Sums) and op.distance:
        return np.asarray(op.columns().T)
    if isinstance(op, Gauss):
        return np.asarray(op.centre.data)
    if isinstance(op, Map) and op.stages and op.stages[0].verb == "sub" and op.stages[0].each is not None:
        scale = next((s.each.data for s in op.stages if s.verb == "div" and s.each is not None), np.float32(1))
        centre = op.stages[0].each.data
        return np.stack([centre - scale, centre, centre + scale])
    return None


@np.errstate(over="ignore")  # parameters can be as large as floats get
def random_rows(program: Program, count: int, seed: int = SEED) -> Rows:
    """Rows around the typical values, some a little and some far out.

    RandomState, since numpy freezes its stream, and uniform numbers, since they need no logarithm: the same rows on
    any machine.
    """
    generator = np.random.RandomState(seed)
    centre, spread = typical_values(program)
    reach = np.array([0.5, 1.0, 1.0, 2.0, 10.0])[generator.randint(0, 5, size=(count, 1))]
    values = centre + (4 * generator.random_sample((count, program.n_features)) - 2) * spread * reach
    return Rows(values.astype(np.float32), ("random",) * count)


def edge_rows(program: Program, limit: int) -> Rows:
    """Special values, rows at every split, at stored points and between them, and on both sides of decisions.

    At most `limit` rows: when there are more, an even sample of each kind.
    """
    groups: dict[str, list[Floats]] = {}
    for kind, row in _all_edges(program, limit):
        groups.setdefault(kind, []).append(row)
    total = sum(len(rows) for rows in groups.values())
    share = min(1.0, limit / max(1, total))
    values: list[Floats] = []
    kinds: list[str] = []
    for kind, rows in groups.items():
        keep = max(1, int(len(rows) * share)) if len(values) < limit else 0
        chosen = [rows[int(i)] for i in np.linspace(0, len(rows) - 1, keep)] if keep < len(rows) else rows
        values += chosen
        kinds += [kind] * len(chosen)
    return Rows(np.stack(values).astype(np.float32), tuple(kinds))


def edge_codes(program: Program, limit: int) -> Array:
    """Rows of codes, the largest that goes left and the smallest that goes right at every split of trees over codes.

    Of trees in tables: other shapes no longer show their splits. And rows of the ends of the codes' type. About `limit`
    rows: of many more splits, every n-th.
    """
    codes = program.codes
    assert codes is not None
    element = program.types()[codes.x].element
    info = np.iinfo(np.int8 if element == "i8" else np.int16)
    found = [np.full(program.n_features, end, np.float32) for end in (0, info.min, info.max)]
    for step in program.steps:
        if isinstance(step.op, TreeOp) and step.op.compare == "code":
            floats = Table(step.op.nodes.threshold.data.astype(np.float32))
            twin = replace(step.op, compare="f32", nodes=replace(step.op.nodes, threshold=floats))
            found += [row for kind, row in _split_rows(twin, limit) if kind != "split, step down"]
    return np.clip(np.ceil(np.stack(found)), info.min, info.max).astype(info.dtype)


def _all_edges(program: Program, limit: int) -> Iterator[tuple[str, Floats]]:
    yield from _special_rows(program)
    for step in program.steps:
        if step.inputs[:1] != (0,):
            continue
        if isinstance(step.op, TreeOp) and step.op.compare == "f32":
            yield from _split_rows(step.op, limit)
        points = _points(step.op)
        if points is not None:
            yield from _point_rows(points)
    if program.label is not None:
        yield from _decision_rows(program)


def _special_rows(program: Program) -> Iterator[tuple[str, Floats]]:
    n = program.n_features
    centre, _ = typical_values(program)
    for kind, value in (
        ("zeros", 0.0),
        ("negative zeros", -0.0),
        ("ones", 1.0),
        ("large", LARGE),
        ("large negative", -LARGE),
        ("subnormal", SUBNORMAL),
        ("subnormal", -SUBNORMAL),
        ("infinite", np.inf),
        ("infinite", -np.inf),
        ("all NaN", np.nan),
    ):
        yield kind, np.full(n, value, np.float32)
    yield "typical", centre
    for column in np.unique(np.linspace(0, n - 1, min(n, 16)).astype(int)):
        for kind, value in (
            ("one infinite", np.inf),
            ("one infinite", -np.inf),
            ("one NaN", np.nan),
            ("one NaN", -np.float32(np.nan)),
            ("one negative zero", -0.0),
            ("one subnormal", SUBNORMAL),
            ("one large", LARGE),
        ):
            row = centre.copy()
            row[column] = value
            yield kind, row


def _split_rows(op: TreeOp, limit: int) -> Iterator[tuple[str, Floats]]:
    """For every split, rows that reach it with its feature at the threshold, one step above and one step below.

    Where it can be had, the two sides of the split end at different leaves, so that a wrong threshold shows.
    With many more splits than rows wanted, every n-th split.
    """
    nodes = op.nodes
    stride = max(1, 3 * nodes.n_nodes // (2 * limit))
    seen = 0
    generator = np.random.RandomState(SEED)
    feature, threshold = nodes.feature.data, nodes.threshold.data
    left, right = nodes.left.data, nodes.right.data
    for root in nodes.root.data:
        # The path to a node bounds each feature: low < x <= high.
        waiting: list[tuple[int, Bounds]] = [(int(root), {})]
        while waiting:
            node, bounds = waiting.pop()
            if node < 0:
                continue
            column, cut = int(feature[node]), threshold[node]
            low, high = bounds.get(column, (-np.inf, np.inf))
            seen += 1
            if seen % stride == 0:
                row = _row_through(op, node, bounds, generator)
                yield from _rows_at_split(row, column, cut)
                if nodes.missing_left is not None:
                    row[column] = np.nan
                    yield "split, NaN", row
            if low < cut:
                waiting.append((int(left[node]), {**bounds, column: (low, min(high, float(cut)))}))
            if cut < high:
                waiting.append((int(right[node]), {**bounds, column: (max(low, float(cut)), high)}))


def _rows_at_split(row: Floats, column: int, cut: np.float32) -> Iterator[tuple[str, Floats]]:
    with np.errstate(over="ignore"):
        up = np.nextafter(cut, np.float32(np.inf), dtype=np.float32)
        down = np.nextafter(cut, np.float32(-np.inf), dtype=np.float32)
    for kind, value in (("split, equal", cut), ("split, step up", up), ("split, step down", down)):
        at = row.copy()
        at[column] = value
        yield kind, at


def _row_through(op: TreeOp, node: int, bounds: Bounds, generator: np.random.RandomState) -> Floats:
    """A row that reaches the split; of some tries the first whose two sides end at different leaves."""
    nodes = op.nodes
    row = np.zeros(op.n_features, np.float32)
    for other, (low, high) in bounds.items():
        row[other] = _between(low, high)
    column, cut = int(nodes.feature.data[node]), nodes.threshold.data[node]
    left, right = int(nodes.left.data[node]), int(nodes.right.data[node])
    for changes in _changes(_sides_below(op, node), generator):
        tried = row.copy()
        for other, value in changes:
            low, high = bounds.get(other, (-np.inf, np.inf))
            if low < value <= high:
                tried[other] = value
        tried[column] = cut
        if _leaf(op, left, tried) != _leaf(op, right, tried):
            return tried
    return row


def _changes(sides: list[Side], generator: np.random.RandomState) -> Iterator[list[Side]]:
    """What to change in a row to pass the splits below otherwise: nothing, each side alone, then several at once."""
    yield []
    for side in sides:
        yield [side]
    for _ in range(TRIES if sides else 0):
        yield [side for side in sides if generator.randint(3) == 0]


def _sides_below(op: TreeOp, node: int) -> list[Side]:
    """Both sides of the nearest splits below a node: the feature, and the last value on the left or the first right."""
    nodes = op.nodes
    found: list[Side] = []
    waiting = [int(nodes.left.data[node]), int(nodes.right.data[node])]
    while waiting and len(found) < NEARBY:
        at = waiting.pop(0)
        if at >= 0:
            feature, value = int(nodes.feature.data[at]), nodes.threshold.data[at]
            with np.errstate(over="ignore"):
                found += [(feature, value), (feature, np.nextafter(value, np.float32(np.inf), dtype=np.float32))]
            waiting += [int(nodes.left.data[at]), int(nodes.right.data[at])]
    return found


def _leaf(op: TreeOp, at: int, row: Floats) -> int:
    nodes = op.nodes
    while at >= 0:
        goes_left = row[nodes.feature.data[at]] <= nodes.threshold.data[at]
        at = int((nodes.left if goes_left else nodes.right).data[at])
    return at


def _between(low: float, high: float) -> float:
    """A float32 in (low, high]."""
    if np.isinf(low) and np.isinf(high):
        return 0.0
    if np.isinf(low):
        return high
    if np.isinf(high):
        with np.errstate(over="ignore"):
            return float(np.nextafter(np.float32(low), np.float32(np.inf)))
    middle = float(np.float32((low + high) / 2))
    return middle if low < middle <= high else high


def _point_rows(points: Floats) -> Iterator[tuple[str, Floats]]:
    """Stored points, and the rows halfway between neighbours in the list: ties, where halves are exact."""
    for point in points:
        yield "stored point", point
    for one, other in itertools.pairwise(points):
        with np.errstate(over="ignore"):
            yield "between points", ((one + other) / np.float32(2)).astype(np.float32)


def _decision_rows(program: Program, pairs: int = 64) -> Iterator[tuple[str, Floats]]:
    """Between pairs of random rows with different labels, the last row of one label and the first of the other."""
    rows = random_rows(program, 4 * pairs, SEED + 1).values
    labels = _labels(program, rows)
    one, other = rows[: 2 * pairs], rows[2 * pairs :]
    differ = labels[: 2 * pairs] != labels[2 * pairs :]
    one, other = one[differ][:pairs], other[differ][:pairs]
    if len(one) == 0:
        return
    start = _labels(program, one)
    for _ in range(64):
        with np.errstate(over="ignore", invalid="ignore"):
            middle = (one / 2 + other / 2).astype(np.float32)
        same = np.equal(_labels(program, middle), start)[:, None]
        one, other = np.where(same, middle, one), np.where(same, other, middle)
    for before, after in zip(one, other, strict=True):
        yield "before a decision", before
        yield "after a decision", after


def _labels(program: Program, rows: Floats) -> NDArray[np.int32]:
    labels = program.classify(rows)
    assert labels is not None
    return labels


def text_array(texts: list[str]) -> Array:
    """Texts as rows of a Program with a text source."""
    rows = np.empty(len(texts), object)
    rows[:] = texts
    return rows
