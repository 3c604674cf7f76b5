"""Wide integers pass: beside the way of one row, a way for blocks of rows, whose sums of integers run in vectors.

Codes stay laid out from one dense op to the next; what stands between, and what ends the Program, runs row by row.
Where floats are all that is read of a result, the dense op gives them. Knows no target by name and no C.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from aprgen.ops.integer import MAGIC_BITS, Code, Dequantise, IntegerDense, IntegerSum, Quantise
from aprgen.ops.wide_integers import STORED, DensePanels, Lay, LayCodes, QuantiseRows, packed
from aprgen.passes.layout import plan_block
from aprgen.program import Array, Batch, Op, Program, Step, Table, Way
from aprgen.target import BatchCost, IntegerForm

Sums = IntegerDense | IntegerSum
KERNELS = ("dense_panels_codes", "quantise_rows_f32", "lay_codes")
BYTES: dict[str, int] = {name: np.dtype(kind).itemsize for name, kind in STORED.items()} | {"f32": 4}


def with_integer_blocks(program: Program, cost: BatchCost | None, has: Callable[[str], bool]) -> Program:
    """The Program with a way for blocks, where it has dense integer ops and no such way yet. has: whether a kernel is
    there."""
    if cost is None or cost.integers is None or program.batch is not None or program.source.element != "f32":
        return program
    ops = [program.steps[index].op for index in program.needed(program.scores, program.label)]
    sums = [op for op in ops if isinstance(op, Sums)]
    if not sums or not all(has(kernel) for kernel in KERNELS) or not all(_fits(op) for op in sums):
        return program
    rows = _rows_that_fit(program, cost, cost.integers)
    if not rows:
        return program
    made = _with_way(program, cost.integers, rows)
    made.check()
    return made


def _fits(op: Sums) -> bool:
    """Whether codes and weights are both of 8 bits, or codes of 16 bits."""
    return op.source == "i16" or (op.source == "i8" and op.weight.data.dtype == np.int8)


def _rows_that_fit(program: Program, cost: BatchCost, form: IntegerForm) -> int:
    """Of a block, by what the buffers between its layers take for one row; 0: not even one."""
    tried = _with_way(program, form, 1)
    assert tried.batch is not None
    way = tried.batch.many
    row_bytes = max(
        sum(BYTES[buffer.element] * buffer.size for buffer in plan_block(tried, value, "x", "out").buffers)
        for value in (way.scores, way.label) if value is not None
    )  # fmt: skip
    rows = min(cost.rows, form.hidden_bytes // max(1, row_bytes))
    return rows - rows % form.tile_rows if rows > form.tile_rows else rows


def _with_way(program: Program, form: IntegerForm, rows: int) -> Program:
    work = _Work(program, form, rows, list(program.steps), {0: 0}, {})
    scores = _as_rows(work, program.scores)
    label = None if program.label is None else _as_rows(work, program.label)
    return replace(program, steps=tuple(work.steps), batch=Batch(Way(scores, label), None, rows, 1))


@dataclass(eq=False)
class _Work:
    """The steps as they grow, and the new ids of values of the Program: as rows, and laid out."""

    program: Program
    form: IntegerForm
    rows: int
    steps: list[Step]
    as_rows: dict[int, int]
    laid: dict[int, int]

    def add(self, op: Op, *inputs: int) -> int:
        self.steps.append(Step(op, inputs))
        return len(self.steps)

    def readers(self, value: int) -> list[Op]:
        steps = self.program.needed(self.program.scores, self.program.label)
        return [self.program.steps[i].op for i in steps if value in self.program.steps[i].inputs]


def _as_rows(work: _Work, value: int) -> int:
    """The value as rows, of floats or codes."""
    if value in work.as_rows:
        return work.as_rows[value]
    step = work.program.steps[value - 1]
    if isinstance(step.op, Sums):
        made = work.add(_panels(work, step.op, None, None), _laid(work, step.inputs[0], step.op.source))
    elif isinstance(step.op, Dequantise) and _only_floats(work, step.inputs[0]):
        before = work.program.steps[step.inputs[0] - 1]
        assert isinstance(before.op, Sums)
        op = _panels(work, before.op, None, step.op)
        made = work.add(op, _laid(work, before.inputs[0], before.op.source))
    else:
        made = work.add(step.op, *(_as_rows(work, i) for i in step.inputs))
    work.as_rows[value] = made
    return made


def _only_floats(work: _Work, value: int) -> bool:
    """Whether a dense op makes the value, and one op reads it."""
    return value > 0 and isinstance(work.program.steps[value - 1].op, Sums) and len(work.readers(value)) == 1


def _laid(work: _Work, value: int, code: Code) -> int:
    """The codes of a value, laid out."""
    if value in work.laid:
        return work.laid[value]
    step, to = work.program.steps[value - 1], _lay(work.form, code)
    others = [op for op in work.readers(value) if not isinstance(op, Sums)]
    if isinstance(step.op, Quantise) and not others:
        made = work.add(_quantise(work, step.op, to), _as_rows(work, step.inputs[0]))
    elif isinstance(step.op, IntegerDense) and not others:
        made = work.add(_panels(work, step.op, to, None), _laid(work, step.inputs[0], step.op.source))
    else:
        source = _as_rows(work, value)
        op = work.steps[source - 1].op
        n_in = work.program.types()[value].size
        stride = op.row_elements if isinstance(op, DensePanels) else n_in
        made = work.add(LayCodes(n_in, work.rows, to, stride), source)
    work.laid[value] = made
    return made


def _lay(form: IntegerForm, code: Code) -> Lay:
    if code == "i8" and form.byte_codes != "none":
        return Lay("u8" if form.byte_codes == "unsigned" else "i8", code, form.width, 4, form.byte_group)
    return Lay("i16", code, form.width, 2, form.pair_group)


def _quantise(work: _Work, op: Quantise, to: Lay) -> QuantiseRows:
    """Lower bounds of the bits in place of zeros; see ops.integer.Quantise. Columns that fill up have the code 0."""
    least = op.zero.data.astype(np.int64) + MAGIC_BITS + to.low
    inverse = op.inverse.data
    if not op.uniform:
        more = (0, to.stride(op.size) - op.size)
        least, inverse = np.pad(least, more, constant_values=MAGIC_BITS + to.low), np.pad(inverse, more)
    tables = Table(inverse, np.float32, lines=not op.uniform), Table(least, np.int32, lines=not op.uniform)
    return QuantiseRows(op.size, work.rows, to, *tables)


def _panels(work: _Work, op: Sums, to: Lay | None, floats: Dequantise | None) -> DensePanels:
    lay = _lay(work.form, op.source)
    weight = op.weight.data.astype(np.int64).reshape(-1, op.cols)
    n_sums = len(weight)
    padded = lay.stride(n_sums)

    def vectors(values: Array, kind: type[np.generic], fill: int = 0) -> Table:
        every = np.broadcast_to(values, (n_sums,))
        return Table(np.pad(every, (0, padded - n_sums), constant_values=fill).astype(kind), lines=True)

    bias = op.bias.data.astype(np.int64) if isinstance(op, IntegerDense) else np.array([op.bias], np.int64)
    bias = bias - lay.offset * weight.sum(axis=1)  # modulo 2^32
    return DensePanels(
        op.cols, n_sums, work.rows, op.largest_sum, lay,
        code=op.element if isinstance(op, IntegerDense) else "i32",
        end="laid" if to is not None else "floats" if floats is not None else "rows",
        to=to,
        tile_rows=work.form.tile_rows,
        tile_panels=work.form.tile_panels,
        weight=packed(weight.T, work.form.tile_panels, lay),
        bias=vectors(bias, np.int32),
        multiplier=vectors(op.multiplier.data, np.int32) if isinstance(op, IntegerDense) else None,
        shift=vectors(op.shift.data, np.int32, 1) if isinstance(op, IntegerDense) else None,
        scale=None if floats is None else vectors(floats.scale.data, np.float32),
        offset=None if floats is None or floats.offset is None else vectors(floats.offset.data, np.float32),
    )  # fmt: skip
