"""Neighbours for blocks of rows, with rows in lanes, and for one row, with points in lanes; never a part of a sum.

Each sum has the order of ops/distance.py and rounds as often, so it gives the same bits. Knows how tables and what is
kept of the nearest are laid out for vectors; knows no C, files or targets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.distance import Metric, Neighbours
from aprgen.ops.wide_floats import Lanes, whole_quads
from aprgen.program import Array, Table, ValueType

SPARE = 2  # screened points beside the k nearest: it is rare that three are as near to within rounding
FEW = 64  # times as many points as are listed: with 45 (k = 20 of 1,000, 64 columns) a list costs what a screen saves
UNROLLED = 16  # places of a list, at most: then compilers know which comparisons are the same
_UNIT = 2.0**-24  # of float32: what a rounding changes at most, as a part of the number
GROUPS = 6  # of points, times k: then five of 150 are left alone in five of six rows
MOST_COUNTED = 32  # words of bits
FEW_COLUMNS = 8  # are written out for each point


@dataclass(frozen=True, eq=False)
class InVectors:
    """As Neighbours, for points that are finite: then a distance is a NaN only where the row has one.

    rows: of a block. width: floats of a vector.
    """

    metric: Metric
    weighted: bool
    k: int
    points: Table  # f32 [points, features]
    classes: Table  # as of Neighbours
    n_classes: int
    near: float
    rows: int
    width: int
    writes_rows: ClassVar[Literal[True]] = True

    @property
    def euclidean(self) -> bool:
        return self.metric == "euclidean"

    @property
    def n_points(self) -> int:
        return len(self.points.data)

    @property
    def n_in(self) -> int:
        return int(self.points.data.shape[1])

    @property
    def quads(self) -> int:
        return whole_quads(self.n_in)

    @property
    def block_elements(self) -> int:
        return self.rows * self.n_classes

    @property
    def _of_rows(self) -> Neighbours:
        return Neighbours(self.metric, 2.0, self.weighted, self.k, self.points, self.classes, self.n_classes, self.near)

    def result(self, x: ValueType) -> ValueType:
        return self._of_rows.result(x)

    def evaluate(self, x: Array) -> Array:
        return self._of_rows.evaluate(x)


class PointTiles(ABC):
    """A tile has `groups` vectors of rows and up to `tile_points` points; each lane keeps a list of `k` of them."""

    k: int
    groups: int
    tile_points: int

    @property
    @abstractmethod
    def n_points(self) -> int: ...

    @property
    def unrolled(self) -> bool:
        """Whether the steps of going into a list are written out."""
        return self.k <= UNROLLED

    @property
    def tile_groups(self) -> tuple[int, ...]:
        return (self.groups, 1) if self.groups > 1 else (1,)

    @property
    def whole_points(self) -> int:
        """Of whole tiles."""
        return self.n_points - self.n_points % self.tile_points

    @property
    def last_points(self) -> int:
        return self.n_points % self.tile_points


@dataclass(frozen=True, eq=False)
class BlockNeighbours(InVectors, PointTiles):
    """Rows in lanes; a block has at least `width` of them.

    A tile has `groups` times `width` rows and up to `tile_points` points. The list of a lane's nearest is sorted as
    integers, which for distances is their order as floats; a place that is free is above infinity.
    """

    groups: int
    tile_points: int
    headers = ("apr_maps.h",)
    kernel = "block_neighbours_f32"

    @property
    def stack_bytes(self) -> int:
        """Of a tile: its rows by column, the lists, and sums."""
        vectors = self.n_in + 2 * self.k + self.tile_points
        return 4 * self.width * self.groups * vectors


class Sifted(ABC):
    """Of the sums of a vector of rows to all points few are below a bound, and these are sorted.

    The bound: the k-th of the least of `minima` groups of points. `counted`: where k points are left, a class has as
    many votes as members among them. members: u32 [classes, words], a bit for each point.
    """

    k: int
    n_classes: int

    @property
    @abstractmethod
    def n_points(self) -> int: ...

    @property
    def minima(self) -> int:
        return min(self.n_points, GROUPS * self.k)

    @property
    def whole_words(self) -> int:
        return self.n_points // 32

    @property
    def last_word(self) -> int:
        """Points of the last word, where it is not whole."""
        return self.n_points % 32

    @property
    def needed_words(self) -> int:
        return -(-self.n_points // 32)

    @property
    def n_words(self) -> int:
        """In pairs."""
        return words_of(self.n_points)

    @property
    def sifted_words(self) -> int:
        """On the stack, for a row: sums, and bits of points."""
        return self.n_points + self.n_words


def words_of(n_points: int) -> int:
    return 2 * -(-n_points // 64)


def counted_members(classes: Table, n_classes: int) -> Table | None:
    """See Sifted. None: votes of single points take less instructions."""
    n_words = words_of(len(classes.data))
    if n_words * (n_classes + 1) > MOST_COUNTED:
        return None
    bits = np.zeros((n_classes, 32 * n_words), np.uint8)
    bits[classes.data, np.arange(len(classes.data))] = 1
    return Table(np.packbits(bits, axis=1, bitorder="little").view("<u4"))


@dataclass(frozen=True, eq=False)
class BoundedNeighbours(BlockNeighbours, Sifted):
    """One vector of rows in lanes; see Sifted."""

    members: Table | None
    kernel = "bounded_neighbours_f32"

    @property
    def headers(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("apr_maps.h", "apr_sqrt.h") if self.euclidean else ("apr_maps.h",)

    @property
    def counted(self) -> bool:
        return self.members is not None

    @property
    def few_cols(self) -> bool:
        return self.n_in <= FEW_COLUMNS

    @property
    def stack_bytes(self) -> int:
        return 4 * self.width * (self.n_in + self.sifted_words + 1)


@dataclass(frozen=True, eq=False)
class ScreenedNeighbours(BlockNeighbours):
    """Rows in lanes; most points are left out by a product with the row, which costs less than a distance.

    Half the square of a point, less the product, is half the squared distance less a constant of the row. Of the
    `listed` points with the least of that the distances are computed as ever; where the last of them is not further
    away than the k-th nearest by more than all roundings can be, those of all points are. Votes that weigh the same
    need no distances where the k least are below the next by more than that.
    halves: f32 [points], half the square of each.
    """

    halves: Table
    kernel = "screened_neighbours_f32"

    @property
    def listed(self) -> int:
        return self.k + SPARE

    @property
    def most_square(self) -> float:
        """The largest square of a point, at least."""
        return float(np.float32(_squares(self.points).max() * (1 + 1e-6)))

    @property
    def error(self) -> float:
        """Of screened squares, in parts of the squares of the row and of the point.

        With u = 2^-24 and n columns: the product has at most (n + 1) u of |row| |point| and half the point's square
        (Higham, Accuracy and Stability of Numerical Algorithms, 3.1), the row's square n u of itself, and the distance
        as it is computed (n + 2) u of itself. In parts of (|row| + |point|)^2, at most twice the sum of both squares,
        that is less than (3 n + 6) u; ten more are for the roundings of the comparison.
        """
        return 1.05 * 2 * (3 * self.n_in + 16) * 2.0**-24

    @property
    def beyond(self) -> float:
        """Times the last distance's square: what is above that has a larger root, rounded, too."""
        return 1 + 2.0**-19

    @property
    def stack_bytes(self) -> int:
        return super().stack_bytes + 4 * self.width * self.groups * 2 * (self.listed + 1)


