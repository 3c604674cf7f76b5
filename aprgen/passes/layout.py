"""Layout pass: which buffer each value of an entry function lives in. Knows sizes and lifetimes; knows no C syntax."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from aprgen.ops.integer import IntegerSum, Quantise
from aprgen.program import Element, OfBlocks, PadsRows, Program, WritesRows


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
class Run:
    """Calls one after the other: for a whole block, or again for each of its rows, with buffers for one row.

    strides: of what a row has a part of, by name: elements a row.
    """

    of_rows: bool
    calls: tuple[Call, ...]
    buffers: tuple[Buffer, ...]
    strides: Mapping[str, int]


@dataclass(frozen=True)
class BlockEntry:
    """An entry function of a block of rows: runs of calls for the block and of calls for its rows, in turn.

    copied: the value that needs no call.
    """

    buffers: tuple[Buffer, ...]
    runs: tuple[Run, ...]
    copied: str | None


def plan_block(program: Program, wanted: int, parameter: str, result: str) -> BlockEntry:
    """Steps of blocks as early as they can be, so that there are few loops over rows.

    A buffer of a block is free again after the last step that reads it, for values of the same kind.
    """
    assert program.batch is not None
    types = program.types()
    turns = _turns(program, wanted)
    order = sorted(turns, key=lambda index: (turns[index], index))
    readers: dict[int, list[int]] = {}
    for index in order:
        for value in program.steps[index].inputs:
            readers.setdefault(value, []).append(index)
    place = {0: parameter}
    sizes: dict[str, int] = {}
    elements: dict[str, Element] = {}
    free: list[str] = []
    runs: list[Run] = []

    def read_last(members: tuple[int, ...]) -> list[str]:
        """Buffers that no step after these reads."""
        read = {value for index in members for value in program.steps[index].inputs}
        return sorted({place[value] for value in read if readers[value][-1] in members and place[value] in sizes})

    for turn, members in itertools.groupby(order, key=lambda index: turns[index]):
        row_buffers: list[Buffer] = []
        calls: list[Call] = []
        own = tuple(members)
        for index in own:
            step, value = program.steps[index], index + 1
            kind = types[value]
            whole = isinstance(step.op, OfBlocks)
            if value == wanted and (not whole or isinstance(step.op, WritesRows)):
                place[value] = result
            elif whole or any(turns[reader] != turn for reader in readers[value]):
                n = step.op.block_elements if isinstance(step.op, OfBlocks) else program.batch.rows * kind.size
                place[value] = _claim(kind.element, n, free, sizes, elements, "b")
            else:
                place[value] = f"v{len(row_buffers)}"
                row_buffers.append(Buffer(place[value], kind.element, kind.size))
            calls.append(Call(index, tuple(place[i] for i in step.inputs), place[value]))
            if whole:
                free += read_last((index,))
        if turn % 2:  # a loop over rows reads them to its end
            free += read_last(own)
        here = {value for index in own for value in (index + 1, *program.steps[index].inputs)}
        names = {place[value]: _row_elements(program, value, types[value].size) for value in sorted(here) if turn % 2}
        strides = {name: size for name, size in names.items() if name in sizes or name in (parameter, result)}
        runs.append(Run(turn % 2 == 1, tuple(calls), tuple(row_buffers), strides))
    buffers = tuple(Buffer(name, elements[name], size) for name, size in sizes.items())
    return BlockEntry(buffers, tuple(runs), place[wanted] if place[wanted] != result else None)


def _row_elements(program: Program, value: int, size: int) -> int:
    """Of a block, from one row of a value to the next."""
    op = program.steps[value - 1].op if value else None
    return op.row_elements if isinstance(op, PadsRows) else size


def _turns(program: Program, wanted: int) -> dict[int, int]:
    """By step, when its run comes: even ones are of blocks, odd ones of rows."""
    turns: dict[int, int] = {}
    for index in program.needed(wanted):
        step = program.steps[index]
        after = max((turns[value - 1] for value in step.inputs if value), default=0)
        turns[index] = after + ((after % 2 == 1) == isinstance(step.op, OfBlocks))
    return turns


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


def _claim(
    element: Element, size: int, free: list[str], sizes: dict[str, int], elements: dict[str, Element], prefix: str = "v"
) -> str:  # fmt: skip
    """A free buffer of the same kind, grown when too small, or a new one."""
    fitting = [name for name in free if elements[name] == element]
    if fitting:
        name = min(fitting, key=lambda n: (abs(sizes[n] - size), n))
        free.remove(name)
        sizes[name] = max(sizes[name], size)
        return name
    name = f"{prefix}{len(sizes)}"
    sizes[name] = size
    elements[name] = element
    return name
