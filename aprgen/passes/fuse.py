"""Fuse pass: sums of floats whose products are added with one rounding, for modes in which bits may differ from f32.

On targets with vectors for it, one row is summed in vectors, too: of outputs, or of columns where outputs are few and
memory is the limit. Knows no target by name and no C.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from aprgen.costs import FloatCost, FusedCost
from aprgen.ops.column_sums import RowColumns
from aprgen.ops.dense import BiasOrder, Dense
from aprgen.ops.distance import SquaredDistance
from aprgen.ops.mixture import TopMix
from aprgen.ops.wide_floats import Sums
from aprgen.passes.wide_floats import Layer, layers_of, row_panels, with_row_sums
from aprgen.program import Op, Program, Table


def fuse(program: Program, floats: FloatCost | None, has: Callable[[str], bool]) -> Program:
    """The Program with fused sums; itself where it has none to fuse. has: whether a kernel is there.

    Sums that choose which others count stay as they are, so that the same ones do.
    """
    chosen = [step.inputs[0] for step in program.steps if isinstance(step.op, TopMix)]
    choosing = frozenset(program.needed(*chosen)) if chosen else frozenset[int]()
    layers = {index: layer for index, layer in layers_of(program).items() if index not in choosing}
    if not layers:
        return program
    wide = floats is not None and floats.fused is not None and has("row_panels_f32")

    def fused(layer: Layer, op: Op) -> Op:
        if wide:
            assert floats is not None
            return _in_vectors(layer, floats, has)
        return replace(op, fused=True) if isinstance(op, Dense | SquaredDistance) else op

    ops = {index: fused(layer, program.steps[index].op) for index, layer in layers.items()}
    return with_row_sums(program, layers, ops)


def _in_vectors(layer: Layer, floats: FloatCost, has: Callable[[str], bool]) -> Op:
    own = replace(layer, fused=True)
    assert floats.fused is not None
    if has("row_columns_f32") and not layer.distance and columns_are_cheaper(layer, floats, floats.fused):
        return _in_columns(own, floats.width)
    return row_panels(own, floats.when_fused)


def columns_are_cheaper(layer: Layer, floats: FloatCost, cost: FusedCost) -> bool:
    """Than blocks of rows in lanes, or in panels."""
    n_in, n_out = layer.columns.shape
    in_columns = n_out * (n_in * cost.column + cost.total)
    panels = -(-n_out // floats.width) * cost.panel
    lanes = cost.turned + n_out * cost.lane if n_out <= cost.lane_sums else panels
    return bool(in_columns < n_in * min(panels, lanes))


def _in_columns(layer: Layer, width: int) -> Sums:
    n_in, n_out = layer.columns.shape
    weight = Table(np.pad(layer.columns.T, ((0, 0), (0, -n_in % width))), np.float32, lines=True)
    order: BiasOrder = "none" if layer.bias is None else "last"
    return RowColumns(n_in, n_out, 1, width, False, order, layer.relu, True, weight, layer.bias)