@dataclass(frozen=True)
class RowTiles:
    """Points in lanes, for one row: a tile has `vectors` of them, the last one what is left, and there is a whole one.

    The last vector is filled up with points of the one before.
    """

    n_points: int
    width: int
    vectors: int

    @property
    def points(self) -> int:
        """Of a whole tile."""
        return self.vectors * self.width

    @property
    def filled_up(self) -> bool:
        return self.n_points % self.width > 0

    @property
    def n_whole(self) -> int:
        return self.n_points // self.points

    @property
    def n_all(self) -> int:
        return -(-self.n_points // self.points)

    @property
    def whole(self) -> tuple[int, ...]:
        """The first point of each vector of a whole tile, from that of the tile on."""
        return tuple(range(0, self.points, self.width))

    @property
    def last(self) -> tuple[int, ...]:
        """The first point of each vector of a last tile that is not whole."""
        own = range(self.n_whole * self.points, self.n_points, self.width)
        return tuple(min(first, self.n_points - self.width) for first in own)


@dataclass(frozen=True, eq=False, kw_only=True)
class RowNeighbours(Neighbours):
    """Neighbours with points in lanes; all are finite."""

    tiles: RowTiles

    @property
    def kernel(self) -> str:
        return "row_neighbours_f32"

    @property
    def headers(self) -> tuple[str, ...]:
        return ("apr_maps.h", "apr_sqrt.h") if self.euclidean else ("apr_maps.h",)

    @property
    def euclidean(self) -> bool:
        return self.metric == "euclidean"

    @property
    def quads(self) -> int:
        return whole_quads(int(self.points.data.shape[1]))


@dataclass(frozen=True, eq=False, kw_only=True)
class ScreenedLanes(Lanes):
    """The nearest point, found by products with the row, which cost less than distances; these settle what is close.

    Half the square of a point, less the product, is half the squared distance less a constant of the row. Of rows where
    the two least of these differ by more than all roundings can be the nearest is known; of others the distances are
    computed as ever. halves: f32 [points], half the square of each.
    """

    halves: Table

    @property
    def kernel(self) -> str:
        return "screened_lanes_f32"

    @property
    def headers(self) -> tuple[str, ...]:
        return (*super().headers, "apr_maps.h")

    # With u = 2^-24 and n columns, half the square less the product has an error of at most (n + 3) u (|row| |point| +
    # point^2 / 2), and a squared distance as it is computed one of (n + 2) u of itself (Higham, Accuracy and Stability
    # of Numerical Algorithms, 3.1); half of two of these add up to row^2 and what was screened of both. 1.05 is for
    # terms of a higher order, and for roundings of the bound.

    @property
    def of_root(self) -> float:
        """Of the difference between the two least, times the root of the row's square."""
        return float(np.float32(2.1 * (self.n_in + 3) * _UNIT * np.sqrt(_squares(self.weight, 0).max())))

    @property
    def of_points(self) -> float:
        return float(np.float32(1.05 * (self.n_in + 3) * _UNIT * _squares(self.weight, 0).max()))

    @property
    def of_distances(self) -> float:
        """Times 16 times the row's square and what was screened: infinite from 2^124 on, as distances can be."""
        return float(np.float32(1.05 * (self.n_in + 4) * _UNIT / 16))


MOST_SCREENED = 1000  # columns: with more the bound grows faster than what lies between the two nearest
FROM_ZERO = 16  # times the largest square of a point from their middle: with a larger one from zero, too


def can_be_screened(form: Lanes) -> bool:
    """Not where it is no distance, points are the same, so that many rows would be in doubt, or bounds of roundings do
    not hold for squares of such a size."""
    if not form.distance or not 1e-20 < _squares(form.weight, 0).max() < 1e20 or form.n_in > MOST_SCREENED:
        return False
    return bool(np.unique(form.columns(), axis=1).shape[1] == form.n_sums)


def screened_lanes(form: Lanes) -> ScreenedLanes | None:
    """None: many rows would be in doubt, as points are far from zero. The form can be screened."""
    squares = _squares(form.weight, 0)
    points = form.columns().astype(np.float64)
    from_middle = np.square(points - points.mean(axis=1, keepdims=True)).sum(axis=0).max()
    if squares.max() > FROM_ZERO * from_middle:
        return None
    own = {field.name: getattr(form, field.name) for field in fields(form)} | {"nearest": True}
    return ScreenedLanes(**own, halves=Table((squares / 2).astype(np.float32)))


def block_neighbours(op: Neighbours, rows: int, width: int, groups: int, tile_points: int) -> BlockNeighbours | None:
    """None: it has no such form."""
    if not _takes_vectors(op):
        return None
    return BlockNeighbours(
        op.metric, op.weighted, op.k, op.points, op.classes, op.n_classes, op.near, rows, width, groups,
        min(tile_points, op.n_points),
    )  # fmt: skip


def screened_neighbours(form: BlockNeighbours) -> ScreenedNeighbours | None:
    """None: bounds of roundings do not hold for squares of such a size, or the points are few."""
    squares = _squares(form.points)
    if form.metric != "euclidean" or not 1e-20 < squares.max() < 1e20 or form.n_points < FEW * (form.k + SPARE):
        return None
    own = {field.name: getattr(form, field.name) for field in fields(form)}
    return ScreenedNeighbours(**own, halves=Table((squares / 2).astype(np.float32)))


def bounded_neighbours(form: BlockNeighbours) -> BoundedNeighbours | None:
    """None: the list is too long."""
    if form.k > UNROLLED:
        return None
    own = {field.name: getattr(form, field.name) for field in fields(form)}
    members = None if form.weighted else counted_members(form.classes, form.n_classes)
    return BoundedNeighbours(**(own | {"groups": 1}), members=members)


def _squares(points: Table, axis: int = 1) -> NDArray[np.float64]:
    """axis: that of the columns."""
    return np.asarray(np.square(points.data.astype(np.float64)).sum(axis=axis))


def row_neighbours(op: Neighbours, width: int, vectors: int) -> RowNeighbours | None:
    """None: it has no such form, or less than four columns, which take longer to gather than to add up."""
    if not _takes_vectors(op) or op.n_points < width or not whole_quads(op.points.data.shape[1]):
        return None
    own = {field.name: getattr(op, field.name) for field in fields(Neighbours)}
    return RowNeighbours(**own, tiles=RowTiles(op.n_points, width, min(vectors, op.n_points // width)))


def _takes_vectors(op: Neighbours) -> bool:
    return op.metric != "minkowski" and bool(np.isfinite(op.points.data).all())
