"""What forms of trees for blocks of rows cost, as the target states it, and from how many rows on a block pays.

Knows costs by their names; knows no layouts and no target by name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aprgen.ops.trees import TreeOp
from aprgen.ops.wide_codes import WideCodes
from aprgen.ops.wide_trees import PermutedTrees, WideTrees
from aprgen.passes.choices import TreeForm
from aprgen.program import Program
from aprgen.target import BatchCost


@dataclass(frozen=True, eq=False)
class Form:
    """Steps one after the other, codes and trees in turn, and what they cost."""

    name: TreeForm
    pairs: tuple[tuple[WideCodes, WideTrees], ...]
    work: Mapping[str, float]  # by field of BatchCost: how often its cycles are paid for 1,000 rows
    cycles: float  # all of them
    of_trees: float  # those of trees, which take at least `least_rows` rows at once
    least_rows: int

    @property
    def takes_few(self) -> bool:
        """Whether a row alone is done faster than by tables of nodes."""
        return isinstance(self.pairs[0][1], PermutedTrees)


def trees_of_rows(summed: Program) -> dict[int, TreeOp]:
    """By step, all that read the row, where these are trees over floats; else none."""
    if summed.source.element != "f32":
        return {}
    readers = [index for index in summed.needed(summed.scores, summed.label) if 0 in summed.steps[index].inputs]
    trees = {index: op for index in readers if isinstance(op := summed.steps[index].op, TreeOp)}
    if len(trees) < len(readers) or any(op.compare != "f32" or not op.nodes.n_nodes for op in trees.values()):
        return {}
    return trees


def work_one_by_one(op: TreeOp) -> float:
    """How often rows one by one pay the cost of a split: a row passes about log2(nodes + 1) nodes of each tree."""
    return float(op.n_trees * np.log2(op.nodes.n_nodes / max(1, op.n_trees) + 1))


def few_rows_of(many: Collection[Form], alone: float, rows: int) -> int:
    """From how many rows on a block takes less than as many rows that take so many cycles each."""
    whole = sum(form.least_rows * form.of_trees for form in many)
    saved = alone - sum(form.cycles - form.of_trees for form in many)  # codes are made for the rows that are there
    return rows if saved <= 0 else int(min(max(1, np.ceil(whole / saved)), rows))


def cycles_one_by_one(trees: Iterable[TreeOp], cost: BatchCost) -> float:
    return sum(cost.split * work_one_by_one(op) for op in trees)


def cycles_of(forms: Iterable[Form]) -> float:
    return sum(form.cycles for form in forms)


def form_of(
    name: TreeForm, pairs: Sequence[tuple[WideCodes, WideTrees]], cost: BatchCost, work: Mapping[str, float],
    least_rows: int,
) -> Form:  # fmt: skip
    cycles = {term: count * float(getattr(cost, term)) for term, count in work.items()}
    every = sum(cycles.values())
    return Form(name, tuple(pairs), work, every, every - cycles["code"], least_rows)
