"""Integer ops: numbers as codes of 8, 16 or 32 bits, each real value scale * code + offset.

Every op knows its exact integer arithmetic; the scales belong to the pass that made it (passes/quantise.py) and no op
needs them, but where floats become codes and codes floats. Knows no C, files or targets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from aprgen import mathf
from aprgen.program import Array, Proof, Table, ValueType

Code = Literal["i8", "i16", "i32"]
TYPES: dict[Code, type[np.signedinteger]] = {"i8": np.int8, "i16": np.int16, "i32": np.int32}
LARGEST: dict[Code, int] = {"i8": 127, "i16": 32767, "i32": (1 << 31) - 1}
LARGEST_UNSIGNED = (1 << 32) - 1

MAGIC = np.float32(12582912.0)  # 1.5 * 2^23: adding it rounds to an integer, half to even, for |x| <= 2^22
MAGIC_BITS = 0x4B400000
LARGEST_ZERO = 1 << 20  # of a zero point, so that codes stay where MAGIC rounds


@dataclass(frozen=True, eq=False)
class Quantise:
    """code_j = x_j * inverse_j, rounded half to even, minus zero_j, cut to what the element holds; NaN counts as 0."""

    element: Code
    inverse: Table  # f32 [1] for all elements alike, or [size]
    zero: Table  # i32, as long as `inverse`; |zero| <= LARGEST_ZERO
    size: int
    headers = ("apr_int.h",)
    kernel = "quantise_f32"

    @property
    def limit(self) -> int:
        return LARGEST[self.element]

    @property
    def uniform(self) -> bool:
        return self.inverse.data.size == 1

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("f32", self.size):
            raise ValueError(f"quantise takes f32[{self.size}], not {x}")
        return ValueType(self.element, self.size)

    def evaluate(self, x: Array) -> Array:
        """The bits of a float plus MAGIC are ordered as the floats are, but for the sign; so they can be clamped."""
        bits = np.asarray(x * self.inverse.data + MAGIC, np.float32).view(np.int32).astype(np.int64)
        zero = MAGIC_BITS + self.zero.data.astype(np.int64)
        code = np.where(np.isnan(x), MAGIC_BITS, bits) - zero
        return np.clip(code, -self.limit - 1, self.limit).astype(TYPES[self.element])


@dataclass(frozen=True, eq=False)
class Dequantise:
    """y_j = code_j * scale_j + offset_j, in float32: the code converted, then one rounding for each operation."""

    element: Code
    size: int
    scale: Table  # f32 [1] or [size]
    offset: Table | None  # f32, as long as `scale`; None: nothing is added
    headers = ()

    @property
    def kernel(self) -> str:
        return "dequantise_f32"

    @property
    def uniform(self) -> bool:
        return self.scale.data.size == 1

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.element, self.size):
            raise ValueError(f"dequantise takes {self.element}[{self.size}], not {x}")
        return ValueType("f32", self.size)

    def evaluate(self, x: Array) -> Array:
        y = x.astype(np.float32) * self.scale.data
        return np.asarray(y if self.offset is None else y + self.offset.data, np.float32)


def requantised(acc: Array, multiplier: Array, shift: Array) -> Array:
    """acc * multiplier / 2^(16 + shift), cut after the 16 bits and rounded half up after the rest; int64 in and out.

    acc: 32 bits; multiplier: [0, 2^15), so that the product of 48 bits has its upper 32 in one register of any core.
    """
    upper = (acc * multiplier) >> 16
    return (upper + (np.int64(1) << (shift - 1))) >> shift


@dataclass(frozen=True, eq=False)
class IntegerDense:
    """acc_r = bias_r + sum of weight_rc * x_c in 32 bits, which never overflow; then code_r = requantised, cut to what
    the element holds.

    The pass that makes it proves that |acc| <= largest_sum < 2^31 for all codes within the limits of x.
    """

    source: Code  # of x
    element: Code  # of the result
    largest_sum: int  # of all |acc|, proved
    weight: Table  # i8 or i16 [rows, cols]
    bias: Table  # i32 [rows]
    multiplier: Table  # i16 [rows], [0, 2^15)
    shift: Table  # u8 [rows] or [1] for all rows, [1, 31]
    headers = ("apr_int.h",)

    @property
    def kernel(self) -> str:
        return f"integer_dense_{'i8' if self.weight.data.dtype == np.int8 else 'i16'}"

    @property
    def rows(self) -> int:
        return int(self.weight.data.shape[0])

    @property
    def cols(self) -> int:
        return int(self.weight.data.shape[1])

    @property
    def high(self) -> int:
        """The largest code; 0 where 32 bits hold every code and nothing is cut."""
        return 0 if self.element == "i32" else LARGEST[self.element]

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.source, self.cols):
            raise ValueError(f"integer dense takes {self.source}[{self.cols}], not {x}")
        return ValueType(self.element, self.rows)

    @property
    def proofs(self) -> tuple[Proof, ...]:
        return (Proof("sum", self.largest_sum, LARGEST["i32"]),)

    def evaluate(self, x: Array) -> Array:
        """Sums in float64 are exact: no partial sum needs more than 53 bits."""
        acc = np.rint(x.astype(np.float64) @ self.weight.data.T.astype(np.float64)).astype(np.int64)
        acc += self.bias.data.astype(np.int64)
        code = requantised(acc, self.multiplier.data.astype(np.int64), self.shift.data.astype(np.int64))
        limit = LARGEST[self.element]
        return np.clip(code, -limit - 1, limit).astype(TYPES[self.element])


IN_LINE_COLUMNS = 64  # of IntegerSum: so many products are written out where the kernel knows how


@dataclass(frozen=True, eq=False)
class IntegerSum:
    """acc = bias + sum of weight_c * x_c in 32 bits, which never overflows: one result, and its codes are the sums.

    The pass that makes it proves that |acc| <= largest_sum < 2^31 for all numbers that the type of x holds.
    """

    source: Code  # of x
    largest_sum: int
    weight: Table  # i8 or i16 [cols]
    bias: int
    headers = ("apr_int.h",)

    @property
    def kernel(self) -> str:
        return f"integer_sum_{'i8' if self.weight.data.dtype == np.int8 else 'i16'}"

    @property
    def cols(self) -> int:
        return int(self.weight.data.size)

    @property
    def in_line(self) -> bool:
        return self.cols <= IN_LINE_COLUMNS

    @property
    def proofs(self) -> tuple[Proof, ...]:
        return (Proof("sum", self.largest_sum, LARGEST["i32"]),)

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.source, self.cols):
            raise ValueError(f"integer sum takes {self.source}[{self.cols}], not {x}")
        return ValueType("i32", 1)

    def evaluate(self, x: Array) -> Array:
        return (x.astype(np.int64) @ self.weight.data.astype(np.int64) + self.bias).astype(np.int32).reshape(-1, 1)


@dataclass(frozen=True, eq=False)
class Requantise:
    """A sum as a code: requantised, cut to what the element holds."""

    element: Literal["i8", "i16"]
    multiplier: int  # [0, 2^15)
    shift: int  # [1, 31]
    headers = ("apr_int.h",)
    kernel = "requantise"

    @property
    def bits(self) -> int:
        return 8 if self.element == "i8" else 16

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("i32", 1):
            raise ValueError(f"requantise takes i32[1], not {x}")
        return ValueType(self.element, 1)

    def evaluate(self, x: Array) -> Array:
        code = requantised(x.astype(np.int64), np.array(self.multiplier, np.int64), np.array(self.shift, np.int64))
        limit = LARGEST[self.element]
        return np.clip(code, -limit - 1, limit).astype(TYPES[self.element])


BLOCK_ROWS = 3  # of UnsignedDense: their sums, two pointers and two factors fit the eight low registers of Armv6-M


@dataclass(frozen=True, eq=False)
class UnsignedDense:
    """IntegerDense with weights of 8 bits for cores that load bytes without sign only: each is stored plus 128, and
    128 times the sum of x is taken off again.

    Rows stand in blocks of BLOCK_ROWS, the last with what is left; within a block column by column.
    """

    source: Code
    element: Code
    largest_sum: int
    rows: int
    cols: int
    weight: Table  # u8 [rows * cols]
    bias: Table  # i32 [rows]
    multiplier: Table
    shift: Table
    headers = ("apr_int.h",)
    kernel = "integer_dense_u8"

    @property
    def high(self) -> int:
        return 0 if self.element == "i32" else LARGEST[self.element]

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.source, self.cols):
            raise ValueError(f"unsigned dense takes {self.source}[{self.cols}], not {x}")
        return ValueType(self.element, self.rows)

    @property
    def proofs(self) -> tuple[Proof, ...]:
        return self.plain().proofs

    def evaluate(self, x: Array) -> Array:
        return self.plain().evaluate(x)

    def plain(self) -> IntegerDense:
        """The same op with its weights row by row."""
        parts = []
        for first in range(0, self.rows, BLOCK_ROWS):
            height = min(BLOCK_ROWS, self.rows - first)
            block = self.weight.data[first * self.cols : (first + height) * self.cols]
            parts.append(block.reshape(self.cols, height).T)
        weight = Table((np.concatenate(parts).astype(np.int16) - 128).astype(np.int8))
        return IntegerDense(
            self.source, self.element, self.largest_sum, weight, self.bias, self.multiplier, self.shift
        )


def unsigned(op: IntegerDense) -> UnsignedDense:
    """Weights of 8 bits in blocks of rows."""
    weight = (op.weight.data.astype(np.int16) + 128).astype(np.uint8)
    blocks = [weight[first : first + BLOCK_ROWS].T.reshape(-1) for first in range(0, op.rows, BLOCK_ROWS)]
    return UnsignedDense(
        op.source, op.element, op.largest_sum, op.rows, op.cols, Table(np.concatenate(blocks)), op.bias, op.multiplier,
        op.shift,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class IntegerLookup:
    """code_j = table[x_j + 128]: any function of one value of 8 bits."""

    size: int
    table: Table  # i8 [256]
    error: float  # between the function and what the code of the result stands for, of all codes the largest
    headers = ()

    @property
    def kernel(self) -> str:
        return "integer_lookup_i8"

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("i8", self.size):
            raise ValueError(f"integer lookup takes i8[{self.size}], not {x}")
        return x

    @property
    def proofs(self) -> tuple[Proof, ...]:
        return (Proof("difference from the function", self.error),)

    def evaluate(self, x: Array) -> Array:
        return np.asarray(self.table.data[x.astype(np.int64) + 128])


@dataclass(frozen=True, eq=False)
class Interpolate:
    """Any function of one value of 16 bits: a table at every 128th code, straight lines between, rounded down.

    code = t[i] + ((t[i + 1] - t[i]) * f >> 7), where i are the upper 9 bits of x + 32768 and f the lower 7.
    """

    size: int
    table: Table  # i16 [513]
    error: float  # between the function and what the code of the result stands for, of all codes the largest
    headers = ("apr_int.h",)

    @property
    def kernel(self) -> str:
        return "interpolate_i16"

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("i16", self.size):
            raise ValueError(f"interpolate takes i16[{self.size}], not {x}")
        return x

    @property
    def proofs(self) -> tuple[Proof, ...]:
        return (Proof("difference from the function", self.error),)

    def evaluate(self, x: Array) -> Array:
        place = x.astype(np.int64) + 32768
        table = self.table.data.astype(np.int64)
        at, part = place >> 7, place & 127
        return np.asarray(table[at] + (((table[at + 1] - table[at]) * part) >> 7)).astype(np.int16)


@dataclass(frozen=True, eq=False)
class IntegerSoftmax:
    """p_i = 2^(-d_i) / sum of 2^(-d_j) in Q15.

    d_i in Q16 is ((largest code - code_i) >> coarse) * step / 2^shift. 2^-f comes from a table of 33 values with
    straight lines between; powers below 2^-15 are 0. One division. Distances are cut at `reach`,
    whose power is 0; reach * step < 2^32. Where no code is above `least`, every p_i is `even`.

    error is how far a share can be from 2^(-gap_i * per_code) / sum of 2^(-gap_j * per_code), gaps in codes: exponents
    lose what `coarse`, `step` and `shift` round; powers what the table bends (h^2 / 8 times the second derivative) and
    1.5 units of Q15, all but the largest; the quotient 1.5 units.
    """

    element: Code  # of x: i16 or i32
    size: int
    coarse: int  # [0, 31]
    step: int
    shift: int  # [0, 31]
    reach: int
    table: Table  # u16 [33], exp2_table()
    per_code: float  # what a code is in the exponent
    least: int | None = None  # above -2^31
    headers = ("apr_int.h",)

    @property
    def kernel(self) -> str:
        return "integer_softmax"

    @property
    def even(self) -> int:
        return min((1 << 15) // self.size, LARGEST["i16"])

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.element, self.size):
            raise ValueError(f"integer softmax takes {self.element}[{self.size}], not {x}")
        return ValueType("i16", self.size)

    @property
    def error(self) -> float:
        """Of one share, for every input whose largest code is above `least`."""
        made = self.step / 2.0 ** (16 + self.shift + self.coarse)  # of a code in the exponent, as it is computed
        furthest = EXPONENT_BITS / self.per_code  # beyond that gap a share is below 2^-17
        exponent = furthest * abs(made - self.per_code) + (2.0**self.coarse - 1) * made + 2.0**-16
        bend = (math.log(2) / 32) ** 2 / 8
        relative = 2.0**exponent * (1 + bend) - 1
        if relative >= 1:
            return 1.0
        moved = math.tanh(math.log((1 + relative) / (1 - relative)) / 4)  # of a share, when all powers are so far off
        units = 1.5 * max(1, self.size - 1) / LARGEST["i16"]  # the largest power is exact, and the sum at least that
        return three_digits(min(1.0, moved + units + 1.5 * 2.0**-15))

    @property
    def proofs(self) -> tuple[Proof, ...]:
        product = Proof("product", self.reach * self.step, LARGEST_UNSIGNED)
        return product, Proof("difference of a share from softmax", self.error)

    def evaluate(self, x: Array) -> Array:
        codes = x.astype(np.int64)
        distance = np.minimum((codes.max(axis=1, keepdims=True) - codes) >> self.coarse, self.reach)
        exponent = (distance * self.step) >> self.shift
        table = self.table.data.astype(np.int64)
        at = (exponent & 0xFFFF) >> 11
        power = (table[at] - (((table[at] - table[at + 1]) * (exponent & 2047)) >> 11)) >> (exponent >> 16)
        reciprocal = (1 << 31) // power.sum(axis=1, keepdims=True)
        share = np.minimum((power * reciprocal) >> 16, LARGEST["i16"])
        if self.least is not None:
            share = np.where(codes.max(axis=1, keepdims=True) <= self.least, self.even, share)
        return np.asarray(share).astype(np.int16)


EXPONENT_BITS = 17
SMALLEST_POWER = EXPONENT_BITS << 16  # an exponent in Q16 whose power is 0 in Q15


def exp2_table() -> Table:
    """2^(-i/32), i from 0 to 32; 1 is 2^15 - 1, so that every power fits 16 bits with sign."""
    exponent = -np.arange(33, dtype=np.float32) / np.float32(32)
    return Table(np.rint(mathf.exp2f(exponent).astype(np.float64) * LARGEST["i16"]).astype(np.uint16))


@dataclass(frozen=True, eq=False)
class IntegerSquaredDistance:
    """y_i = sum over j of (x_j - point_ij)^2 >> shift, in 32 bits; the shift keeps the sum below 2^31."""

    source: Code  # i8 or i16
    points: Table  # i8 or i16 [points, features]
    shift: int
    headers = ()

    @property
    def kernel(self) -> str:
        return "integer_squared_distance"

    @property
    def largest_sum(self) -> int:
        return furthest_sum(self.points, self.source, self.shift, squares=True)

    @property
    def proofs(self) -> tuple[Proof, ...]:
        return (Proof("sum", self.largest_sum, LARGEST["i32"]),)

    def result(self, x: ValueType) -> ValueType:
        n_points, n_features = self.points.data.shape
        if x != ValueType(self.source, n_features):
            raise ValueError(f"integer squared distance takes {self.source}[{n_features}], not {x}")
        return ValueType("i32", n_points)

    def evaluate(self, x: Array) -> Array:
        acc = np.zeros((len(x), len(self.points.data)), np.int64)
        points = self.points.data.astype(np.int64)
        for col in range(points.shape[1]):
            difference = x[:, col : col + 1].astype(np.int64) - points[:, col]
            acc += (difference * difference) >> self.shift
        return acc.astype(np.int32)


def furthest_sum(points: Table, source: Code, shift: int, *, squares: bool) -> int:
    """The largest distance of any codes to a stored point: terms are |x - point| or its square, each >> shift."""
    size = np.abs(points.data.astype(np.int64)) + LARGEST[source] + 1
    return int(((size * size if squares else size) >> shift).sum(axis=1).max())


def three_digits(error: float) -> float:
    """Rounded up to three digits, as an error is stated."""
    if error == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(error)) - 2)
    return float(f"{math.ceil(error / unit) * unit:.2e}")
