"""Codes of a row: for each feature that trees read, an integer in the order of its values, mostly a small one.

A split `x <= t` on floats is exactly a comparison of codes, since no threshold lies between values of one code. NaN has
the largest code, both zeros the same. Know the arithmetic of making codes; know no trees, C or targets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.trees import NAN_KEY, float_keys
from aprgen.program import Array, Table, ValueType

CodeElement = Literal["u8", "u16", "i32", "i8", "i16"]  # the last two are a caller's: no op makes them of floats

CODE_TYPES: dict[CodeElement, type[np.integer]] = {
    "u8": np.uint8, "u16": np.uint16, "i32": np.int32, "i8": np.int8, "i16": np.int16
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class CodeOp(ABC):
    """What the makers of codes share: y_i is the code of x[columns_i]."""

    n_in: int
    element: CodeElement

    headers = ("apr_code.h",)

    @property
    @abstractmethod
    def kernel(self) -> str:
        ...

    @property
    @abstractmethod
    def read(self) -> NDArray[np.int64]:
        """The columns of the row, in the order of the codes."""

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("f32", self.n_in):
            raise ValueError(f"codes are made of f32[{self.n_in}], not {x}")
        return ValueType(self.element, len(self.read))

    @abstractmethod
    def evaluate(self, x: Array) -> Array:
        ...


@dataclass(frozen=True, eq=False)
class ShiftCodes(CodeOp):
    """ceil((key - base) / 2^shift), from 0 to top: for thresholds whose keys are base plus multiples of 2^shift.

    base is even and not negative, so every value below the thresholds has code 0.
    """

    columns: Table  # integers [n_out]
    base: int
    shift: int  # [1, 30]
    top: int

    @property
    def kernel(self) -> str:
        return f"shift_codes_{self.element}"

    @property
    def read(self) -> NDArray[np.int64]:
        return self.columns.data.astype(np.int64)

    @property
    def half_base(self) -> int:
        """What the C takes from half a key."""
        return self.base // 2 - ((1 << self.half_shift) - 1)

    @property
    def half_shift(self) -> int:
        return self.shift - 1

    def evaluate(self, x: Array) -> Array:
        return shift_codes(x[:, self.read], self.base, self.shift, self.top).astype(CODE_TYPES[self.element])


@dataclass(frozen=True, eq=False)
class ShiftCodesInLine(CodeOp):
    """The same, one statement for each feature instead of a loop: more code, fewer instructions."""

    order: tuple[int, ...]  # columns
    base: int
    shift: int
    top: int

    @property
    def kernel(self) -> str:
        return f"shift_codes_in_line_{self.element}"

    @property
    def read(self) -> NDArray[np.int64]:
        return np.array(self.order, np.int64)

    @property
    def half_base(self) -> int:
        """What the C takes from half a key."""
        return self.base // 2 - ((1 << self.half_shift) - 1)

    @property
    def half_shift(self) -> int:
        return self.shift - 1

    def evaluate(self, x: Array) -> Array:
        return shift_codes(x[:, self.read], self.base, self.shift, self.top).astype(CODE_TYPES[self.element])


def shift_codes(values: Array, base: int, shift: int, top: int) -> NDArray[np.int64]:
    """ceil((key - base) / 2^shift), from 0 to top."""
    keys = float_keys(values).astype(np.int64)
    return np.asarray(np.clip(-((base - keys) >> shift), 0, top), np.int64)


@dataclass(frozen=True, eq=False)
class BitKeys(CodeOp):
    """The bits of a value as int32, a NaN with a sign as the largest: the order of floats from 0 on, others below 0."""

    order: tuple[int, ...]  # columns

    @property
    def kernel(self) -> str:
        return "bit_keys_i32"

    @property
    def read(self) -> NDArray[np.int64]:
        return np.array(self.order, np.int64)

    def evaluate(self, x: Array) -> Array:
        floats = np.asarray(x[:, self.read], np.float32)
        signed_nan = np.isnan(floats) & np.signbit(floats)
        return np.where(signed_nan, NAN_KEY, np.ascontiguousarray(floats).view(np.int32)).astype(np.int32)


@dataclass(frozen=True, eq=False)
class FloatKeysInLine(CodeOp):
    """float_keys of the columns, one statement for each."""

    order: tuple[int, ...]  # columns

    @property
    def kernel(self) -> str:
        return "float_keys_in_line_i32"

    @property
    def read(self) -> NDArray[np.int64]:
        return np.array(self.order, np.int64)

    def evaluate(self, x: Array) -> Array:
        return float_keys(x[:, self.read])


@dataclass(frozen=True, eq=False)
class WithoutSign:
    """y_i = max(x[order_i], 0), for thresholds that are not negative: cores load integers without a sign in less.

    Narrow: of 16 bits the 8 that thresholds below 255 need, larger codes as 255. in_words: all columns in their order,
    of 8 bits, four at once.
    """

    n_in: int
    source: Literal["i8", "i16"]
    order: tuple[int, ...]  # columns
    narrow: bool = False
    in_words: bool = False
    headers = ("apr_code.h",)

    @property
    def kernel(self) -> str:
        return "without_sign_in_words" if self.in_words else "without_sign"

    @property
    def n_looped(self) -> int:
        """Columns in fours of words; `words` and `rest` are behind them."""
        return self.n_in // 16 * 16

    @property
    def turns(self) -> int:
        return self.n_in // 16

    @property
    def words(self) -> tuple[int, ...]:
        return tuple(range(self.n_looped, self.n_in // 4 * 4, 4))

    @property
    def rest(self) -> tuple[int, ...]:
        return tuple(range(self.n_in // 4 * 4, self.n_in))

    @property
    def element(self) -> CodeElement:
        return "u8" if self.source == "i8" or self.narrow else "u16"

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.source, self.n_in):
            raise ValueError(f"codes with a sign are {self.source}[{self.n_in}], not {x}")
        if self.in_words and (self.source != "i8" or self.order != tuple(range(self.n_in))):
            raise ValueError("words hold codes of 8 bits, all of them in their order")
        return ValueType(self.element, len(self.order))

    def evaluate(self, x: Array) -> Array:
        codes = np.maximum(x[:, list(self.order)], 0)
        return (np.minimum(codes, 255) if self.narrow else codes).astype(CODE_TYPES[self.element])


@dataclass(frozen=True, eq=False)
class RankCodes(CodeOp):
    """How many of the feature's thresholds lie below the value, found by halving."""

    columns: Table  # integers [n_out]
    thresholds: Table  # i32 keys, ascending and distinct within a feature, feature after feature
    first: Table  # unsigned [n_out + 1], where each feature's thresholds begin
    steps: int  # halvings at most

    @property
    def kernel(self) -> str:
        return f"rank_codes_{self.element}"

    @property
    def read(self) -> NDArray[np.int64]:
        return self.columns.data.astype(np.int64)

    def evaluate(self, x: Array) -> Array:
        keys = float_keys(x[:, self.read])
        codes = np.zeros(keys.shape, CODE_TYPES[self.element])
        for index in range(keys.shape[1]):
            of_feature = self.thresholds.data[int(self.first.data[index]) : int(self.first.data[index + 1])]
            codes[:, index] = np.searchsorted(of_feature, keys[:, index], side="left")
        return codes
