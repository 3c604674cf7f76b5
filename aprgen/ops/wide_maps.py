"""Steps between sums for blocks of rows: maps, softmax, shares and labels in vectors of elements or of rows.

Each has the arithmetic of its op for one row (ops/elementwise.py, normalise.py, decide.py), so it gives the same bits.
Knows how tables are laid out for vectors; knows no C, files or targets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from aprgen.ops.decide import Argmax, Threshold
from aprgen.ops.elementwise import USES_MATH, Map, Stage
from aprgen.ops.normalise import Normalise, Softmax
from aprgen.ops.wide_floats import whole_quads
from aprgen.program import Array, Table, ValueType

UNROLLED = 4  # vectors of a Map, at most: WebAssembly, three times as fast as one (measured)
MOST_AGAIN = 1.1  # times the elements of a row, for vectors that begin with it


@dataclass(frozen=True, eq=False)
class BlockMap:
    """The stages of a Map on the elements of all rows, one behind the other in lanes.

    rows: of a block. width: floats of a vector. Tables of operands begin again behind their end, so that a vector can
    begin at each of the `size` elements; those of masks are f32. A block has at least `width` rows.
    """

    size: int
    rows: int
    width: int
    stages: tuple[Stage, ...]
    writes_rows: ClassVar[Literal[True]] = True

    @property
    def kernel(self) -> str:
        return "block_map_f32"

    @property
    def headers(self) -> tuple[str, ...]:
        return ("apr_float_maps.h",) if any(stage.verb in USES_MATH for stage in self.stages) else ("apr_maps.h",)

    @property
    def block_elements(self) -> int:
        return self.rows * self.size

    @property
    def turns(self) -> bool:
        """Whether elements of a row have operands of their own."""
        return any(stage.each is not None or stage.mask is not None for stage in self.stages)

    @property
    def by_row(self) -> bool:
        """Whether vectors begin with each row, as those with operands do where few elements are done again."""
        vectors = -(-self.size // self.width)
        return self.turns and self.size >= self.width and vectors * self.width <= self.size * MOST_AGAIN

    @property
    def unrolled(self) -> int:
        """Vectors in a round of a loop: short ones would wait for its end."""
        return 1 if any(stage.verb in USES_MATH for stage in self.stages) else UNROLLED

    @property
    def together(self) -> int:
        """By row, elements that such rounds take."""
        return self.size - self.size % (self.unrolled * self.width)

    @property
    def alone(self) -> tuple[int, ...]:
        """By row, where vectors begin behind them."""
        whole = tuple(range(self.together, self.size - self.width + 1, self.width))
        return whole if self.size % self.width == 0 else (*whole, self.size - self.width)

    @property
    def step(self) -> int:
        """Elements of a row that one vector goes on, full rows aside."""
        return self.width % self.size

    @property
    def constants(self) -> tuple[bool, ...]:
        """By stage, whether it has an operand that stands once for all vectors."""
        return tuple(stage.constant is not None for stage in self.stages)

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("f32", self.size):
            raise ValueError(f"map takes f32[{self.size}], not {x}")
        return x

    def evaluate(self, x: Array) -> Array:
        def of_row(table: Table | None) -> Table | None:
            return None if table is None else Table(table.data[: self.size])

        stages = tuple(replace(one, each=of_row(one.each), mask=of_row(one.mask)) for one in self.stages)
        return Map(self.size, stages).evaluate(x)


def block_map(op: Map, rows: int, width: int) -> BlockMap:
    def begun_again(table: Table | None) -> Table | None:
        if table is None:
            return None
        return Table(np.resize(table.data.astype(np.float32), op.size + width - 1))

    stages = tuple(replace(stage, each=begun_again(stage.each), mask=begun_again(stage.mask)) for stage in op.stages)
    return BlockMap(op.size, rows, width, stages)


@dataclass(frozen=True, eq=False)
class InLanes:
    """What ops with rows in lanes have in common. A block has at least `width` rows."""

    size: int  # elements of a row
    rows: int  # of a block
    width: int  # floats of a vector
    writes_rows: ClassVar[Literal[True]] = True

    @property
    def quads(self) -> int:
        return whole_quads(self.size)

    @property
    def block_elements(self) -> int:
        return self.rows * self.size


@dataclass(frozen=True, eq=False)
class BlockSoftmax(InLanes):
    """As Softmax: its maximum and its sum run from left to right."""

    by_reciprocal: bool
    headers = ("apr_float_maps.h",)
    kernel = "block_softmax_f32"

    def result(self, x: ValueType) -> ValueType:
        return Softmax(self.size).result(x)

    def evaluate(self, x: Array) -> Array:
        return Softmax(self.size, self.by_reciprocal).evaluate(x)


@dataclass(frozen=True, eq=False)
class BlockNormalise(InLanes):
    """As Normalise: its sum runs from left to right."""

    floor: float | None
    headers = ("apr_maps.h",)
    kernel = "block_normalise_f32"

    @property
    def has_floor(self) -> bool:
        return self.floor is not None

    @property
    def uniform(self) -> float:
        return Normalise(self.size, self.floor).uniform

    def result(self, x: ValueType) -> ValueType:
        return Normalise(self.size, self.floor).result(x)

    def evaluate(self, x: Array) -> Array:
        return Normalise(self.size, self.floor).evaluate(x)


@dataclass(frozen=True, eq=False)
class BlockArgmax(InLanes):
    """As Argmax of floats. labels: i32 [1 + size], that of a row with a NaN first; None: the index is the label."""

    labels: Table | None
    last_wins: bool
    nan_gives_zero: bool
    headers = ("apr_maps.h",)
    kernel = "block_argmax_f32"

    @property
    def first(self) -> int:
        """The place of the first element."""
        return 0 if self.labels is None else 1

    @property
    def block_elements(self) -> int:
        return self.rows

    def result(self, x: ValueType) -> ValueType:
        return self._of_rows.result(x)

    @property
    def _of_rows(self) -> Argmax:
        labels = None if self.labels is None else Table(self.labels.data[1:])
        return Argmax("f32", self.size, labels, self.last_wins, self.nan_gives_zero)

    def evaluate(self, x: Array) -> Array:
        return self._of_rows.evaluate(x)


def block_argmax(op: Argmax, rows: int, width: int) -> BlockArgmax:
    labels = None if op.labels is None else Table(np.append(np.int32(0), op.labels.data).astype(np.int32))
    return BlockArgmax(op.size, rows, width, labels, op.last_wins, op.nan_gives_zero)


@dataclass(frozen=True)
class BlockThreshold:
    """As Threshold, rows in lanes. A block has at least `width` rows."""

    rows: int
    width: int
    at_least: bool
    limit: float
    then: int
    otherwise: int
    headers = ("apr_maps.h",)
    kernel = "block_threshold_f32"
    writes_rows: ClassVar[Literal[True]] = True

    @property
    def block_elements(self) -> int:
        return self.rows

    @property
    def _of_rows(self) -> Threshold:
        return Threshold("ge" if self.at_least else "lt", self.limit, self.then, self.otherwise)

    def result(self, x: ValueType) -> ValueType:
        return self._of_rows.result(x)

    def evaluate(self, x: Array) -> Array:
        return self._of_rows.evaluate(x)
