"""Layout pass: which buffer each value of an entry function lives in. Knows sizes and lifetimes; knows no C syntax."""

from __future__ import annotations

from dataclasses import dataclass

from aprgen.program import Element, Program


@dataclass(frozen=True)
class Buffer:
    name: str
    element: Element
    size: int


@dataclass(frozen=True)
class Call:
    """One step: read `arguments`, write `result`; both are names of buffers, or of the entry's parameters."""

    step: int
    arguments: tuple[str, ...]
    result: str


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
    for index in steps:
        inputs = program.steps[index].inputs
        value = index + 1
        if value not in place:
            place[value] = _claim(types[value].element, types[value].size, free, sizes, elements)
        calls.append(Call(index, tuple(place[i] for i in inputs), place[value]))
        free += sorted({place[i] for i in inputs if last_reader[i] == index and place[i] in sizes})
    buffers = tuple(Buffer(name, elements[name], size) for name, size in sizes.items())
    return Entry(buffers, tuple(calls))


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
