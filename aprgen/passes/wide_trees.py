"""Wide trees pass: beside the way of one row, a way for blocks of rows, whose trees read rank codes in vectors.

Chooses among the forms for which the target has kernels, by the cycles that it states for them; one row takes such a
form, too, where that is cheaper. The result is the same, bit for bit. Knows no layout, no target by name and no C.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from aprgen.costs import BatchCost
from aprgen.ops.deep_trees import FloatTrees, StagedTrees, deep_row_of
from aprgen.ops.row_trees import row_of
from aprgen.ops.six_levels import BELOW
from aprgen.ops.trees import TreeOp
from aprgen.ops.wide_codes import WideCodes
from aprgen.ops.wide_trees import TOP, WideTrees
from aprgen.passes.choices import BY_COST, Choices, no_such_form
from aprgen.passes.deep_forms import float_forms, staged_forms
from aprgen.passes.ranked_trees import AT_ONCE, LANES, Form
from aprgen.passes.wide_costs import cycles_of, cycles_one_by_one, few_rows_of, trees_of_rows
from aprgen.passes.wide_forms import LEVELS, OF_BITS, forms_of
from aprgen.program import Batch, Op, Program, Step, Way

WORD_BYTES, CODE_BYTES = 4, 2
ONE_BY_ONE = 15  # rows, which take less than a block of trees of few levels that one row has, too
ROWS_BYTES = 1 << 16  # of a block on floats, or 16 rows


def with_batch(
    program: Program, summed: Program, target_cost: BatchCost | None, choices: Choices = BY_COST, *,
    one_row: bool = True,
) -> Program:  # fmt: skip
    """The Program with a way for blocks, where one is cheaper. summed: the same before its trees took a shape.

    one_row: the functions for one row may be computed in another way, too. Raises UnsupportedError for a chosen form
    that these trees do not have here.
    """
    if target_cost is None:
        return program
    trees = trees_of_rows(summed)
    if not trees or choices.trees == "rows":
        return program
    found = _best_forms(trees, summed, replace(choices, rows=None).applied(target_cost), choices)
    if found is None:
        return program
    many, forms, cost = found
    few: dict[int, Form] = {}  # of few rows
    single: dict[int, Form] = {}  # of one row
    for index, form in many.items():
        alone = _for_one_row(form, forms[index], cycles_one_by_one([trees[index]], cost))
        if alone is not None:
            single[index] = alone
        few.update((index, one) for one in forms[index] if one.permuted and one.one_row is None)
    rows = min(cost.rows, target_cost.rows)
    steps = list(program.steps)
    work = sum((Counter(form.work) for form in many.values()), Counter[str]())
    names = tuple(form.name for form in many.values())
    way = Batch(_way(steps, summed, many), None, cost.rows, 1, forms=names, work=work)
    made = replace(program, batch=way)
    if one_row and len(single) == len(many):
        of_row = _way(steps, summed, single, one_row=True)
        least = min(form.at_once for form in many.values())
        few_rows = few_rows_of(many.values(), sum(form.one_row or 0.0 for form in single.values()), rows)
        own = replace(way, few_rows=max(few_rows, least))
        between = few_rows_of(many.values(), cycles_of(single.values()), rows)
        most = ONE_BY_ONE if "levels" in names else AT_ONCE - 1
        if between > most + 1 and all(form.permuted for form in single.values()):
            # Fewer than pay for such blocks, and more than are as quickly done alone: the tables of one row are there.
            own = replace(way, few=_way(steps, summed, single), few_rows=between, alone=most)
        made = replace(made, scores=of_row.scores, label=of_row.label, batch=own)
    elif len(few) < len(many):
        few_rows = few_rows_of(many.values(), cycles_one_by_one(trees.values(), cost), rows)
        made = replace(made, batch=replace(way, few_rows=few_rows))
    elif any(few[index] is not form for index, form in many.items()):
        few_rows = few_rows_of(many.values(), cycles_of(few.values()), rows)
        made = replace(made, batch=replace(way, few=_way(steps, summed, few), few_rows=few_rows))
    if choices.few_rows is not None and made.batch is not None:
        few_rows = choices.few_rows if made.batch.few is None else min(choices.few_rows, rows)
        made = replace(made, batch=replace(made.batch, few_rows=few_rows))
    made = replace(made, steps=tuple(steps))
    made.check()
    return made


Forms = Mapping[int, tuple[Form, ...]]  # by step


def _best_forms(
    trees: Mapping[int, TreeOp], program: Program, cost: BatchCost, choices: Choices
) -> tuple[Mapping[int, Form], Forms, BatchCost] | None:
    """By step the form for many rows, and all forms; the cost with the rows of their blocks. None: one by one.

    Where the codes of so many columns fit in no block of trees that are walked, its rows are fewer.
    """
    best: tuple[Mapping[int, Form], BatchCost] | None = None
    found: dict[int, Forms] = {}  # by rows
    deep = _DeepForms(program.n_features)
    for own in _with_other_rows(trees, program, cost):
        forms = {
            index: (*forms_of(op, program.n_features, own), *deep.of(index, op, own)) for index, op in trees.items()
        }
        found[own.rows] = forms
        many = {
            index: min(able, key=lambda form: form.cycles) for index, every in forms.items()
            if (able := [form for form in every if choices.trees in (None, form.name)])
        }  # fmt: skip
        if len(many) == len(trees) and (best is None or cycles_of(many.values()) < cycles_of(best[0].values())):
            best = many, own
        walked = all(any(form.name == "walked" for form in every) for every in forms.values())
        if own.rows <= cost.rows and deep.settle(own, walked=walked):
            break
    if best is None:
        if choices.trees is not None:
            raise no_such_form(choices.trees, "these trees")
        return None
    chosen, own = best
    dear = any(form.cycles > cycles_one_by_one([trees[index]], cost) for index, form in chosen.items())
    if dear and choices.trees is None:
        return None
    of_rows = found[min(own.rows, cost.rows)]
    names = {index: {form.name for form in every} for index, every in of_rows.items()}
    alone = {  # one row has those of smaller blocks, too
        index: tuple(form for forms in found.values() for form in forms[index] if form.name not in names[index])
        for index in of_rows
    }
    return chosen, {index: (*every, *alone[index]) for index, every in of_rows.items()}, own


class _DeepForms:
    """Those of deep_forms, which are laid out once: staged trees for blocks as the target states them, trees on floats
    for the largest blocks whose rows fit in a cache."""

    def __init__(self, n_features: int) -> None:
        self.n_features = n_features
        self.known: dict[int, tuple[Form, ...]] = {}

    def of(self, index: int, op: TreeOp, cost: BatchCost) -> Iterator[Form]:
        yield from staged_forms(op, self.n_features, cost)
        too_large = cost.rows > LANES and WORD_BYTES * cost.rows * self.n_features > ROWS_BYTES
        if index in self.known or cost.float_split is None or too_large:
            return
        self.known[index] = tuple(float_forms(op, cost))
        yield from self.known[index]

    def settle(self, cost: BatchCost, *, walked: bool) -> bool:
        """Whether fewer rows give no form that is not known: those on floats are, and codes of all columns, each twice,
        fit in the block. walked: in this one all trees can be."""
        if cost.float_split is None:
            return walked
        return bool(self.known) and (walked or 2 * CODE_BYTES * cost.rows * self.n_features <= cost.buffer_bytes)


def _with_other_rows(trees: Mapping[int, TreeOp], program: Program, cost: BatchCost) -> Iterator[BatchCost]:
    """More rows where lines of bits or bits of comparisons are of more, and the stack has room for their sums; then
    fewer."""
    types = program.types()
    outputs = max(-(-types[index + 1].size // LANES) * LANES for index in trees)
    rows = max(cost.level_rows or 0, cost.bit_rows or 0)
    room = min(cost.buffer_bytes, cost.line_bytes)  # of groups of trees a block has sums before and after one
    while rows > cost.rows and all(op.nodes.depth <= LEVELS for op in trees.values()):
        if rows * outputs * WORD_BYTES <= room:
            yield replace(
                cost, rows=rows, level_split=cost.level_split if cost.level_rows else None, permuted_tree=None,
                permuted_bytes=None, walked_split=None, staged_tree=None, float_split=None, turned_rows=None,
            )  # fmt: skip
        rows = rows // 2 if cost.level_rows else 0
    rows = cost.bit_rows or 0
    if cost.walked_lines is not None and rows * outputs * WORD_BYTES <= room:
        yield replace(
            cost, rows=rows, level_split=None, bit_split=None, permuted_tree=None, permuted_bytes=None,
            staged_tree=None, float_split=None, turned_rows=None,
        )  # fmt: skip
    rows = cost.turned_rows or 0
    deepest = max(op.nodes.depth for op in trees.values())
    if rows > cost.rows and deepest <= TOP + BELOW and rows * outputs * WORD_BYTES <= cost.buffer_bytes:
        yield replace(cost, rows=rows, level_split=None, walked_split=None, staged_tree=None, float_split=None)
    cost = replace(cost, turned_rows=None)
    rows = cost.rows
    while rows >= LANES:
        of_bits = cost.level_rows is not None and rows >= OF_BITS
        fewer = replace(
            cost, rows=rows, level_split=cost.level_split if of_bits else None, permuted_tree=None, permuted_bytes=None,
            staged_tree=None,
        )  # fmt: skip
        if cost.sums_bytes is None or 2 * rows * outputs * WORD_BYTES <= cost.sums_bytes:
            yield cost if rows == cost.rows else fewer
        rows //= 2


def _for_one_row(of_many: Form, forms: Sequence[Form], most: float) -> Form | None:
    """That of many rows, whose tables are there, or the cheapest one; none that takes more cycles than `most`."""
    cheap = [form for form in (of_many, *forms) if form.one_row is not None and form.one_row < most]
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


def _of_one_row(codes: WideCodes | None, trees: WideTrees) -> Op:
    if isinstance(trees, StagedTrees | FloatTrees):
        return deep_row_of(codes, trees)
    assert codes is not None
    return row_of(codes, trees)


def _added(steps: list[Step], form: Form, *, one_row: bool) -> int:
    """Append the steps of a form and give the id of what the last trees make."""
    before: tuple[int, ...] = ()
    for codes, trees in form.pairs:
        if one_row:
            steps.append(Step(_of_one_row(codes, trees), (0, *before)))
            before = (len(steps),)
            continue
        if codes is not None:
            steps.append(Step(codes, (0,)))
        steps.append(Step(trees, (0 if codes is None else len(steps), *before)))
        before = (len(steps),)
    return len(steps)
