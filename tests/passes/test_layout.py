"""Layout: buffers that are reused never hold two values at once, and are large enough. Over random Programs."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.passes.layout import BlockEntry, Entry, plan_block, plan_entry
from aprgen.passes.quantise import quantise
from aprgen.program import Array, Batch, Element, OfBlocks, Program, Step, ValueType, Way
from aprgen.rows import random_rows
from tests.examples import ROWS, loaded


@dataclass(frozen=True)
class Any:
    """An op that takes anything and gives a value of the stated type."""

    gives: ValueType
    kernel = "any"
    headers = ()

    def result(self, *_: ValueType) -> ValueType:
        return self.gives

    def evaluate(self, *inputs: Array) -> Array:
        raise AssertionError("the layout evaluates nothing")


ELEMENTS: tuple[Element, ...] = ("f32", "i32", "u16")


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Up to twelve steps in single assignment form; each reads up to three earlier values."""
    steps = []
    for index in range(draw(st.integers(1, 12))):
        gives = ValueType(draw(st.sampled_from(ELEMENTS)), draw(st.integers(1, 9)))
        inputs = draw(st.lists(st.integers(0, index), min_size=1, max_size=3))
        steps.append(Step(Any(gives), tuple(inputs)))
    return Program(ValueType("f32", 4), tuple(steps), len(steps), None, 0)


def executed(program: Program, entry: Entry, wanted: int) -> None:
    """Run the plan on buffers that remember which value they hold; every read must find the value it means."""
    types = program.types()
    holds: dict[str, int] = {"x": 0}
    sizes = {buffer.name: buffer.size for buffer in entry.buffers}
    kinds = {buffer.name: buffer.element for buffer in entry.buffers}
    for call in entry.calls:
        value = call.step + 1
        inputs = program.steps[call.step].inputs
        assert [holds.get(name) for name in call.arguments] == list(inputs)
        assert call.result not in call.arguments
        assert call.result != "x"
        if call.result != "out":
            assert sizes[call.result] >= types[value].size
            assert kinds[call.result] == types[value].element
        holds[call.result] = value
    assert holds["out"] == wanted


@settings(max_examples=500)
@given(programs(), st.data())
def test_no_buffer_is_overwritten_while_its_value_is_needed(program: Program, data: st.DataObject) -> None:
    """Whatever the steps read, every argument still holds its value, and results never alias arguments."""
    wanted = data.draw(st.integers(1, len(program.steps)))

    executed(program, plan_entry(program, wanted, "x", "out"), wanted)


@settings(max_examples=300)
@given(programs())
def test_only_needed_steps_are_called_once_each(program: Program) -> None:
    """The calls are the needed steps in order."""
    wanted = len(program.steps)
    entry = plan_entry(program, wanted, "x", "out")

    assert [call.step for call in entry.calls] == list(program.needed(wanted))


def test_a_chain_needs_two_buffers() -> None:
    """Ten steps, each reading the one before, go back and forth between two buffers."""
    steps = tuple(Step(Any(ValueType("f32", 8)), (index,)) for index in range(10))
    entry = plan_entry(Program(ValueType("f32", 8), steps, 10, None, 0), 10, "x", "out")

    assert [(buffer.name, buffer.size) for buffer in entry.buffers] == [("v0", 8), ("v1", 8)]


def test_fixtures_run_through_their_plans() -> None:
    """The plans of the scores and of the label of every fixture hold."""
    for name in ROWS:
        program = loaded(name).model.lower()
        for wanted in (program.scores, program.label):
            if wanted is not None:
                executed(program, plan_entry(program, wanted, "x", "out"), wanted)


def test_codes_that_one_sum_reads_need_no_buffer() -> None:
    """From floats a linear model's codes are made on the way into the sum; from codes there is nothing to make; a
    second reader of the codes needs them all."""
    program = loaded("linreg").model.lower()
    made = quantise(program, random_rows(program, 60).values, "i16").program
    assert made.codes is not None
    from_floats = plan_entry(made, made.scores, "x", "out")
    from_codes = plan_entry(made, made.codes.scores, "x", "out", made.codes.x)
    network = loaded("pca").model.lower()
    several = quantise(network, random_rows(network, 60).values, "i16").program

    assert [call.within for call in from_floats.calls] == [0, None]
    assert [buffer.size for buffer in from_floats.buffers] == [1]
    assert [(call.within, call.arguments) for call in from_codes.calls] == [(None, ("x",))]
    assert {call.within for call in plan_entry(several, several.scores, "x", "out").calls} == {None}


BLOCK_ROWS = 5


@dataclass(frozen=True)
class AnyBlock(Any):
    """The same for blocks of rows, whose value may take more than its rows."""

    block_elements: int = 0


