"""Halves pass: fused sums with many outputs take bfloat16, values between such sums stay in it.

Knows no target by name and no C.
"""

from __future__ import annotations

import numpy as np

from aprgen.ops.half_sums import RowHalfPanels, RowHalved, half_weights
from aprgen.ops.wide_floats import RowPanels
from aprgen.program import Op, Program, Step, Table


def halve(program: Program) -> Program:
    """A Program with fused sums (passes/fuse.py) with those in vectors of outputs, but for distances, in bfloat16."""
    steps: list[Step] = []
    moved = {0: 0}
    halved: dict[int, int] = {}  # values that are there in bfloat16

    def add(op: Op, *inputs: int) -> int:
        steps.append(Step(op, inputs))
        return len(steps)

    for index, step in enumerate(program.steps):
        op = step.op
        if not _takes_halves(op):
            moved[index + 1] = add(op, *(moved[value] for value in step.inputs))
            continue
        assert isinstance(op, RowPanels)
        (value,) = step.inputs
        if value not in halved:
            halved[value] = add(RowHalved(op.n_in, 1, op.width), moved[value])
        stays = _stays_halved(program, index + 1)
        made = add(_in_halves(op, stays), halved[value])
        (halved if stays else moved)[index + 1] = made
    label = None if program.label is None else moved[program.label]
    result = Program(
        program.source, tuple(steps), moved[program.scores], label, program.n_classes, notes=program.notes
    )  # fmt: skip
    result.check()
    return result


def _takes_halves(op: Op) -> bool:
    return isinstance(op, RowPanels) and not op.distance


def _stays_halved(program: Program, value: int) -> bool:
    """Whether nothing but such sums reads it."""
    readers = [step.op for step in program.steps if value in step.inputs]
    return value not in (program.scores, program.label) and all(_takes_halves(op) for op in readers)


def _in_halves(op: RowPanels, halves: bool) -> RowHalfPanels:
    weight = half_weights(op.columns(), op.width, op.tile_panels)
    bias = None if op.bias is None else Table(np.asarray(op.bias.data), lines=True)
    return RowHalfPanels(
        op.n_in, op.n_sums, 1, op.width, op.relu, halves, weight, bias, op.tile_rows, op.tile_panels
    )  # fmt: skip
