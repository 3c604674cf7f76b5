"""Map op: a short chain of arithmetic on every element, for scalers, activations and links.

Knows its arithmetic; knows nothing of C, files or targets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from aprgen import mathf
from aprgen.program import Array, Table, ValueType

Verb = Literal[
    "add", "sub", "mul", "div", "neg", "exp", "exp2", "sigmoid", "tanh", "gelu", "relu", "leaky_relu", "keep"
]

ARITHMETIC: Mapping[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "leaky_relu": lambda x, slope: np.where(x > 0, x, x * slope),
}
FUNCTIONS: Mapping[str, Callable[[Array], Array]] = {
    "neg": np.negative,
    "exp": mathf.expf,
    "exp2": mathf.exp2f,
    "sigmoid": mathf.sigmoidf,
    "tanh": mathf.tanhf,
    "gelu": mathf.geluf,
    "relu": lambda x: np.where(x > 0, x, np.float32(0)),
}
USES_MATH = frozenset({"exp", "exp2", "sigmoid", "tanh", "gelu"})


@dataclass(frozen=True, eq=False)
class Stage:
    """v = v <verb> operand, or v = function(v).

    The operand is one value for all elements or one for each. "keep" has a mask and a replacement: elements whose
    mask is 0 become the replacement, whatever they were.
    """

    verb: Verb
    constant: float | None = None
    each: Table | None = None  # f32 [size]
    mask: Table | None = None  # u8 [size], only for "keep"

    def apply(self, v: Array) -> Array:
        if self.verb == "keep":
            assert self.mask is not None
            return np.where(self.mask.data != 0, v, _single(self.constant))
        if self.verb in FUNCTIONS:
            return FUNCTIONS[self.verb](v)
        operand = self.each.data if self.each is not None else _single(self.constant)
        return ARITHMETIC[self.verb](v, np.asarray(operand, dtype=np.float32))


def _single(constant: float | None) -> np.float32:
    """The one operand of all elements; -0.0 stays what it is."""
    assert constant is not None
    return np.float32(constant)


@dataclass(frozen=True, eq=False)
class Map:
    """The stages in order on each of `size` elements; every stage rounds once (functions: see runtime_c/apr_math.h)."""

    size: int
    stages: tuple[Stage, ...]

    @property
    def kernel(self) -> str:
        return "map_f32"

    @property
    def few(self) -> bool:
        """Whether the elements are written out: gcc leaves marked loops of so few, which then take twice the time."""
        return self.size <= 3 and not self.headers

    @property
    def headers(self) -> tuple[str, ...]:
        return ("apr_math.h",) if any(stage.verb in USES_MATH for stage in self.stages) else ()

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("f32", self.size):
            raise ValueError(f"map takes f32[{self.size}], not {x}")
        return x

    def evaluate(self, x: Array) -> Array:
        v = x
        for stage in self.stages:
            v = stage.apply(v)
        return np.asarray(v, dtype=np.float32)


def vary(verb: Verb, values: Array) -> Stage:
    """A stage with one operand per element, or a single constant when they are all the same bits."""
    data = np.asarray(values, dtype=np.float32)
    bits = data.view(np.uint32)
    if bool(np.all(bits == bits[0])):
        return Stage(verb, constant=float(data[0]))
    return Stage(verb, each=Table(data))
