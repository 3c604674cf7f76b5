"""A model that is its Program and nothing else: out of a native payload that keeps no record of an original.

It predicts as the Program does, exactly. Knows nothing of files or C.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass

import numpy as np

from aprgen.families.base import EQUAL, Fact, Floats, Labels, require_finite, require_outputs, require_rows
from aprgen.native import Names
from aprgen.ops.trees import TreeOp
from aprgen.program import Array, Program, Table


@dataclass(frozen=True, eq=False)
class Programmed:
    """`names` say what the numbers are; they come from whoever made the file."""

    program: Program
    names: Names
    wider_rows = False

    @property
    def struct(self) -> str:
        return self.names.struct

    @property
    def family(self) -> str:
        return self.names.family

    @property
    def outputs(self) -> str:
        return self.names.outputs

    @property
    def n_features(self) -> int:
        return self.program.n_features

    def facts(self) -> tuple[Fact, ...]:
        ops = [step.op for step in self.program.steps]
        trees = sum(op.n_trees for op in ops if isinstance(op, TreeOp))
        return (
            Fact("features", self.n_features),
            Fact("outputs", self.program.n_outputs),
            Fact("classes", self.program.n_classes),
            Fact("steps", tuple(op.kernel for op in ops)),
            *([Fact("trees", trees)] if trees else []),
        )

    def check(self) -> None:
        """Thresholds of trees may be infinite or NaN: they compare as floats do."""
        require_outputs(self.program.n_outputs, self.struct)
        for step in self.program.steps:
            for name, table in _tables(step.op):
                if np.issubdtype(table.data.dtype, np.floating) and name != "threshold":
                    require_finite(name, table.data)

    def predict(self, rows: Array) -> Floats:
        if self.program.source.element == "f32":
            require_rows(rows, self.n_features)
        return self.program.run(rows)

    def classify(self, rows: Array) -> Labels | None:
        return self.program.classify(rows)

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        return EQUAL

    def lower(self) -> Program:
        return self.program


def _tables(part: object, name: str = "") -> Iterator[tuple[str, Table]]:
    """All tables of an op with the names of their fields."""
    if isinstance(part, Table):
        yield name, part
    elif isinstance(part, tuple):
        for item in part:
            yield from _tables(item, name)
    elif is_dataclass(part):
        for field in fields(part):
            yield from _tables(getattr(part, field.name), field.name)
