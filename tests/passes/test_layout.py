"""Layout: buffers that are reused never hold two values at once, and are large enough. Over random Programs."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.passes.layout import Entry, plan_entry
from aprgen.passes.quantise import quantise
from aprgen.program import Array, Element, Program, Step, ValueType
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
