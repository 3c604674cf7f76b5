"""Sums of integers for blocks of rows: outputs in the lanes of vectors, weights packed in the order of their reading.

Codes between such ops are laid out for the next one: rows padded to whole vectors, as bytes plus 128 where the target
multiplies bytes without a sign by bytes with one, as 16 bits where it multiplies those, as 32 for differences of codes
of 16. Sums wrap modulo 2^32 and are proved to end within 32 bits, so neither order nor offset changes them. Knows how
things lie; knows no C or targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.integer import LARGEST, MAGIC, MAGIC_BITS, TYPES, Code, requantised
from aprgen.ops.wide_floats import Group, groups
from aprgen.program import Array, Proof, Table, ValueType

LaidElement = Literal["u8", "i8", "i16", "i32"]
End = Literal["laid", "rows", "floats"]

OFFSET = 128  # of codes of 8 bits that are laid without a sign
STORED: dict[str, type[np.integer]] = {"u8": np.uint8, "i8": np.int8, "i16": np.int16, "i32": np.int32}


@dataclass(frozen=True)
class Lay:
    """How the codes of a value lie in a block, and how weights of an op that reads them are packed.

    element: of memory. code: what the codes are. width: sums of a vector. step: columns that are read at once; of
    these `group` neighbours stand side by side in a lane.
    """

    element: LaidElement
    code: Code
    width: int
    step: int
    group: int

    def __post_init__(self) -> None:
        if self.step % self.group or self.width % self.step:
            raise ValueError(f"steps of {self.step} columns in groups of {self.group}, {self.width} sums a vector")

    @property
    def low(self) -> int:
        """The lowest code."""
        return -LARGEST[self.code] - 1

    @property
    def high(self) -> int:
        return LARGEST[self.code]

    @property
    def offset(self) -> int:
        """What is added to codes."""
        return OFFSET if self.element == "u8" else 0

    def stride(self, n: int) -> int:
        """Elements from one row of n codes to the next."""
        return -(-n // self.width) * self.width

    def laid(self, codes: Array) -> Array:
        return np.asarray(codes + self.offset).astype(STORED[self.element])


@dataclass(frozen=True, eq=False)
class QuantiseRow:
    """The codes of Quantise, laid out, in whole vectors.

    inverse: f32, padded with zeros, or [1] for all columns. least: i32, as long: the bits of the float whose code is
    the lowest, or of lower ones.
    """

    n_in: int
    lay: Lay
    inverse: Table
    least: Table
    headers = ("apr_sums.h",)

    @property
    def kernel(self) -> str:
        return "quantise_row_f32"

    @property
    def uniform(self) -> bool:
        return self.inverse.data.size == 1

    @property
    def stride(self) -> int:
        return self.lay.stride(self.n_in)

    @property
    def whole(self) -> int:
        """Columns in whole vectors."""
        return self.n_in - self.n_in % self.lay.width

    @property
    def rest(self) -> int:
        return self.n_in % self.lay.width

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("f32", self.n_in):
            raise ValueError(f"quantise takes f32[{self.n_in}], not {x}")
        return ValueType(self.lay.element, self.stride)

    def evaluate(self, x: Array) -> Array:
        padded = np.pad(x, ((0, 0), (0, self.stride - self.n_in)))
        bits = np.asarray(padded * self.inverse.data + MAGIC, np.float32).view(np.int32)
        bits = np.where(np.isnan(padded), np.int32(MAGIC_BITS), bits)
        above = np.maximum(bits, self.least.data).astype(np.int64) - self.least.data
        return self.lay.laid(np.minimum(above, self.lay.high - self.lay.low) + self.lay.low)


@dataclass(frozen=True, eq=False)
class QuantiseRows(QuantiseRow):
    """The same for a block of rows."""

    rows: int

    @property
    def kernel(self) -> str:
        return "quantise_rows_f32"

    @property
    def block_elements(self) -> int:
        return self.rows * self.stride

    def result(self, x: ValueType) -> ValueType:
        return ValueType(super().result(x).element, self.n_in)

    def evaluate(self, x: Array) -> Array:
        return super().evaluate(x)[:, : self.n_in]


@dataclass(frozen=True)
class LayCodes:
    """Codes that lie row by row, `from_stride` elements from one to the next, laid out."""

    n_in: int
    rows: int
    lay: Lay
    from_stride: int
    headers = ()
    kernel = "lay_codes"

    @property
    def stride(self) -> int:
        return self.lay.stride(self.n_in)

    @property
    def block_elements(self) -> int:
        return self.rows * self.stride

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.lay.code, self.n_in):
            raise ValueError(f"codes of {self.lay.code}[{self.n_in}] are laid out, not {x}")
        return ValueType(self.lay.element, self.n_in)

    def evaluate(self, x: Array) -> Array:
        return self.lay.laid(x.astype(np.int64))


@dataclass(frozen=True)
class LayRow:
    """LayCodes of one row; its value is all that it writes."""

    n_in: int
    lay: Lay
    headers = ()
    kernel = "lay_row"

    @property
    def stride(self) -> int:
        return self.lay.stride(self.n_in)

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.lay.code, self.n_in):
            raise ValueError(f"codes of {self.lay.code}[{self.n_in}] are laid out, not {x}")
        return ValueType(self.lay.element, self.stride)

    def evaluate(self, x: Array) -> Array:
        return np.pad(self.lay.laid(x.astype(np.int64)), ((0, 0), (0, self.stride - self.n_in)))


@dataclass(frozen=True, eq=False)
class LookUpCodes:
    """IntegerLookup of codes that are laid out; the result is laid out in the same way.

    table: [256], of the element of memory, from the lowest code on.
    """

    n_in: int
    rows: int
    lay: Lay
    table: Table
    error: float
    headers = ("apr_lookup.h",)
    kernel = "look_up_codes"

    @property
    def stride(self) -> int:
        return self.lay.stride(self.n_in)

    @property
    def block_elements(self) -> int:
        return self.rows * self.stride

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.lay.element, self.n_in):
            raise ValueError(f"codes of {self.lay.element}[{self.n_in}] are looked up, not {x}")
        return x

    def evaluate(self, x: Array) -> Array:
        return np.asarray(self.table.data[x.astype(np.int64) - self.lay.offset - self.lay.low])


@dataclass(frozen=True, eq=False)
class CodeSums:
    """IntegerDense or IntegerSum: acc = bias + sum of weight * x modulo 2^32; then the code, cut to what it may be;
    then laid out (to), or row by row (to None, `end` "rows"), or as floats: code * scale + offset. With `distance`
    IntegerSquaredDistance: the sum of (x - weight)^2, of codes of 8 bits laid as 16; or of (x - weight)^2 >> drop, of
    codes laid as 32 bits.

    weight: flat; for each tile's panels one after the other, step by step: see packed(). bias, multiplier, shift,
    scale, offset: padded to whole vectors. bias has what the offset of x adds taken off. multiplier None: codes are
    sums.
    """

    n_in: int
    n_sums: int
    largest_sum: int
    lay: Lay  # of x
    code: Code
    end: End
    to: Lay | None
    tile_panels: int
    weight: Table  # i8 or i16
    bias: Table  # i32
    multiplier: Table | None  # i32
    shift: Table | None  # i32
    scale: Table | None  # f32
    offset: Table | None  # f32
    distance: bool
    drop: int
    headers = ("apr_sums.h",)

    @property
    def width(self) -> int:
        return self.lay.width

    @property
    def x_stride(self) -> int:
        return self.lay.stride(self.n_in)

    @property
    def padded(self) -> int:
        """Sums in whole vectors."""
        return self.lay.stride(self.n_sums)

    @property
    def y_stride(self) -> int:
        """From one row of the value to the next."""
        return self.n_sums if self.as_floats else self.padded

    @property
    def n_cols(self) -> int:
        """In whole steps."""
        return -(-self.n_in // self.lay.step) * self.lay.step

    @property
    def even_cols(self) -> int:
        """In whole pairs of steps, which one row takes so that its sums need not wait for each other."""
        return self.n_cols - self.n_cols % (2 * self.lay.step)

    @property
    def as_floats(self) -> bool:
        return self.end == "floats"

    @property
    def stored(self) -> str:
        """The element of memory."""
        return self.code if self.to is None else self.to.element

    @property
    def cut(self) -> bool:
        """Whether codes are cut to less than what storing cuts them to."""
        wider = self.stored == "i32" or (self.code == "i8" and self.stored == "i16")
        return self.code != "i32" and (self.as_floats or wider)

    @property
    def low(self) -> int:
        """The lowest code."""
        return -LARGEST[self.code] - 1

    @property
    def high(self) -> int:
        return LARGEST[self.code]

    @property
    def added(self) -> str:
        """What kernels add to sums."""
        return f"square_{self.lay.element}" if self.distance else self.lay.element

    @property
    def drops(self) -> bool:
        """Whether a term has a shift of its own, which may be 0."""
        return self.lay.element == "i32"

    @property
    def terms(self) -> str:
        return "squared differences" if self.distance else "products"

    def _groups(self, tile_rows: int, rows: int) -> tuple[Group, ...]:
        made = groups(self.n_sums, self.width, self.tile_panels, tile_rows, rows)
        return tuple(Group(g.first, g.end, g.across, g.last, g.whole, _tiles(g.rows[0])) for g in made)

    def _value(self, x: Array) -> Array:
        """Of rows of n_in codes that are laid out, with all sums that fill up vectors."""
        weight = unpacked(self.weight.data, self.n_in, self.padded, self.tile_panels, self.lay)
        if self.distance:
            acc = _squares(x.astype(np.int64), weight.astype(np.int64), self.drop)
        else:
            acc = np.rint(x.astype(np.float64) @ weight.astype(np.float64)).astype(np.int64)
        code = (acc + self.bias.data).astype(np.int32).astype(np.int64)  # modulo 2^32
        if self.multiplier is not None and self.shift is not None:
            limit = LARGEST[self.code]
            made = requantised(code, self.multiplier.data.astype(np.int64), self.shift.data.astype(np.int64))
            code = np.clip(made, -limit - 1, limit)
        if self.to is not None:
            return self.to.laid(code)
        if self.scale is None:
            return code.astype(TYPES[self.code])
        y = code.astype(np.float32) * self.scale.data
        return np.asarray(y if self.offset is None else y + self.offset.data, np.float32)


@dataclass(frozen=True, eq=False)
class DensePanels(CodeSums):
    """CodeSums for a block of rows. A panel is as many sums as a vector has; a tile is some rows of some panels.

    Codes that lie row by row have whole vectors a row.
    """

    rows: int
    tile_rows: int
    kernel = "dense_panels_codes"
    writes_rows: ClassVar[Literal[True]] = True  # floats; other codes are no result

    @property
    def groups(self) -> tuple[Group, ...]:
        return self._groups(self.tile_rows, self.rows)

    @property
    def row_elements(self) -> int:
        return self.y_stride

    @property
    def block_elements(self) -> int:
        return self.rows * self.row_elements

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.lay.element, self.n_in):
            raise ValueError(f"panels take {self.lay.element}[{self.n_in}], not {x}")
        return ValueType("f32" if self.as_floats else self.stored, self.n_sums)  # type: ignore[arg-type]

    def evaluate(self, x: Array) -> Array:
        return self._value(x)[:, : self.n_sums]


@dataclass(frozen=True, eq=False)
class DenseRow(CodeSums):
    """CodeSums for one row, tile by tile. What is laid out is in whole vectors, in and out."""

    kernel = "dense_row_codes"

    @property
    def groups(self) -> tuple[Group, ...]:
        return self._groups(1, 1)

    @property
    def proofs(self) -> tuple[Proof, ...]:
        return (Proof("sum", self.largest_sum, LARGEST["i32"]),)

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.lay.element, self.x_stride):
            raise ValueError(f"a row of panels takes {self.lay.element}[{self.x_stride}], not {x}")
        return ValueType(self.stored, self.n_sums if self.to is None else self.padded)  # type: ignore[arg-type]

    def evaluate(self, x: Array) -> Array:
        made = self._value(x[:, : self.n_in])
        return made[:, : self.n_sums] if self.to is None else made


def _squares(x: Array, columns: Array, drop: int) -> Array:
    """Squared distances, of rows to columns; each square loses its last bits."""
    acc = np.zeros((len(x), columns.shape[1]), np.int64)
    for col, points in enumerate(columns):
        acc += (x[:, col : col + 1] - points) ** 2 >> drop
    return acc


def _tiles(most: int) -> tuple[int, ...]:
    """Rows of tiles, most first: few rows that are left over still share what they load."""
    return tuple(sorted({most, *(n for n in (2, 1) if n < most)}, reverse=True))


def packed(columns: NDArray[np.integer], tile_panels: int, lay: Lay) -> Table:
    """Weights [n_in, n_out] in the order in which a tile reads them: step by step, of a step panel by panel, of a panel
    group by group, of a group sum by sum its neighbouring columns. Zeros fill steps and panels up."""
    n_in, n_out = columns.shape
    steps = -(-n_in // lay.step)
    kind = {"i16": np.int16, "i32": np.int32}.get(lay.element, np.int8)
    parts = []
    for group in groups(n_out, lay.width, tile_panels, 1, 1):
        across = group.across * lay.width
        for first in range(group.first, group.end, across):
            own = columns[:, first : first + across]
            own = np.pad(own, ((0, steps * lay.step - n_in), (0, across - own.shape[1])))
            shaped = own.reshape(steps, lay.step // lay.group, lay.group, group.across, lay.width)
            parts.append(shaped.transpose(0, 3, 1, 4, 2).reshape(-1))
    return Table(np.concatenate(parts).astype(kind), lines=True)


def unpacked(weight: Array, n_in: int, n_out: int, tile_panels: int, lay: Lay) -> Array:
    """The weights [n_in, n_out] of packed()."""
    steps = -(-n_in // lay.step)
    parts, at = [], 0
    for group in groups(n_out, lay.width, tile_panels, 1, 1):
        across = group.across * lay.width
        for _ in range(group.first, group.end, across):
            size = steps * lay.step * across
            shaped = weight[at : at + size].reshape(steps, group.across, lay.step // lay.group, lay.width, lay.group)
            parts.append(shaped.transpose(0, 2, 4, 1, 3).reshape(steps * lay.step, across))
            at += size
    return np.asarray(np.concatenate(parts, axis=1)[:n_in, :n_out])
