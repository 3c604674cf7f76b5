"""TopMix and Concat ops: put sub-models together. Know their arithmetic; know nothing of C."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aprgen.ops.normalise import ordered_sum
from aprgen.program import Array, ValueType


@dataclass(frozen=True)
class TopMix:
    """The values of the k largest weights, mixed: y = sum of (w / sum of the top w) * value, largest weight first.

    Equal weights keep their order, as with a stable sort.
    """

    size: int
    k: int  # [1, size]
    headers = ()

    @property
    def kernel(self) -> str:
        return "top_mix_f32"

    def result(self, weights: ValueType, values: ValueType) -> ValueType:
        if weights != ValueType("f32", self.size) or values != weights:
            raise ValueError(f"top mix takes f32[{self.size}] twice, not {weights} and {values}")
        return ValueType("f32", 1)

    def evaluate(self, weights: Array, values: Array) -> Array:
        order = np.argsort(-weights, axis=1, kind="stable")[:, : self.k]
        top = np.take_along_axis(weights, order, axis=1)
        chosen = np.take_along_axis(values, order, axis=1)
        share = top / ordered_sum(top)
        return ordered_sum(np.asarray(share * chosen, dtype=np.float32))


@dataclass(frozen=True)
class Concat:
    """The inputs, one behind the other."""

    sizes: tuple[int, ...]
    headers = ()

    @property
    def kernel(self) -> str:
        return "concat_f32"

    def result(self, *inputs: ValueType) -> ValueType:
        if inputs != tuple(ValueType("f32", size) for size in self.sizes):
            raise ValueError(f"concat takes f32 of {self.sizes}, not {inputs}")
        return ValueType("f32", sum(self.sizes))

    def evaluate(self, *inputs: Array) -> Array:
        return np.concatenate(inputs, axis=1)
