"""What forms of trees for blocks of rows cost, as the target states it, and from how many rows on a block pays.

Knows cycles as numbers; knows no layouts and no target by name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from aprgen.costs import BatchCost
from aprgen.ops.trees import TreeOp
from aprgen.passes.ranked_trees import Form
from aprgen.program import Program


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
    whole = sum(form.of_block for form in many)
    saved = alone - sum(form.of_rows for form in many)
    return rows if saved <= 0 else int(min(max(1, np.ceil(whole / saved)), rows))


def cycles_one_by_one(trees: Iterable[TreeOp], cost: BatchCost) -> float:
    return sum(cost.split * work_one_by_one(op) for op in trees)


def cycles_of(forms: Iterable[Form]) -> float:
    return sum(form.cycles for form in forms)