@dataclass(frozen=True)
class AnyRows(AnyBlock):
    """The same, and it writes its rows and no more."""

    writes_rows = True


@st.composite
def blocks(draw: st.DrawFn) -> Program:
    """As programs(), steps of rows and of blocks in any order."""
    program = draw(programs())
    steps = []
    for step in program.steps:
        gives = step.op.result()
        kind = draw(st.sampled_from((Any, AnyBlock, AnyRows)))
        more = draw(st.integers(0, 7)) if kind is AnyBlock else 0
        op = kind(gives) if kind is Any else kind(gives, BLOCK_ROWS * gives.size + more)
        steps.append(Step(op, step.inputs))
    way = Way(len(steps), None)
    return Program(program.source, tuple(steps), len(steps), None, 0, batch=Batch(way, None, BLOCK_ROWS, 1))


Part = tuple[int, int]  # a value and the row that it is of


def executed_in_blocks(program: Program, entry: BlockEntry, wanted: int) -> None:
    """Run the plan as the C does, on buffers whose elements remember which row of which value they hold."""
    types = program.types()
    kinds = {buffer.name: buffer.element for buffer in entry.buffers}
    holds: dict[str, list[Part | None]] = {buffer.name: [None] * buffer.size for buffer in entry.buffers}
    holds["x"] = [(0, row) for row in range(BLOCK_ROWS) for _ in range(program.source.size)]
    holds["out"] = [None] * (BLOCK_ROWS * types[wanted].size)
    done: list[int] = []

    def part(name: str, value: int, row: int) -> list[Part | None]:
        size = types[value].size
        return holds[name][row * size : (row + 1) * size]

    def written(name: str, value: int, row: int) -> None:
        size = types[value].size
        assert len(part(name, value, row)) == size
        holds[name][row * size : (row + 1) * size] = [(value, row)] * size

    for run in entry.runs:
        own = {buffer.name: buffer for buffer in run.buffers}
        assert not set(own) & set(holds)
        done += [call.step for call in run.calls]
        for rows in [[row] for row in range(BLOCK_ROWS)] if run.of_rows else [list(range(BLOCK_ROWS))]:
            inside: dict[str, int] = {}
            for call in run.calls:
                value, step = call.step + 1, program.steps[call.step]
                kind = types[value]
                assert isinstance(step.op, OfBlocks) == (not run.of_rows)
                assert call.result not in (*call.arguments, "x")
                for name, read in zip(call.arguments, step.inputs, strict=True):
                    if name in inside:
                        assert inside[name] == read
                        continue
                    assert not run.of_rows or run.strides[name] == types[read].size
                    for row in rows:
                        assert part(name, read, row) == [(read, row)] * types[read].size
                if call.result in own:
                    assert (own[call.result].element, own[call.result].size) == (kind.element, kind.size)
                    inside[call.result] = value
                    continue
                assert call.result == "out" or kinds[call.result] == kind.element
                assert not run.of_rows or run.strides[call.result] == kind.size
                if isinstance(step.op, OfBlocks):
                    assert len(holds[call.result]) >= step.op.block_elements
                    holds[call.result] = [None] * len(holds[call.result])
                for row in rows:
                    written(call.result, value, row)
    assert sorted(done) == list(program.needed(wanted))
    for row in range(BLOCK_ROWS):
        assert part(entry.copied or "out", wanted, row) == [(wanted, row)] * types[wanted].size


@settings(max_examples=120)
@given(program=blocks())
def test_buffers_of_blocks_keep_their_values_until_the_last_reader(program: Program) -> None:
    """Steps of blocks and loops over rows read what they mean, through buffers that are used again."""
    executed_in_blocks(program, plan_block(program, program.scores, "x", "out"), program.scores)


def test_a_loop_over_rows_reads_a_buffer_to_its_end() -> None:
    """What rows make for a later block does not go over the rows that the same loop reads after."""
    two, one, nine = (ValueType("f32", size) for size in (2, 1, 9))
    ops = (AnyBlock(two, 2 * BLOCK_ROWS), Any(one), Any(nine), AnyRows(nine, 9 * BLOCK_ROWS))
    steps = tuple(Step(op, (index,)) for index, op in enumerate(ops))
    program = Program(ValueType("f32", 4), steps, 4, None, 0, batch=Batch(Way(4, None), None, BLOCK_ROWS, 1))
    entry = plan_block(program, 4, "x", "out")

    executed_in_blocks(program, entry, 4)
    assert [(buffer.name, buffer.size) for buffer in entry.buffers] == [("b0", 10), ("b1", 45)]
    assert [run.of_rows for run in entry.runs] == [False, True, False]
