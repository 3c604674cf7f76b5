"""Layout pass: which buffer each value of an entry function lives in. Knows sizes and lifetimes; knows no C syntax."""

from __future__ import annotations

from dataclasses import dataclass

from aprgen.ops.integer import IntegerSum, Quantise
from aprgen.program import Element, Program


@dataclass(frozen=True)
class Buffer:
    name: str
    element: Element
    size: int


@dataclass(frozen=True)
class Call:
    """One step: read `arguments`, write `result`; both are names of buffers, or of the entry's parameters.

    within: a step before it whose elements are made one by one on the way, so that they need no buffer.
    """

    step: int
    arguments: tuple[str, ...]
    result: str
    within: int | None = None


@dataclass(frozen=True)
class Entry:
    """An entry function: its local buffers and its calls in order."""

    buffers: tuple[Buffer, ...]
    calls: tuple[Call, ...]


def plan_entry(program: Program, wanted: int, parameter: str, result: str, source: int = 0) -> Entry:
    """Steps that `wanted` needs when the value `source` is given as the parameter.

    A value's buffer is free again after its last reader, for values of the same kind.
    """
    types = program.types()
    steps = program.needed(wanted, given=source)
    last_reader = {value: index for index in steps for value in program.steps[index].inputs}
    place = {source: parameter, wanted: result}
    sizes: dict[str, int] = {}
    elements: dict[str, Element] = {}
    free: list[str] = []
    calls = []
    within = {index: before for before, index in _made_on_the_way(program, steps)}
    for index in steps:
        if index in within.values():
            continue
        inputs = program.steps[within.get(index, index)].inputs
        value = index + 1
        if value not in place:
            place[value] = _claim(types[value].element, types[value].size, free, sizes, elements)
        calls.append(Call(index, tuple(place[i] for i in inputs), place[value], within.get(index)))
        free += sorted({place[i] for i in inputs if last_reader[i] == index and place[i] in sizes})
    buffers = tuple(Buffer(name, elements[name], size) for name, size in sizes.items())
    return Entry(buffers, tuple(calls))


def _made_on_the_way(program: Program, steps: tuple[int, ...]) -> list[tuple[int, int]]:
    """Steps that make codes, and the sums that alone read them."""
    inputs = [value for index in steps for value in program.steps[index].inputs]
    return [
        (step.inputs[0] - 1, index)
        for index in steps
        if isinstance((step := program.steps[index]).op, IntegerSum)
        and step.inputs[0] - 1 in steps
        and isinstance(program.steps[step.inputs[0] - 1].op, Quantise)
        and inputs.count(step.inputs[0]) == 1
    ]


def _claim(element: Element, size: int, free: list[str], sizes: dict[str, int], elements: dict[str, Element]) -> str:
    """A free buffer of the same kind, grown when too small, or a new one."""
    fitting = [name for name in free if elements[name] == element]
    if fitting:
        name = min(fitting, key=lambda n: (abs(sizes[n] - size), n))
        free.remove(name)
        sizes[name] = max(sizes[name], size)
        return name
    name = f"v{len(sizes)}"
    sizes[name] = size
    elements[name] = element
    return name
