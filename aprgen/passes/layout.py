"""Layout pass: which buffer each value of an entry function lives in. Knows sizes and lifetimes; knows no C syntax."""

from __future__ import annotations

from dataclasses import dataclass

from aprgen.ops.integer import IntegerSum, Quantise
from aprgen.program import Element, OfBlocks, Program


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


@dataclass(frozen=True)
class Part:
    """A value that one row has of a block: `buffer`, from so many elements a row."""

    buffer: str
    size: int


@dataclass(frozen=True)
class BlockEntry:
    """An entry function of a block of rows: calls for the whole block, then calls for each of its rows.

    The calls for a row read `parts` in place of what their arguments name. copied: the value that needs no call.
    """

    buffers: tuple[Buffer, ...]
    calls: tuple[Call, ...]
    row_buffers: tuple[Buffer, ...]
    row_calls: tuple[Call, ...]
    parts: dict[str, Part]
    copied: str | None


def plan_block(program: Program, wanted: int, parameter: str, result: str) -> BlockEntry:
    """Steps of blocks, which read the row and each other, and then steps of rows that read them."""
    types = program.types()
    place = {0: parameter}
    buffers: list[Buffer] = []
    calls: list[Call] = []
    row_buffers: list[Buffer] = []
    row_calls: list[Call] = []
    parts: dict[str, Part] = {}
    for index in program.needed(wanted):
        step, value = program.steps[index], index + 1
        arguments = tuple(place[i] for i in step.inputs)
        if isinstance(step.op, OfBlocks):
            place[value] = f"b{len(buffers)}"
            buffers.append(Buffer(place[value], types[value].element, step.op.block_elements))
            parts[place[value]] = Part(place[value], types[value].size)
            calls.append(Call(index, arguments, place[value]))
        else:
            assert parameter not in arguments, "a step of rows reads what a block makes"
            place[value] = result if value == wanted else f"v{len(row_buffers)}"
            if value != wanted:
                row_buffers.append(Buffer(place[value], types[value].element, types[value].size))
            row_calls.append(Call(index, arguments, place[value]))
    copied = place[wanted] if place[wanted] in parts else None
    return BlockEntry(tuple(buffers), tuple(calls), tuple(row_buffers), tuple(row_calls), parts, copied)


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
