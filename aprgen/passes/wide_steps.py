"""Wide steps pass: what stands between the sums of a block of rows runs in vectors too, where a target can.

Steps of a way for blocks that go row by row get their forms for blocks; a model that consists of such steps alone gets
a way for blocks. Knows no target by name and no C.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from aprgen.costs import BatchCost, FloatCost
from aprgen.ops.decide import Argmax, Threshold
from aprgen.ops.distance import Neighbours
from aprgen.ops.elementwise import Map
from aprgen.ops.gauss import Gauss
from aprgen.ops.normalise import Normalise, Softmax
from aprgen.ops.wide_floats import QUAD
from aprgen.ops.wide_gauss import block_gauss
from aprgen.ops.wide_maps import BlockNormalise, BlockSoftmax, BlockThreshold, block_argmax, block_map
from aprgen.ops.wide_points import (
    BlockNeighbours,
    BoundedNeighbours,
    block_neighbours,
    bounded_neighbours,
    row_neighbours,
    screened_neighbours,
)
from aprgen.passes.layout import plan_block
from aprgen.passes.wide_floats import ALIGNED
from aprgen.program import Batch, OfBlocks, Op, Program, Step, Way

SCREENED = 12  # columns from which a screen costs less than distances to all points: 8 cost the same, measured

Has = Callable[[str], bool]


def with_block_steps(program: Program, cost: BatchCost | None, has: Has) -> Program:
    """The Program with vectors for what its blocks do row by row. has: whether a kernel is there."""
    if cost is None or cost.floats is None or program.source.element != "f32" or program.codes is not None:
        return program
    floats = cost.floats
    program = _with_rows(program, floats, has)
    if program.batch is None:
        return _with_blocks(program, cost, floats, has)
    batch = program.batch
    if batch.rows < floats.width:
        return program
    steps = list(program.steps)
    many = _way(steps, program, batch.many, _Forms(batch.rows, floats, has))
    few, few_rows = batch.few, batch.few_rows
    if few is None and few_rows < floats.width:
        few, few_rows = batch.many, floats.width
    if few is not None:
        few = _way(steps, program, few, _Forms(batch.rows, floats, has, any_rows=True))
    made = replace(program, steps=tuple(steps), batch=replace(batch, many=many, few=few, few_rows=few_rows))
    if many == batch.many or _held_bytes(made) > max(floats.hidden_bytes, _held_bytes(program)):
        return program
    made.check()
    return made


def _with_rows(program: Program, floats: FloatCost, has: Has) -> Program:
    """The Program with vectors for one row, too."""
    if not has("row_neighbours_f32"):
        return program
    ops = {id(step.op): step.op for step in program.steps if isinstance(step.op, Neighbours)}
    vectors = max(1, floats.lane_sums // QUAD)
    forms = {key: form for key, op in ops.items() if (form := row_neighbours(op, floats.width, vectors)) is not None}
    if not forms:
        return program
    made = program.with_steps([Step(forms.get(id(step.op), step.op), step.inputs) for step in program.steps])
    made.check()
    return made


def _with_blocks(program: Program, cost: BatchCost, floats: FloatCost, has: Has) -> Program:
    """A way of its own, where every step has a form for blocks; as many rows as the stack has room for."""
    one = Way(program.scores, program.label)
    for rows in range(cost.rows - cost.rows % ALIGNED, floats.width - 1, -ALIGNED):
        steps = list(program.steps)
        many = _way(steps, program, one, _Forms(rows, floats, has))
        if not all(isinstance(steps[index].op, OfBlocks) for index in _needed(program, steps, many)):
            return program
        few = _way(steps, program, one, _Forms(rows, floats, has, any_rows=True))
        few_rows = max(floats.width, min(cost.few_rows, rows))
        batch = Batch(many, None if few == one else few, rows, few_rows)
        made = replace(program, steps=tuple(steps), batch=batch)
        if _held_bytes(made) <= floats.hidden_bytes:
            made.check()
            return made
    return program


def _needed(program: Program, steps: list[Step], way: Way) -> tuple[int, ...]:
    return program.with_steps(steps).needed(way.scores, way.label)


@dataclass(frozen=True)
class _Forms:
    """any_rows: those alone that take any number of rows; others take as many as a vector has floats, at least."""

    rows: int
    floats: FloatCost
    has: Has
    any_rows: bool = False

    def of(self, op: Op) -> Op | None:
        """The same for blocks of rows; None: there is no such kernel."""
        form = self._for_any_rows(op) if self.any_rows else self._in_vectors(op)
        return form if form is not None and self.has(form.kernel) else None

    def _for_any_rows(self, op: Op) -> Op | None:
        width = self.floats.width
        return block_map(op, self.rows, width) if isinstance(op, Map) and op.size >= width else None

    def _in_vectors(self, op: Op) -> Op | None:
        rows, width = self.rows, self.floats.width
        if isinstance(op, Map):
            return block_map(op, rows, width)
        if isinstance(op, Softmax):
            return BlockSoftmax(op.size, rows, width, op.by_reciprocal)
        if isinstance(op, Normalise):
            return BlockNormalise(op.size, rows, width, op.floor)
        if isinstance(op, Argmax) and op.element == "f32":
            return block_argmax(op, rows, width)
        if isinstance(op, Threshold):
            return BlockThreshold(rows, width, op.compare == "ge", op.limit, op.then, op.otherwise)
        if isinstance(op, Gauss):
            return block_gauss(op, rows, width)
        return self._neighbours(op) if isinstance(op, Neighbours) else None

    def _neighbours(self, op: Neighbours) -> BlockNeighbours | None:
        """With as many rows in a tile as the stack has room for."""
        for groups in range(min(self.floats.most_groups, self.rows // self.floats.width), 0, -1):
            form = block_neighbours(op, self.rows, self.floats.width, groups, self.floats.lane_sums // groups)
            if form is None:
                return None
            screened = screened_neighbours(form) if form.n_in >= SCREENED else None
            others = (screened, bounded_neighbours(form) if screened is None else None)
            chosen = next((one for one in others if one is not None and self.has(one.kernel)), form)
            if isinstance(chosen, BoundedNeighbours) and chosen.stack_bytes > self.floats.hidden_bytes:
                chosen = form
            if chosen.stack_bytes <= self.floats.hidden_bytes:
                return chosen
        return None


def _way(steps: list[Step], program: Program, way: Way, forms: _Forms) -> Way:
    """Append what the way computes from the first step on that has a form for blocks, in such forms."""
    moved = {0: 0}
    for index in program.needed(way.scores, way.label):
        step = program.steps[index]
        form = forms.of(step.op)
        inputs = tuple(moved[i] for i in step.inputs)
        if form is None and inputs == step.inputs:
            moved[index + 1] = index + 1
            continue
        steps.append(Step(step.op if form is None else form, inputs))
        moved[index + 1] = len(steps)
    return Way(moved[way.scores], None if way.label is None else moved[way.label])


def _held_bytes(program: Program) -> int:
    """The most that a way for blocks keeps on the stack: buffers, and what a step takes for itself."""
    assert program.batch is not None
    most = 0
    for way in program.batch.ways:
        for value, result in ((way.scores, "out"), (way.label, "labels")):
            if value is not None:
                entry = plan_block(program, value, "x", result)
                own = [op.stack_bytes for run in entry.runs for call in run.calls
                       if isinstance(op := program.steps[call.step].op, BlockNeighbours)]  # fmt: skip
                most = max(most, sum(4 * buffer.size for buffer in entry.buffers) + max(own, default=0))
    return most
