"""Trees over rank codes of one row: its codes are made, then all splits of six levels are compared at once in each tree.

The layout is that of trees for blocks of rows, which so have their tables in common. Knows no C, files or targets.
"""

from __future__ import annotations

from dataclasses import dataclass

from aprgen.ops.wide_codes import WideCodes
from aprgen.ops.wide_trees import Leaves, PermutedTrees
from aprgen.program import Array, Element, Table, ValueType


@dataclass(frozen=True, eq=False)
class PermutedRow:
    """Codes that lie by row, and trees as PermutedTrees has them, in one kernel."""

    codes: WideCodes
    leaves: Leaves
    stride: int
    depth: int
    feature: Table
    code: Table
    below: Table | None
    headers = ("apr_wide.h",)

    @property
    def trees(self) -> PermutedTrees:
        """The same for blocks."""
        codes = self.codes
        return PermutedTrees(
            codes.skip + codes.n, codes.rows, self.leaves, False, self.stride, self.depth, self.feature, self.code, self.below
        )  # fmt: skip

    @property
    def kernel(self) -> str:
        return f"row_permuted_trees_{self.code_element}"

    @property
    def code_element(self) -> Element:
        return self.trees.code_element

    @property
    def n_trees(self) -> int:
        return self.trees.n_trees

    @property
    def n_places(self) -> int:
        return self.trees.n_places

    @property
    def levels_below(self) -> int:
        return self.trees.levels_below

    @property
    def two_vectors(self) -> bool:
        return self.trees.two_vectors

    def result(self, x: ValueType) -> ValueType:
        return self.trees.result(self.codes.result(x))

    def evaluate(self, x: Array) -> Array:
        return self.trees.evaluate(self.codes.evaluate(x))


def row_of(codes: WideCodes, trees: PermutedTrees) -> PermutedRow:
    """The op of one row with the tables of those for blocks."""
    return PermutedRow(codes, trees.leaves, trees.stride, trees.depth, trees.feature, trees.code, trees.below)
