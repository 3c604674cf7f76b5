"""Numeric modes in floats that may differ from f32, within a bound: which a target has, and a Program in one of them.

Knows targets by what their files say; reads and prints nothing.
"""

from __future__ import annotations

from aprgen.accuracy import Accuracy, Calibration, measure_floats, require_calibration, trial_rows
from aprgen.errors import UnsupportedError
from aprgen.passes.fuse import fuse
from aprgen.passes.halves import halve
from aprgen.program import Program
from aprgen.target import Target, load_target, target_names

FLOAT_MODES = ("f32-fast", "bf16")
NEEDS = {"f32-fast": "adds a product with one rounding", "bf16": "adds products of bfloat16"}


def float_modes_of(target: Target) -> tuple[str, ...]:
    """Those that the target has kernels for; none where it picks its kernels as it runs."""
    if target.variants:
        return ()
    halves = ("bf16",) if target.fused and target.has_kernel("panels_bf16") else ()
    return ("f32-fast", *halves) if target.fused else ()


def in_float_mode(
    program: Program, target: Target, numeric: str, calibration: Calibration | None
) -> tuple[Program, Accuracy | None]:
    """The Program with sums as the mode computes them, and what that costs over the rows, or over random ones.

    Other steps stay as they are in f32; a Program without such sums stays as a whole, and loses nothing: None.
    """
    if program.source.element != "f32":
        raise UnsupportedError(
            "numeric.text", f"a model that reads text has no mode {numeric}", where="--numeric", hint="leave it out"
        )
    if numeric not in float_modes_of(target):
        able = ", ".join(name for name in target_names() if numeric in float_modes_of(load_target(name)))
        why = f"no kernel of {target.name} {NEEDS[numeric]}"
        if target.variants:
            why = f"{target.name} picks its kernels where it runs, and sums would differ between CPUs"
        raise UnsupportedError(
            "numeric.target", why, where=f"--numeric {numeric}", hint=f"use f32, or one of the targets: {able}"
        )
    if calibration is not None:
        require_calibration(calibration, program)
    fused = fuse(program, None if target.batch is None else target.batch.floats, target.has_kernel)
    if fused is program:
        return program, None
    made = halve(fused) if numeric == "bf16" else fused
    return made, measure_floats(program, made, calibration or trial_rows(program))
