"""Wide trees pass: beside the way of one row, a way for blocks of rows, whose trees read rank codes in vectors.

Chooses among the forms for which the target has kernels, by the cycles that it states for them; one row takes such a
form, too, where that is cheaper. The result is the same, bit for bit. Knows no layout, no target by name and no C.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from aprgen.ops.row_trees import row_of
from aprgen.ops.trees import TreeOp
from aprgen.passes.wide_forms import Form, forms_of
from aprgen.program import Batch, Program, Step, Way
from aprgen.target import BatchCost

FEW_PERMUTED = 8  # rows: fewer are permuted one by one


def with_batch(program: Program, summed: Program, cost: BatchCost | None, *, one_row: bool = True) -> Program:
    """The Program with a way for blocks, where one is cheaper. summed: the same before its trees took a shape.

    one_row: the functions for one row may be computed in another way, too.
    """
    if cost is None or summed.source.element != "f32":
        return program
    needed = summed.needed(summed.scores, summed.label)
    readers = [index for index in needed if 0 in summed.steps[index].inputs]
    trees = [op for index in readers if isinstance(op := summed.steps[index].op, TreeOp)]
    if not readers or len(trees) < len(readers) or any(op.compare != "f32" or not op.nodes.n_nodes for op in trees):
        return program
    many: dict[int, Form] = {}
    few: dict[int, Form] = {}  # of few rows
    single: dict[int, Form] = {}  # of one row
    for index, op in zip(readers, trees, strict=True):
        forms = tuple(forms_of(op, summed.n_features, cost))
        form = min(forms, key=lambda form: form.cycles, default=None)
        if form is None or form.cycles > _one_by_one(op, cost):
            return program
        many[index] = form
        alone = _for_one_row(form, forms, _one_by_one(op, cost))
        if alone is not None:
            single[index] = alone
        few.update((index, one) for one in forms if one.permuted and one.one_row is None)
    steps = list(program.steps)
    way = Batch(_way(steps, summed, many), None, cost.rows, cost.few_rows)
    made = replace(program, batch=way)
    if one_row and len(single) == len(many):
        of_row = _way(steps, summed, single, one_row=True)
        permuted = all(form.permuted for form in many.values())
        few_rows = min(cost.few_rows, FEW_PERMUTED) if permuted else cost.few_rows
        made = replace(made, scores=of_row.scores, label=of_row.label, batch=replace(way, few_rows=few_rows))
    elif len(few) == len(many):
        same = all(few[index] is form for index, form in many.items())
        of_few = replace(way, few_rows=1) if same else replace(way, few=_way(steps, summed, few))
        made = replace(made, batch=of_few)
    made = replace(made, steps=tuple(steps))
    made.check()
    return made


def _for_one_row(of_many: Form, forms: Sequence[Form], most: float) -> Form | None:
    """That of many rows, whose tables are there, or the cheapest one; none that takes more cycles than `most`."""
    cheap = [form for form in forms if form.one_row is not None and form.one_row < most]
    if of_many in cheap:
        return of_many
    return min(cheap, key=lambda form: form.one_row or 0.0, default=None)


def _way(steps: list[Step], summed: Program, forms: Mapping[int, Form], *, one_row: bool = False) -> Way:
    """Append what the Program computes, trees in these forms: those of blocks, or of one row."""
    moved: dict[int, int] = {}
    for index in summed.needed(summed.scores, summed.label):
        if index in forms:
            moved[index + 1] = _added(steps, forms[index], one_row=one_row)
        else:
            inputs = tuple(moved[i] for i in summed.steps[index].inputs)
            steps.append(Step(summed.steps[index].op, inputs))
            moved[index + 1] = len(steps)
    return Way(moved[summed.scores], None if summed.label is None else moved[summed.label])


def _added(steps: list[Step], form: Form, *, one_row: bool) -> int:
    """Append the steps of a form and give the id of what the last trees make."""
    before: tuple[int, ...] = ()
    for codes, trees in form.pairs:
        if one_row:
            steps.append(Step(row_of(codes, trees), (0,)))
            continue
        steps.append(Step(codes, (0,)))
        steps.append(Step(trees, (len(steps), *before)))
        before = (len(steps),)
    return len(steps)


def _one_by_one(op: TreeOp, cost: BatchCost) -> float:
    """A row passes about log2(nodes + 1) nodes of each tree."""
    return cost.split * float(op.n_trees * np.log2(op.nodes.n_nodes / max(1, op.n_trees) + 1))
