"""Wide floats pass: beside the way of one row, a way for blocks of rows, whose sums of floats run in vectors.

Of each layer's forms it takes the one with the fewest cycles, as the target states them; activations and the choice of
the nearest point go into the sums where that changes no bit. Knows no target by name and no C.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from aprgen.costs import BatchCost, FloatCost, FusedCost
from aprgen.ops.decide import Argmin
from aprgen.ops.dense import BiasOrder, Dense
from aprgen.ops.distance import SquaredDistance
from aprgen.ops.elementwise import Map
from aprgen.ops.screened_codes import screened_codes
from aprgen.ops.wide_floats import (
    BEGUN,
    EIGHT,
    LONG,
    QUAD,
    STREAMS,
    FewRows,
    Lanes,
    Least,
    Panels,
    RowOutputs,
    RowPanels,
    Sums,
    WideSums,
    outputs_of,
    panel_weights,
)
from aprgen.ops.wide_points import ScreenedLanes, can_be_screened, screened_lanes
from aprgen.passes.choices import BY_COST, Choices, SumForm, no_such_form
from aprgen.passes.layout import plan_block
from aprgen.program import Batch, Op, Program, Step, Table, Way

SCREENED = 12  # columns, at least: distances in fewer are as quickly computed
QUICKER = 128  # columns, by the square of the outputs after the first: of fewer, sums run beside each other anyway
ALIGNED = 16  # rows: a block of more has whole tiles, but for the last block


@runtime_checkable
class HasBlocks(Protocol):
    """An op for one row that has one form for blocks."""

    @property
    def of_rows(self) -> Callable[[int], Op]:
        ...


@dataclass(frozen=True, eq=False)
class Layer:
    """A step that sums floats: weights [n_in, n_out], and what of the steps behind it goes into it.

    relu: of the sum. relu_step: which does that so far. row: the op, where it is already one of vectors. of_rows: makes
    the only op there is for a block.
    """

    columns: NDArray[np.float32]
    distance: bool
    bias_order: BiasOrder
    bias: Table | None
    fused: bool
    relu: bool = False
    relu_step: int | None = None
    nearest: int | None = None  # the step
    row: Sums | None = None
    of_rows: Callable[[int], Op] | None = None


def with_float_blocks(
    program: Program, target_cost: BatchCost | None, has: Callable[[str], bool], choices: Choices = BY_COST
) -> Program:  # fmt: skip
    """The Program with a way for blocks, where it sums floats and has none yet. has: whether a kernel is there.

    Raises UnsupportedError for chosen forms that its layers do not have here.
    """
    if target_cost is None or target_cost.floats is None or program.batch is not None:
        return program
    layers = layers_of(program) if program.source.element == "f32" else {}
    if not layers or not has("panels_f32") or choices.sums == () or choices.trees == "rows":
        return program
    fused = any(layer.fused for layer in layers.values())
    if fused and target_cost.floats.fused is None:
        return program
    cost = choices.applied(target_cost)
    floats = target_cost.floats.when_fused if fused else choices.tiled(target_cost.floats)
    rows = _rows_that_fit(program, layers, cost, floats)
    if not rows:
        return program
    alone = int(fused)
    turned = _turned(layers, rows, floats, has, choices)
    if not fused and program.codes is None:
        # Weights are there in any case: the functions for one row take them, too.
        own = _row_sums(layers, turned, floats, has)
        if own:
            alone = 1
            program = with_row_sums(program, layers, own)
            layers = layers_of(program)
            turned = _turned(layers, rows, floats, has, choices)
    steps = list(program.steps)
    panels = {index: _for_any_rows(layer, rows, floats) for index, layer in layers.items()}  # shared by both ways
    forms = panels | {index: _in_lanes(layer, rows, floats) for index, layer in layers.items() if index in turned}
    every = {index: _screened(layer, rows, floats, has, forms[index]) for index, layer in layers.items()}
    screened = {index: form for index, form in every.items() if form is not None}
    many = _way(steps, program, layers, forms, turned, screened)
    few, few_rows = None, min(rows, 2 if alone else 1)
    if turned:
        few_rows = max(floats.width, min(cost.few_rows, rows))
        if not turned >= layers.keys():
            few = _way(steps, program, layers, panels, frozenset())
        elif has(FewRows.kernel) and program.codes is None:
            own = {index: _of_few_rows(form) for index, form in forms.items() if isinstance(form, Lanes)}
            few, few_rows, alone = _way(steps, program, layers, own, frozenset()), floats.width, 1
    if choices.few_rows is not None:
        few_rows = min(max(few_rows if turned else 1, choices.few_rows), rows)
    batch = Batch(
        many, few, rows, few_rows, alone, tuple("lanes" if index in turned else "panels" for index in layers),
        _work(layers, turned, floats),
    )  # fmt: skip
    made = replace(program, steps=tuple(steps), batch=batch)
    made.check()
    return made


def _row_sums(
    layers: Mapping[int, Layer], turned: frozenset[int], floats: FloatCost, has: Callable[[str], bool]
) -> dict[int, Op]:  # fmt: skip
    """What sums one row in vectors of outputs, where it is quicker than one sum after the other."""
    if not turned >= layers.keys():
        return {index: row_panels(layer, floats) for index, layer in layers.items()} if has("row_panels_f32") else {}
    if not has(RowOutputs.kernel):
        return {}
    return {index: row_outputs(layer, floats) for index, layer in layers.items() if _outputs_are_quicker(layer)}


def _outputs_are_quicker(layer: Layer) -> bool:
    """Than one sum after the other, of which a core has several under way when they are short."""
    n_in, n_out = layer.columns.shape
    return bool(n_in * (n_out - 1) ** 2 >= QUICKER)


def sum_forms(program: Program, floats: FloatCost, has: Callable[[str], bool]) -> tuple[tuple[SumForm, ...], ...]:
    """For each layer that sums floats, in order, the forms that it could take."""
    return tuple(
        ("panels", "lanes") if has("lanes_f32") and _fits_lanes(layer, floats) else ("panels",)
        for layer in layers_of(program).values()
    )


def _turned(
    layers: Mapping[int, Layer], rows: int, floats: FloatCost, has: Callable[[str], bool], choices: Choices
) -> frozenset[int]:
    """Steps with rows in lanes: sums, and choices of the nearest point."""
    if rows < floats.width:
        return frozenset()
    nearest = {layer.nearest for layer in layers.values() if layer.nearest is not None and has("least_f32")}
    return _in_turned_form(layers, floats, has, choices) | nearest


def with_row_sums(program: Program, layers: Mapping[int, Layer], ops: Mapping[int, Op]) -> Program:
    """The Program with other ops for one row in place of steps that sum; activations may go into them."""
    steps: list[Step] = []
    moved = {0: 0}
    for index, step in enumerate(program.steps):
        if index + 1 in moved:
            continue
        op = ops.get(index, step.op)
        steps.append(Step(op, tuple(moved[value] for value in step.inputs)))
        moved[index + 1] = len(steps)
        layer = layers.get(index)
        if layer is not None and layer.relu_step is not None and isinstance(op, Sums):
            moved[layer.relu_step + 1] = len(steps)
    label = None if program.label is None else moved[program.label]
    made = replace(program, steps=tuple(steps), scores=moved[program.scores], label=label)
    made.check()
    return made


def _in_turned_form(
    layers: Mapping[int, Layer], floats: FloatCost, has: Callable[[str], bool], choices: Choices
) -> frozenset[int]:
    """The steps that sum with rows in lanes, as chosen or as it is cheaper."""
    if choices.sums is None:
        return frozenset(i for i, layer in layers.items() if has("lanes_f32") and _lanes_are_cheaper(layer, floats))
    if len(choices.sums) != len(layers):
        raise no_such_form(" ".join(choices.sums), f"a model with {len(layers)} layers")
    turned = {index for index, form in zip(layers, choices.sums, strict=True) if form == "lanes"}
    if any(not has("lanes_f32") or not _fits_lanes(layers[index], floats) for index in turned):
        raise no_such_form("lanes", "a layer with so many outputs")
    return frozenset(turned)


def _work(layers: Mapping[int, Layer], turned: frozenset[int], floats: FloatCost) -> Mapping[str, float]:
    """By field of FloatCost."""
    work = Counter[str]()
    for index, layer in layers.items():
        n_in, n_out = layer.columns.shape
        kind = "square_" if layer.distance else ""
        if index in turned:
            work.update({"turned": n_in, f"{kind}lane": n_in * n_out})
        else:
            work.update({f"{kind}panel": n_in * -(-n_out // floats.width)})
    return work


def _fits_lanes(layer: Layer, floats: FloatCost) -> bool:
    return int(layer.columns.shape[1]) <= floats.lane_sums and layer.of_rows is None


def layers_of(program: Program) -> dict[int, Layer]:
    """By step, those of the way of one row."""
    needed = program.needed(program.scores, program.label)
    readers_of: dict[int, list[int]] = {}
    for reader in needed:
        for value in dict.fromkeys(program.steps[reader].inputs):
            readers_of.setdefault(value, []).append(reader)
    found: dict[int, Layer] = {}
    for index in needed:
        op = program.steps[index].op
        readers = readers_of.get(index + 1, [])
        result = index + 1 in (program.scores, program.label)
        after = program.steps[readers[0]].op if readers else None
        nearest = next((reader for reader in readers if isinstance(program.steps[reader].op, Argmin)), None)
        if isinstance(op, Dense):
            alone = not result and len(readers) == 1
            relu = alone and isinstance(after, Map) and [stage.verb for stage in after.stages] == ["relu"]
            step = readers[0] if relu else None
            found[index] = Layer(op.weight.data.T, False, op.bias_order, op.bias, op.fused, relu, step)
        elif isinstance(op, SquaredDistance):
            found[index] = Layer(op.points.data.T, True, "none", None, op.fused, nearest=nearest)
        elif isinstance(op, Sums):
            of_rows = op.of_rows if isinstance(op, HasBlocks) else None
            found[index] = Layer(
                op.columns(), op.distance, op.bias_order, op.bias, op.fused, op.relu, None, nearest, op, of_rows
            )  # fmt: skip
        elif isinstance(op, HasBlocks):
            found[index] = Layer(np.zeros((0, 0), np.float32), False, "none", None, True, of_rows=op.of_rows)
    return found


def _lanes_are_cheaper(layer: Layer, floats: FloatCost) -> bool:
    lanes, panels = _cycles(layer, floats)
    return _fits_lanes(layer, floats) and lanes < panels


def _cycles(layer: Layer, floats: FloatCost) -> tuple[int, int]:
    """For a column and 1,000 rows: with rows in lanes, and in panels."""
    n_out = int(layer.columns.shape[1])
    panel = floats.square_panel if layer.distance else floats.panel
    lane = floats.square_lane if layer.distance else floats.lane
    return floats.turned + n_out * lane, -(-n_out // floats.width) * panel


def _least_cycles(layer: Layer, floats: FloatCost) -> int:
    return min(_cycles(layer, floats)) if _fits_lanes(layer, floats) else _cycles(layer, floats)[1]


def _rows_that_fit(program: Program, layers: dict[int, Layer], cost: BatchCost, floats: FloatCost) -> int:
    """Of a block, by what the buffers between its layers take for one row; 0: not even one."""
    steps = list(program.steps)
    panels = {index: _for_any_rows(layer, 1, floats) for index, layer in layers.items()}
    way = _way(steps, program, layers, panels, frozenset())
    tried = replace(program, steps=tuple(steps), batch=Batch(way, None, 1, 1))
    row_bytes = max(
        sum(4 * buffer.size for buffer in plan_block(tried, value, "x", "out").buffers)
        for value in (way.scores, way.label) if value is not None
    )  # fmt: skip
    rows = min(cost.rows, floats.hidden_bytes // max(1, row_bytes))
    aligned = math.lcm(ALIGNED, floats.tile_rows)
    return rows - rows % aligned if rows > aligned else rows


def _way(
    steps: list[Step], program: Program, layers: Mapping[int, Layer], forms: Mapping[int, Op],
    turned: frozenset[int], screened: Mapping[int, Op] | None = None,
) -> Way:  # fmt: skip
    """Append what the Program computes, its layers in these forms; `turned`: steps behind them with rows in lanes.

    screened: of a layer's points the nearest, without its sums.
    """
    moved = {0: 0}

    def add(op: Op, *inputs: int) -> int:
        steps.append(Step(op, tuple(moved[i] for i in inputs)))
        return len(steps)

    for index in program.needed(program.scores, program.label):
        step, value = program.steps[index], index + 1
        if value in moved:
            continue
        layer = layers.get(index)
        if layer is None:
            moved[value] = add(step.op, *step.inputs)
            continue
        form = forms[index]
        moved[value] = add(form, *step.inputs)
        if layer.relu_step is not None:
            moved[layer.relu_step + 1] = moved[value]
        if layer.nearest is not None and layer.nearest in turned and screened and index in screened:
            moved[layer.nearest + 1] = add(screened[index], *step.inputs)
        elif layer.nearest is not None and isinstance(form, Lanes):
            moved[layer.nearest + 1] = add(replace(form, nearest=True), *step.inputs)
        elif layer.nearest is not None and layer.nearest in turned and isinstance(form, WideSums):
            moved[layer.nearest + 1] = add(Least(form.n_sums, form.rows, form.width), value)
    return Way(moved[program.scores], None if program.label is None else moved[program.label])


def _for_any_rows(layer: Layer, rows: int, floats: FloatCost) -> Op:
    return _in_panels(layer, rows, floats) if layer.of_rows is None else layer.of_rows(rows)


def _in_panels(layer: Layer, rows: int, floats: FloatCost) -> Panels:
    return Panels(*_of_panels(layer, rows, floats))


def row_panels(layer: Layer, floats: FloatCost) -> RowPanels:
    """The layer for one row, with weights that Panels have, too."""
    return RowPanels(*_of_panels(layer, 1, floats))


def row_outputs(layer: Layer, floats: FloatCost) -> RowOutputs:
    """The layer for one row, with weights that Lanes have, too."""
    n_in, n_out = layer.columns.shape
    return RowOutputs(
        n_in, n_out, 1, floats.width, layer.distance, layer.bias_order, layer.relu, False,
        *outputs_of(layer.columns, layer.bias, floats.width),
    )  # fmt: skip


def _of_panels(layer: Layer, rows: int, floats: FloatCost) -> tuple[Any, ...]:
    """The fields of PanelSums."""
    n_in, n_out = layer.columns.shape
    if isinstance(layer.row, RowPanels):
        weight, bias = layer.row.weight, layer.row.bias
    else:
        padded = -(-n_out // floats.width) * floats.width
        bias = None if layer.bias is None else Table(np.pad(layer.bias.data, (0, padded - n_out)), lines=True)
        weight = panel_weights(layer.columns, floats.width, floats.tile_panels)
    return (
        n_in, n_out, rows, floats.width, layer.distance, layer.bias_order, layer.relu, layer.fused, weight, bias,
        floats.tile_rows, floats.tile_panels,
    )  # fmt: skip


def _screened(
    layer: Layer, rows: int, floats: FloatCost, has: Callable[[str], bool], form: Op
) -> ScreenedLanes | None:  # fmt: skip
    """The nearest of the layer's points, where it is more quickly found than by distances. form: of these."""
    n_in, n_out = layer.columns.shape
    cost = floats.fused
    if layer.nearest is None or cost is None or n_in < SCREENED or not has("screened_lanes_f32"):
        return None
    cycles = _least_cycles(layer, floats)
    screened: ScreenedLanes | None = None
    if cost.turned + (n_out + 1) * cost.lane < cycles:
        screened = _screened_in_floats(layer, rows, floats, cost, form)
        cycles = cycles if screened is None else cost.turned + (n_out + 1) * cost.lane
    if not has("screened_codes_f32") or not 0 < cost.coded + n_out * cost.coded_lane < cycles:
        return screened
    in_floats = form if screened is None else screened
    return (screened_codes(in_floats) if isinstance(in_floats, Lanes) else None) or screened


