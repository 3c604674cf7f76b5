"""Packing pass: the order in which constants lie in memory, as a target's kernels read them fastest.

The result is the same, bit for bit. Knows orders by name; knows no target and no C.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aprgen.ops.integer import BLOCK_ROWS, IntegerDense, unsigned
from aprgen.program import Program, Step
from aprgen.target import WeightOrder


def pack_weights(program: Program, order: WeightOrder) -> Program:
    """Integer dense ops with weights of 8 bits in the order asked for; all others, and those with fewer rows than
    a block, stay."""
    if order == "rows":
        return program
    return program.with_steps([_packed(step) for step in program.steps])


def _packed(step: Step) -> Step:
    op = step.op
    if isinstance(op, IntegerDense) and op.weight.data.dtype == np.int8 and op.source == "i8" and op.rows >= BLOCK_ROWS:
        return replace(step, op=unsigned(op))
    return step
