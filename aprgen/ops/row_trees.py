"""Trees over rank codes of one row, which the kernel makes before: permuted ones, or ones that walk together.

Permuted: all splits of six levels are compared at once. Walked: eight trees go down at once, as none waits for another.
Both have their tables in common with the trees for blocks of rows. Know no C, files or targets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aprgen.ops.six_levels import PermutedTrees, RowRanks
from aprgen.ops.walked_trees import WalkedTrees
from aprgen.ops.wide_codes import WideCodes
from aprgen.ops.wide_trees import Leaves, WideTrees
from aprgen.program import Array, Element, Table, ValueType

AT_ONCE = 8  # rows, or trees of one row, that walk together
MOST_PERMUTED = 128  # trees of one row that take each step together: 1.7 KB of the stack
TOPS, ENDS = 8, 32  # trees that go down at once: six levels, and those below
FEW_PERMUTED = 10  # trees: each takes its steps alone, as what is stored is read as vectors too soon


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
    finer: RowRanks | None = None
    headers = ("apr_wide.h",)

    @property
    def trees(self) -> PermutedTrees:
        """The same for blocks."""
        codes, leaves = self.codes, self.leaves
        n_codes = codes.skip + codes.n
        return PermutedTrees(
            n_codes, codes.rows, leaves, False, self.stride, self.depth, self.below, self.feature, self.code, self.finer
        )  # fmt: skip

    @property
    def kernel(self) -> str:
        return f"row_permuted_trees_{self.code_element}"

    @property
    def code_element(self) -> Element:
        return self.trees.code_element

    @property
    def top_element(self) -> Element:
        return self.trees.top_element

    @property
    def n_trees(self) -> int:
        return self.trees.n_trees

    @property
    def together(self) -> bool:
        """Whether each step is for many trees at once."""
        return self.n_trees > FEW_PERMUTED

    @property
    def n_times(self) -> int:
        """That so many trees take each step together."""
        return -(-self.n_trees // MOST_PERMUTED)

    @property
    def at_once(self) -> int:
        """As many trees each time."""
        return -(-self.n_trees // self.n_times)

    @property
    def n_tops(self) -> int:
        """Vectors of these trees whose ways through six levels are found at once."""
        return -(-self.at_once // TOPS)

    @property
    def n_ends(self) -> int:
        """Vectors of those whose ways through the levels below are."""
        return -(-self.at_once // ENDS)

    @property
    def padded(self) -> int:
        """Trees in whole vectors."""
        return self.n_ends * ENDS

    @property
    def n_places(self) -> int:
        return self.trees.n_places

    @property
    def sixteens(self) -> int:
        return self.trees.sixteens

    @property
    def levels_below(self) -> int:
        return self.trees.levels_below

    @property
    def two_vectors(self) -> bool:
        return self.trees.two_vectors

    @property
    def below_in_bytes(self) -> bool:
        return self.trees.below_in_bytes

    def result(self, x: ValueType) -> ValueType:
        return self.trees.result(self.codes.result(x))

    def evaluate(self, x: Array) -> Array:
        return self.trees.evaluate(self.codes.evaluate(x))


class Together:
    """Trees of one row that walk together, as many as AT_ONCE; the last ones are fewer."""

    first: Table
    steps: Table  # of each eight trees
    last_steps: int  # of those that are fewer

    @property
    def n_trees(self) -> int:
        return len(self.first.data)

    @property
    def n_whole(self) -> int:
        """Times that eight trees walk."""
        return self.n_trees // AT_ONCE

    @property
    def n_last(self) -> int:
        """Trees that walk after them."""
        return self.n_trees % AT_ONCE

    @property
    def shown_steps(self) -> int:
        """No trees need more. At least 3: compilers count two turns by a bit, and a bit shows no bound of a loop."""
        return max(3, self.last_steps, int(self.steps.data.max(initial=0)))

    @property
    def all_steps(self) -> int:
        """Of eight trees each."""
        return int(self.steps.data.sum(dtype=np.int64))

    @property
    def steps_apart(self) -> Table:
        """Of each tree, as blocks have them."""
        steps = np.append(np.repeat(self.steps.data, AT_ONCE), [self.last_steps] * self.n_last)
        return Table(steps.astype(np.uint16))


def steps_together(steps: Table) -> tuple[Table, int]:
    """Of each tree to those of each eight, and of the last ones."""
    whole, last = np.split(steps.data, [steps.data.size // AT_ONCE * AT_ONCE])
    return Table(whole.reshape(-1, AT_ONCE).max(axis=1, initial=0)), int(last.max(initial=0))


@dataclass(frozen=True, eq=False)
class WalkedRow(Together):
    """Codes that lie by row, and trees as WalkedTrees has them, in one kernel. Who is at a leaf stays there."""

    codes: WideCodes
    leaves: Leaves
    nodes: Table
    first: Table
    steps: Table  # of each eight trees
    last_steps: int  # of those that are fewer
    headers = ("apr_wide.h",)
    kernel = "row_walked_trees"

    @property
    def trees(self) -> WalkedTrees:
        """The same for blocks."""
        codes = self.codes
        return WalkedTrees(
            codes.n, codes.rows, self.leaves, False, codes.n, self.nodes, self.first, self.steps_apart
        )  # fmt: skip

    def result(self, x: ValueType) -> ValueType:
        return self.trees.result(self.codes.result(x))

    def evaluate(self, x: Array) -> Array:
        return self.trees.evaluate(self.codes.evaluate(x))


def row_of(codes: WideCodes, trees: WideTrees) -> PermutedRow | WalkedRow:
    """The op of one row with the tables of those for blocks."""
    codes = replace(codes, spans=None)
    if isinstance(trees, PermutedTrees):
        return PermutedRow(
            codes, trees.leaves, trees.stride, trees.depth, trees.feature, trees.code, trees.below, trees.finer
        )  # fmt: skip
    assert isinstance(trees, WalkedTrees)
    return WalkedRow(codes, trees.leaves, trees.nodes, trees.first, *steps_together(trees.steps))