def _screened_in_floats(layer: Layer, rows: int, floats: FloatCost, cost: FusedCost, form: Op) -> ScreenedLanes | None:
    n_out = int(layer.columns.shape[1])
    groups = min(rows // floats.width, floats.most_groups, cost.nearest_vectors // (n_out + 1 + QUAD))
    begun = _begun(layer, cost.turned_eight)
    made = _of_lanes(layer, rows, floats, 1 if begun else max(1, groups), begun)
    if isinstance(form, Lanes):
        made = replace(made, weight=form.weight)  # which then stands there once
    return screened_lanes(made) if groups and can_be_screened(made) else None


def _begun(layer: Layer, turned_eight: int) -> bool:
    """Whether one vector of rows is added while its next eight columns are turned."""
    n_in, n_out = layer.columns.shape
    return bool(turned_eight) and n_in >= 2 * EIGHT and n_out in BEGUN


def _in_lanes(layer: Layer, rows: int, floats: FloatCost) -> Lanes:
    n_in, n_out = layer.columns.shape
    if _begun(layer, floats.turned_eight):
        return _of_lanes(layer, rows, floats, 1, True)
    most = min(rows // floats.width, floats.most_groups)
    if n_in >= LONG:
        most = min(most, STREAMS // floats.width)
    groups = max(1, min(most, floats.lane_sums // n_out))
    return _of_lanes(layer, rows, floats, groups, groups * n_out <= floats.turned_eight)


def _of_few_rows(form: Lanes) -> FewRows:
    return FewRows(
        form.n_in, form.n_sums, form.width, form.width, form.distance, form.bias_order, form.relu, form.fused,
        form.weight, form.bias,
    )  # fmt: skip


def _of_lanes(layer: Layer, rows: int, floats: FloatCost, groups: int, by_eight: bool) -> Lanes:
    n_in, n_out = layer.columns.shape
    across = EIGHT if by_eight else QUAD
    if isinstance(layer.row, RowOutputs):
        weight, bias = layer.row.weight, layer.row.bias
    else:
        weight, bias = Table(layer.columns, np.float32), layer.bias
    return Lanes(
        n_in, n_out, rows, floats.width, layer.distance, layer.bias_order, layer.relu, layer.fused, weight, bias,
        groups, across,
    )  # fmt: skip
