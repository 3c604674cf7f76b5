"""Wide integers pass: sums of integers run in vectors, for one row and for blocks of rows.

Codes stay laid out from one dense op to the next; what stands between, and what ends the Program, runs row by row.
Where floats are all that is read of a block's result, the dense op gives them. Both ways read the same tables. Knows no
target by name and no C.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TypeGuard

import numpy as np

from aprgen.costs import BatchCost, IntegerForm
from aprgen.ops.code_columns import CodeColumns, ColumnsOfFloats, column_weights, columns_of
from aprgen.ops.integer import (
    MAGIC_BITS,
    Code,
    Dequantise,
    IntegerDense,
    IntegerLookup,
    IntegerSquaredDistance,
    IntegerSum,
    Quantise,
)
from aprgen.ops.wide_integers import (
    STORED,
    CodeSums,
    DensePanels,
    DenseRow,
    Lay,
    LayCodes,
    LayRow,
    LookUpCodes,
    QuantiseRow,
    QuantiseRows,
    packed,
)
from aprgen.passes.layout import plan_block
from aprgen.program import Array, Batch, Op, Program, Step, Table, Way

Sums = IntegerDense | IntegerSum | IntegerSquaredDistance
KERNELS = (
    "quantise_rows_f32", "lay_codes", "look_up_codes", "dense_panels_codes",
    "quantise_row_f32", "lay_row", "dense_row_codes",
)  # fmt: skip
COLUMN_KERNELS = ("row_columns_codes", "row_columns_of_floats", "columns_of_floats")
MOST_COLUMN_SUMS = 8  # so that partial sums stay in registers
BYTES: dict[str, int] = {name: np.dtype(kind).itemsize for name, kind in STORED.items()} | {"f32": 4}


def with_integer_blocks(program: Program, cost: BatchCost | None, has: Callable[[str], bool]) -> Program:
    """The Program with a way for blocks, where it has sums of integers and no such way yet, and with the same sums for
    one row, of floats and of codes. has: whether a kernel is there."""
    if cost is None or cost.integers is None or program.batch is not None or program.source.element != "f32":
        return program
    sums = [op for index in program.in_code() if _is_sums(op := program.steps[index].op)]
    if not sums or not all(has(kernel) for kernel in KERNELS) or not all(_fits(op) for op in sums):
        return program
    columns = _in_columns(program, cost.integers) if all(has(kernel) for kernel in COLUMN_KERNELS) else {}
    tables = {id(op): _tables(cost.integers, op) for op in sums if id(op) not in columns}
    forms = _Forms(cost.integers, tables, columns)
    rows = _rows_that_fit(program, cost, forms)
    if not rows:
        return program
    made = _row_by_row(_in_blocks(program, forms, rows), program, forms)
    made.check()
    return made


def _is_sums(op: Op) -> TypeGuard[Sums]:
    return isinstance(op, IntegerDense | IntegerSum | IntegerSquaredDistance)


def _fits(op: Sums) -> bool:
    """Whether codes and weights are both of 8 bits, or codes of 16 bits."""
    if isinstance(op, IntegerSquaredDistance):
        return True
    return op.source == "i16" or (op.source == "i8" and op.weight.data.dtype == np.int8)


def _in_columns(program: Program, form: IntegerForm) -> Mapping[int, _Columns]:
    """By op, those sums of the codes of a row that take fewer instructions with columns in lanes."""
    if form.column_total is None:
        return {}
    found: dict[int, _Columns] = {}
    for index in program.in_code():
        step = program.steps[index]
        source = program.steps[step.inputs[0] - 1].op if step.inputs and step.inputs[0] else None
        if not isinstance(step.op, IntegerDense | IntegerSum) or not isinstance(source, Quantise):
            continue
        if _columns_are_cheaper(step.op, form):
            sums = _column_sums(form, step.op)
            found[id(step.op)] = _Columns(sums, sums.of_floats(*_bounds(source, sums.lay)))
    return found


def _columns_are_cheaper(op: IntegerDense | IntegerSum, form: IntegerForm) -> bool:
    """Instructions for a row of floats: panels store codes and read them again."""
    assert form.column_total is not None
    lay, n_out = _lay(form, op), _n_sums(op)
    if op.cols < columns_of(lay):
        return False
    vectors = -(-op.cols // form.width)
    panels = -(-op.cols // lay.step) * -(-n_out // form.width) + vectors
    return n_out <= MOST_COLUMN_SUMS and n_out * (vectors + form.column_total) < panels


def _weights(op: Sums) -> Array:
    """[n_sums, cols], or points."""
    weight = op.points if isinstance(op, IntegerSquaredDistance) else op.weight
    return np.atleast_2d(weight.data).astype(np.int64)


def _n_sums(op: Sums) -> int:
    return len(_weights(op))


def _column_sums(form: IntegerForm, op: IntegerDense | IntegerSum) -> CodeColumns:
    lay = _lay(form, op)
    weight, bias = _offset_taken_off(op, lay)
    multiplier = shift = None
    if isinstance(op, IntegerDense):
        multiplier = op.multiplier
        shift = Table(np.broadcast_to(op.shift.data, (op.rows,)), np.uint8)
    code: Code = op.element if isinstance(op, IntegerDense) else "i32"
    packed_weight = column_weights(weight, lay)
    return CodeColumns(
        op.cols, len(weight), op.largest_sum, lay, code, packed_weight, Table(bias.astype(np.int32)), multiplier, shift
    )


def _offset_taken_off(op: Sums, lay: Lay) -> tuple[Array, Array]:
    """Weights [n_sums, cols], and a bias for each sum; modulo 2^32."""
    weight = _weights(op)
    if isinstance(op, IntegerSquaredDistance):
        return weight, np.zeros(len(weight), np.int64)
    bias = op.bias.data.astype(np.int64) if isinstance(op, IntegerDense) else np.array([op.bias], np.int64)
    return weight, bias - lay.offset * weight.sum(axis=1)


def _rows_that_fit(program: Program, cost: BatchCost, forms: _Forms) -> int:
    """Of a block, by what the buffers between its layers take for one row; 0: not even one."""
    form, tried = forms.form, _in_blocks(program, forms, 1)
    assert tried.batch is not None
    way = tried.batch.many
    row_bytes = max(
        sum(BYTES[buffer.element] * buffer.size for buffer in plan_block(tried, value, "x", "out").buffers)
        for value in (way.scores, way.label) if value is not None
    )  # fmt: skip
    rows = min(cost.rows, form.hidden_bytes // max(1, row_bytes))
    tile_rows = form.tile_rows if forms.tables else forms.together
    return rows - rows % tile_rows if rows > tile_rows else rows


@dataclass(frozen=True, eq=False)
class _Tables:
    """What all ways to the sums of one op read; see CodeSums."""

    lay: Lay
    weight: Table
    bias: Table
    multiplier: Table | None
    shift: Table | None


@dataclass(frozen=True)
class _Columns:
    """Sums of one op with columns in lanes, which read the same tables."""

    of_codes: CodeColumns
    of_floats: ColumnsOfFloats


@dataclass(frozen=True)
class _Forms:
    """What sums of each op read, by its identity: in panels, or in columns."""

    form: IntegerForm
    tables: Mapping[int, _Tables]
    columns: Mapping[int, _Columns]

    @property
    def together(self) -> int:
        """Rows whose sums in columns stay in registers, beside what makes codes: half of those of a tile of panels."""
        most = max((columns.of_codes.n_sums for columns in self.columns.values()), default=1)
        return max(1, min(MOST_COLUMN_SUMS, self.form.tile_rows * self.form.tile_panels // 2) // most)

    def in_panels(self, op: Op) -> bool:
        return _is_sums(op) and id(op) not in self.columns


def _lay(form: IntegerForm, op: Sums) -> Lay:
    """Of what the op reads."""
    code: Code = op.source
    if isinstance(op, IntegerSquaredDistance):
        of_pairs = code == "i8" and op.shift == 0  # then differences fit 16 bits
        return Lay("i16", code, form.width, 2, form.pair_group) if of_pairs else Lay("i32", code, form.width, 1, 1)
    if code == "i8" and form.byte_codes != "none":
        return Lay("u8" if form.byte_codes == "unsigned" else "i8", code, form.width, 4, form.byte_group)
    return Lay("i16", code, form.width, 2, form.pair_group)


def _tables(form: IntegerForm, op: Sums) -> _Tables:
    lay = _lay(form, op)
    weight, bias = _offset_taken_off(op, lay)
    multiplier = shift = None
    if isinstance(op, IntegerDense):
        multiplier = _in_vectors(op.multiplier.data, len(weight), lay, np.int32)
        shift = _in_vectors(op.shift.data, len(weight), lay, np.int32, 1)
    packed_weight = packed(weight.T, form.tile_panels, lay)
    return _Tables(lay, packed_weight, _in_vectors(bias, len(weight), lay, np.int32), multiplier, shift)


def _in_vectors(values: Array, n: int, lay: Lay, kind: type[np.generic], fill: int = 0) -> Table:
    """n values, or one for all, in whole vectors."""
    every = np.broadcast_to(values, (n,))
    return Table(np.pad(every, (0, lay.stride(n) - n), constant_values=fill).astype(kind), lines=True)


@dataclass(eq=False)
class _Work:
    """The steps as they grow, and the new ids of values of the Program: as rows, and laid out. rows: of a block; 0: one
    row at a time."""

    program: Program
    forms: _Forms
    rows: int
    steps: list[Step]
    as_rows: dict[int, int]
    laid: dict[tuple[int, Lay], int]
    made: dict[tuple[int, Lay | None], DenseRow] = field(default_factory=dict)  # of one row: by op, and how it lays out

    def add(self, op: Op, *inputs: int) -> int:
        self.steps.append(Step(op, inputs))
        return len(self.steps)

    def readers(self, value: int) -> list[int]:
        """Steps."""
        return [index for index in self.program.in_code() if value in self.program.steps[index].inputs]


def _in_blocks(program: Program, forms: _Forms, rows: int) -> Program:
    work = _Work(program, forms, rows, list(program.steps), {0: 0}, {})
    scores = _as_rows(work, program.scores)
    label = None if program.label is None else _as_rows(work, program.label)
    return replace(program, steps=tuple(work.steps), batch=Batch(Way(scores, label), None, rows, 1))


def _row_by_row(made: Program, program: Program, forms: _Forms) -> Program:
    """`made` with the sums of `program` in vectors where its functions take one row."""
    of_floats = _Work(program, forms, 0, list(made.steps), {0: 0}, {})
    scores = _as_rows(of_floats, program.scores)
    label = None if program.label is None else _as_rows(of_floats, program.label)
    codes = program.codes
    if codes is not None:
        given = {codes.x: codes.x}
        of_codes = replace(of_floats, as_rows=given, laid={})  # adds to the same steps, and takes the same sums
        own = None if codes.label is None else _as_rows(of_codes, codes.label)
        codes = replace(codes, scores=_as_rows(of_codes, codes.scores), label=own)
    return replace(made, steps=tuple(of_floats.steps), scores=scores, label=label, codes=codes)


def _as_rows(work: _Work, value: int) -> int:
    """The value as rows, of floats or codes."""
    if value in work.as_rows:
        return work.as_rows[value]
    step = work.program.steps[value - 1]
    if id(step.op) in work.forms.columns:
        made = _columns(work, work.forms.columns[id(step.op)], step.inputs[0])
    elif _is_sums(step.op):
        made = work.add(_sums(work, step.op, None, None), _laid(work, step.inputs[0], _lay(work.forms.form, step.op)))
    elif work.rows and isinstance(step.op, Dequantise) and _only_floats(work, step.inputs[0]):
        before = work.program.steps[step.inputs[0] - 1]
        assert _is_sums(before.op)
        lay = _lay(work.forms.form, before.op)
        made = work.add(_sums(work, before.op, None, step.op), _laid(work, before.inputs[0], lay))
    else:
        inputs = tuple(_as_rows(work, i) for i in step.inputs)
        made = value if inputs == step.inputs and not work.rows else work.add(step.op, *inputs)
    work.as_rows[value] = made
    return made


def _columns(work: _Work, columns: _Columns, source: int) -> int:
    """Of floats, unless the codes are there."""
    quantised = work.program.steps[source - 1]
    if source in work.as_rows:
        return work.add(columns.of_codes, work.as_rows[source])
    op = columns.of_floats
    made = op.of_rows(work.rows, work.forms.together) if work.rows else op
    return work.add(made, _as_rows(work, quantised.inputs[0]))


def _only_floats(work: _Work, value: int) -> bool:
    """Whether panels make the value, and one op reads it."""
    return value > 0 and work.forms.in_panels(work.program.steps[value - 1].op) and len(work.readers(value)) == 1


def _laid(work: _Work, value: int, to: Lay) -> int:
    """The codes of a value, laid out."""
    if (value, to) in work.laid:
        return work.laid[value, to]
    step = work.program.steps[value - 1]
    n_in = work.program.types()[value].size
    if isinstance(step.op, Quantise) and value not in work.as_rows:
        made = work.add(_quantise(work, step.op, to), _as_rows(work, step.inputs[0]))
    elif isinstance(step.op, IntegerDense) and work.forms.in_panels(step.op) and _stays_laid(work, value):
        made = work.add(_sums(work, step.op, to, None), _laid(work, step.inputs[0], _lay(work.forms.form, step.op)))
    elif _looks_up_laid(work, value) and _stays_laid(work, value):
        assert isinstance(step.op, IntegerLookup)
        table = Table(to.laid(step.op.table.data.astype(np.int64)), lines=True)
        made = work.add(LookUpCodes(n_in, work.rows, to, table, step.op.error), _laid(work, step.inputs[0], to))
    elif work.rows:
        source = _as_rows(work, value)
        op = work.steps[source - 1].op
        stride = op.row_elements if isinstance(op, DensePanels) else n_in
        made = work.add(LayCodes(n_in, work.rows, to, stride), source)
    else:
        made = work.add(LayRow(n_in, to), _as_rows(work, value))
    work.laid[value, to] = made
    return made


def _stays_laid(work: _Work, value: int) -> bool:
    """Whether nothing reads the value as rows, and all that read it have the codes lie alike."""
    lays = _lays(work, value)
    return lays is not None and len(lays) < 2


def _looks_up_laid(work: _Work, value: int) -> bool:
    """Whether a table makes the value of codes that are laid out: of a block, and no distance reads it. For the codes
    that fill vectors up a table gives anything."""
    if not work.rows or not isinstance(work.program.steps[value - 1].op, IntegerLookup):
        return False
    readers = (work.program.steps[index].op for index in work.readers(value))
    return not any(isinstance(op, IntegerSquaredDistance) for op in readers)


def _lays(work: _Work, value: int) -> set[Lay] | None:
    """How the codes of a value lie for what reads them; None: as rows."""
    codes = work.program.codes
    if codes is not None and value in (codes.scores, codes.x):
        return None
    found: set[Lay] = set()
    for index in work.readers(value):
        op = work.program.steps[index].op
        if _is_sums(op):
            found.add(_lay(work.forms.form, op))
            continue
        looked_up = _lays(work, index + 1) if _looks_up_laid(work, index + 1) else None
        if looked_up is None:
            return None
        found |= looked_up
    return found


def _quantise(work: _Work, op: Quantise, to: Lay) -> QuantiseRow | QuantiseRows:
    tables = _bounds(op, to)
    return QuantiseRows(op.size, to, *tables, work.rows) if work.rows else QuantiseRow(op.size, to, *tables)


def _bounds(op: Quantise, to: Lay) -> tuple[Table, Table]:
    """Factors, and lower bounds of the bits in place of zeros; see ops.integer.Quantise. Columns that fill up have the
    code 0."""
    least = op.zero.data.astype(np.int64) + MAGIC_BITS + to.low
    inverse = op.inverse.data
    uniform = op.uniform and (op.size % to.step == 0 or not op.zero.data.any())
    if not uniform:
        least, inverse = (np.broadcast_to(values, (op.size,)) for values in (least, inverse))
        more = (0, to.stride(op.size) - op.size)
        least, inverse = np.pad(least, more, constant_values=MAGIC_BITS + to.low), np.pad(inverse, more)
    return Table(inverse, np.float32, lines=not uniform), Table(least, np.int32, lines=not uniform)


def _sums(work: _Work, op: Sums, to: Lay | None, floats: Dequantise | None) -> DensePanels | DenseRow:
    own, form, n = work.forms.tables[id(op)], work.forms.form, _n_sums(op)
    scale = offset = None
    if floats is not None:
        scale = _in_vectors(floats.scale.data, n, own.lay, np.float32)
        offset = None if floats.offset is None else _in_vectors(floats.offset.data, n, own.lay, np.float32)
    made = CodeSums(
        _weights(op).shape[1], n, op.largest_sum, own.lay, op.element if isinstance(op, IntegerDense) else "i32",
        "laid" if to is not None else "rows" if floats is None else "floats", to, form.tile_panels, own.weight,
        own.bias, own.multiplier, own.shift, scale, offset, isinstance(op, IntegerSquaredDistance),
        op.shift if isinstance(op, IntegerSquaredDistance) else 0,
    )  # fmt: skip
    parts = {one.name: getattr(made, one.name) for one in fields(made)}
    if not work.rows:
        return work.made.setdefault((id(op), to), DenseRow(**parts))
    return DensePanels(**parts, rows=work.rows, tile_rows=form.tile_rows)
