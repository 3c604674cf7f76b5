"""Wide integers pass: sums of integers run in vectors, for one row and for blocks of rows.

Codes stay laid out from one dense op to the next; what stands between, and what ends the Program, has its own forms for
blocks (wide_code_steps.py) or runs row by row.
Where floats are all that is read of a block's result, the dense op gives them. Both ways read the same tables. Knows no
target by name and no C.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TypeGuard

import numpy as np

from aprgen.costs import BatchCost, IntegerForm
from aprgen.ops.code_columns import CodeColumns, ColumnsOfFloats, column_weights, columns_of
from aprgen.ops.decide import Argmax, Argmin
from aprgen.ops.integer import (
    MAGIC_BITS,
    Code,
    Dequantise,
    IntegerDense,
    IntegerLookup,
    IntegerSoftmax,
    IntegerSquaredDistance,
    IntegerSum,
    Interpolate,
    Quantise,
)
from aprgen.ops.wide_code_steps import (
    IN_LANES,
    BlockCodeNeighbours,
    BlockCodeSoftmax,
    InterpolateCodes,
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
from aprgen.passes import wide_code_steps
from aprgen.passes.layout import plan_block
from aprgen.passes.wide_code_steps import CodeSteps
from aprgen.program import Array, Batch, Op, PadsRows, Program, Step, Table, Way

Sums = IntegerDense | IntegerSum | IntegerSquaredDistance
KERNELS = (
    "quantise_rows_f32", "lay_codes", "look_up_codes", "dense_panels_codes",
    "quantise_row_f32", "lay_row", "dense_row_codes",
)  # fmt: skip
COLUMN_KERNELS = ("row_columns_codes", "row_columns_of_floats", "columns_of_floats")
MOST_COLUMN_SUMS = 8  # so that partial sums stay in registers
BYTES: dict[str, int] = {name: np.dtype(kind).itemsize for name, kind in STORED.items()} | {"f32": 4}


def with_integer_blocks(program: Program, cost: BatchCost | None, has: Callable[[str], bool]) -> Program:
    """The Program with a way for blocks, where it has sums of integers, or neighbours or Gaussians in codes, and none
    yet, and with the same sums for one row, of floats and of codes. has: whether a kernel is there."""
    if cost is None or cost.integers is None or program.batch is not None or program.source.element != "f32":
        return program
    steps = None
    if cost.floats is not None and all(has(kernel) for kernel in wide_code_steps.KERNELS):
        steps = CodeSteps(cost.floats, cost.integers)
    ops = [program.steps[index].op for index in program.in_code()]
    steps = None if steps is None else steps.of_ops(ops)
    sums = [op for op in ops if _is_sums(op)]
    laid = sums or (steps is not None and any(steps.lay(op) is not None for op in ops))
    if not laid or not all(has(kernel) for kernel in KERNELS) or not all(_fits(op) for op in sums):
        return program
    columns = _in_columns(program, cost.integers) if all(has(kernel) for kernel in COLUMN_KERNELS) else {}
    tables = {id(op): _tables(cost.integers, op) for op in sums if id(op) not in columns}
    forms = _Forms(cost.integers, tables, columns, steps)
    rows = _rows_that_fit(program, cost, forms)
    made = _in_blocks(program, forms, rows) if rows else None
    if made is None and sums and steps is not None:  # with steps for any number of rows alone
        forms = replace(forms, steps=steps.for_any_rows())
        rows = _rows_that_fit(program, cost, forms)
        made = _in_blocks(program, forms, rows) if rows else None
    if made is None:
        return program
    made = _row_by_row(made, program, forms)
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
    form, tried = forms.form, _trial(program, forms, 1)
    assert tried.batch is not None
    way = tried.batch.many
    row_bytes = max(
        sum(BYTES[buffer.element] * buffer.size for buffer in plan_block(tried, value, "x", "out").buffers)
        for value in (way.scores, way.label) if value is not None
    )  # fmt: skip
    own = _own_bytes(_trial(program, forms, cost.rows))
    rows = min(cost.rows, (form.hidden_bytes - own) // max(1, row_bytes))
    tile_rows = form.tile_rows if forms.tables else forms.together
    return rows - rows % tile_rows if rows > tile_rows else max(0, rows)


def _own_bytes(program: Program) -> int:
    """The most that a step of blocks takes for itself."""
    assert program.batch is not None
    way = program.batch.many
    ops = (program.steps[index].op for index in program.needed(way.scores, way.label))
    return max((op.stack_bytes for op in ops if isinstance(op, BlockCodeNeighbours | BlockCodeSoftmax)), default=0)


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
    """What sums of each op read, by its identity: in panels, or in columns; and which other steps have forms."""

    form: IntegerForm
    tables: Mapping[int, _Tables]
    columns: Mapping[int, _Columns]
    steps: CodeSteps | None

    @property
    def together(self) -> int:
        """Rows whose sums in columns stay in registers, beside what makes codes: half of those of a tile of panels."""
        most = max((columns.of_codes.n_sums for columns in self.columns.values()), default=1)
        return max(1, min(MOST_COLUMN_SUMS, self.form.tile_rows * self.form.tile_panels // 2) // most)

    def lay(self, op: Op) -> Lay | None:
        """How codes lie for what reads them; None: as rows."""
        if _is_sums(op):
            return _lay(self.form, op)
        return None if self.steps is None else self.steps.lay(op)

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
    made: dict[Hashable, Op] = field(default_factory=dict)  # by what it is made of and the number of rows

    def add(self, op: Op, *inputs: int) -> int:
        self.steps.append(Step(op, inputs))
        return len(self.steps)

    def once(self, make: Callable[[], Op], *of: Hashable) -> Op:
        """What was made of the same before: ways share functions and tables."""
        key = (self.rows, *of)
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def readers(self, value: int) -> list[int]:
        """Steps."""
        return [index for index in self.program.in_code() if value in self.program.steps[index].inputs]


def _in_blocks(program: Program, forms: _Forms, rows: int) -> Program | None:
    """None: a block would have fewer rows than some step takes."""
    many = _Work(program, forms, rows, list(program.steps), {0: 0}, {})
    way = _way(many)
    if not any(isinstance(many.steps[index].op, IN_LANES) for index in _needed(many, way)):
        return replace(program, steps=tuple(many.steps), batch=Batch(way, None, rows, 1))
    width = forms.form.width
    if rows < width:
        return None
    few = None
    if forms.tables or forms.columns:
        assert forms.steps is not None
        forms_of_few = replace(forms, steps=forms.steps.for_any_rows())
        few = _way(replace(many, forms=forms_of_few, as_rows={0: 0}, laid={}))
    return replace(program, steps=tuple(many.steps), batch=Batch(way, few, rows, width))


def _way(work: _Work) -> Way:
    scores = _as_rows(work, work.program.scores)
    return Way(scores, None if work.program.label is None else _as_rows(work, work.program.label))


def _needed(work: _Work, way: Way) -> tuple[int, ...]:
    return work.program.with_steps(work.steps).needed(way.scores, way.label)


def _trial(program: Program, forms: _Forms, rows: int) -> Program:
    work = _Work(program, forms, rows, list(program.steps), {0: 0}, {})
    return replace(program, batch=Batch(_way(work), None, rows, 1), steps=tuple(work.steps))


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
        steps = work.forms.steps
        form = None if steps is None else _in_form(work, step, steps) if work.rows else _of_row(work, step, steps)
        inputs = tuple(_as_rows(work, i) for i in step.inputs) if form is None else ()
        same = inputs == step.inputs and not work.rows
        made = form if form is not None else value if same else work.add(step.op, *inputs)
    work.as_rows[value] = made
    return made


def _of_row(work: _Work, step: Step, steps: CodeSteps) -> int | None:
    """The value of a step in its form for one row; None: it has none."""
    form = steps.of_row(step.op)
    if form is None:
        return None
    op = work.once(lambda: form, "row", id(step.op))  # of floats and of codes
    return work.add(op, _laid(work, step.inputs[0], form.lay))


def _in_form(work: _Work, step: Step, steps: CodeSteps) -> int | None:
    """The value of a step in its form for blocks; None: it has none here."""
    op, rows = step.op, work.rows
    lay = steps.lay(op)
    if lay is not None:
        return work.add(steps.of_laid(op, lay, rows), _laid(work, step.inputs[0], lay))
    before = work.program.steps[step.inputs[0] - 1] if step.inputs and step.inputs[0] else None
    if before is None:
        return None
    form: Op | None = None
    if isinstance(op, Dequantise) and isinstance(before.op, IntegerSoftmax):
        x = _as_rows(work, before.inputs[0])
        form = steps.shares(before.op, op, work.steps[x - 1].op, rows)
    elif isinstance(op, Argmax) and isinstance(before.op, IntegerSoftmax):
        readers = work.readers(step.inputs[0])
        x = next((_as_rows(work, i + 1) for i in readers if isinstance(work.program.steps[i].op, Dequantise)), 0)
        form = steps.label_of_shares(op, work.steps[x - 1].op, rows) if x else None
    elif isinstance(op, Interpolate | Argmax | Argmin):
        x = _as_rows(work, step.inputs[0])
        made = work.steps[x - 1].op
        curve = steps.curve(op, made, rows)
        form = steps.decision(op, made, rows) if curve is None else work.once(lambda: curve, "curve", id(op))
    return None if form is None else work.add(form, x)


def _columns(work: _Work, columns: _Columns, source: int) -> int:
    """Of floats, unless the codes are there."""
    quantised = work.program.steps[source - 1]
    if source in work.as_rows:
        return work.add(columns.of_codes, work.as_rows[source])
    op = columns.of_floats
    made = work.once(lambda: op.of_rows(work.rows, work.forms.together), "columns", id(op)) if work.rows else op
    return work.add(made, _as_rows(work, quantised.inputs[0]))


def _only_floats(work: _Work, value: int) -> bool:
    """Whether panels make the value, and one op reads it."""
    return value > 0 and work.forms.in_panels(work.program.steps[value - 1].op) and len(work.readers(value)) == 1


def _laid(work: _Work, value: int, to: Lay) -> int:
    """The codes of a value, laid out."""
    if (value, to) in work.laid:
        return work.laid[value, to]
    step = work.program.steps[value - 1]
    n_in, rows = work.program.types()[value].size, work.rows
    if isinstance(step.op, Quantise) and value not in work.as_rows:
        quantised = step.op
        op = work.once(lambda: _quantise(work, quantised, to), "quantise", id(quantised), to)
        made = work.add(op, _as_rows(work, step.inputs[0]))
    elif isinstance(step.op, IntegerDense) and work.forms.in_panels(step.op) and _stays_laid(work, value):
        made = work.add(_sums(work, step.op, to, None), _laid(work, step.inputs[0], _lay(work.forms.form, step.op)))
    elif _looks_up_laid(work, value) and _stays_laid(work, value):
        op = work.once(lambda: _looked_up(step.op, n_in, rows, to), "look up", id(step.op), to)
        made = work.add(op, _laid(work, step.inputs[0], to))
    elif rows:
        source = _as_rows(work, value)
        before = work.steps[source - 1].op
        stride = before.row_elements if isinstance(before, PadsRows) else n_in
        made = work.add(work.once(lambda: LayCodes(n_in, rows, to, stride), "lay", n_in, to, stride), source)
    else:
        made = work.add(LayRow(n_in, to), _as_rows(work, value))
    work.laid[value, to] = made
    return made


def _looked_up(op: Op, n_in: int, rows: int, to: Lay) -> LookUpCodes | InterpolateCodes:
    """Of codes that are laid out, and so is the result."""
    if isinstance(op, Interpolate):
        return InterpolateCodes(n_in, rows, to, op.table, op.error)
    assert isinstance(op, IntegerLookup)
    return LookUpCodes(n_in, rows, to, Table(to.laid(op.table.data.astype(np.int64)), lines=True), op.error)


def _stays_laid(work: _Work, value: int) -> bool:
    """Whether nothing reads the value as rows, and all that read it have the codes lie alike."""
    lays = _lays(work, value)
    return lays is not None and len(lays) < 2


def _looks_up_laid(work: _Work, value: int) -> bool:
    """Whether a table makes the value of codes that are laid out: of a block, and only products with it are added up.
    For the codes that fill vectors up a table gives anything."""
    op = work.program.steps[value - 1].op
    curve = isinstance(op, Interpolate) and work.forms.steps is not None
    if not work.rows or not (curve or isinstance(op, IntegerLookup)):
        return False
    readers = (work.program.steps[index].op for index in work.readers(value))
    return all(isinstance(reader, IntegerDense | IntegerSum | IntegerLookup | Interpolate) for reader in readers)


def _lays(work: _Work, value: int) -> set[Lay] | None:
    """How the codes of a value lie for what reads them; None: as rows."""
    codes = work.program.codes
    if codes is not None and value in (codes.scores, codes.x):
        return None
    found: set[Lay] = set()
    for index in work.readers(value):
        own = work.forms.lay(work.program.steps[index].op) if work.rows else None
        if own is None and _is_sums(op := work.program.steps[index].op):
            own = _lay(work.forms.form, op)
        if own is not None:
            found.add(own)
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


def _sums(work: _Work, op: Sums, to: Lay | None, floats: Dequantise | None) -> Op:
    return work.once(lambda: _in_tiles(work, op, to, floats), "sums", id(op), to, id(floats))


def _in_tiles(work: _Work, op: Sums, to: Lay | None, floats: Dequantise | None) -> DensePanels | DenseRow:
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
        return DenseRow(**parts)
    return DensePanels(**parts, rows=work.rows, tile_rows=form.tile_rows)
