"""Builds the control-flow graphs of functions and of all they call, or refuses with the reason.

Jumps into other functions, such as tail calls, are followed: the code there belongs to the graph of who jumps.
Knows nothing of time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from aprgen.errors import UnsupportedError
from aprgen.wcet.code import Code
from aprgen.wcet.graph import EXIT, Block, Edge, Graph, Loop, find_loops
from aprgen.wcet.instruction import Instruction, Slot, Undecoded, unknown_instruction
from aprgen.wcet.isa import decode_slots, frame_of
from aprgen.wcet.library import jump_targets

__all__ = ["EXIT", "Block", "Edge", "Graph", "Loop", "build_graph", "build_graphs"]


def build_graphs(code: Code, roots: Iterable[str]) -> Mapping[str, Graph]:
    """The graphs of the roots and of everything they call, by name, callees before their callers."""
    graphs: dict[str, Graph] = {}
    for root in roots:
        _add(code, code.function(root).address, root, graphs, ())
    return graphs


def _add(code: Code, address: int, name: str, graphs: dict[str, Graph], callers: tuple[str, ...]) -> None:
    if name in callers:
        raise UnsupportedError(
            "wcet.recursion", f"{name} calls itself by way of {' -> '.join((*callers, name))}", where=name,
            hint="write the recursion as a loop with a constant bound",
        )  # fmt: skip
    if name in graphs:
        return
    graph = build_graph(code, address, name)
    for block in graph.blocks.values():
        if block.call is not None and block.last.target is not None:
            _add(code, block.last.target, block.call, graphs, (*callers, name))
    graphs[name] = graph


def build_graph(code: Code, address: int, name: str) -> Graph:
    """The graph of the code from one address on. Every return in it is proved to be one."""
    flow = _follow(code, address, name)
    blocks: dict[int, Block] = {}
    edges: list[Edge] = []
    for start in sorted(flow.leaders):
        instructions = [flow.instructions[start]]
        while not _ends_block(instructions[-1]) and instructions[-1].end not in flow.leaders:
            instructions.append(flow.instructions[instructions[-1].end])
        last = instructions[-1]
        called = code.label(last.target) if last.flow == "call" and last.target is not None else None
        blocks[start] = Block(start, tuple(instructions), called)
        edges += [Edge(start, target, taken) for target, taken in flow.leaving[last.address]]
    loops, tangles = find_loops(address, list(blocks), edges)
    graph = Graph(name, address, blocks, tuple(edges), loops, tangles)
    _check_exit(graph)
    return replace(graph, frame=frame_of(graph, code))


@dataclass
class _Flow:
    """The instructions that can be reached, where each leads, and where blocks begin."""

    instructions: dict[int, Instruction] = field(default_factory=dict)
    leaving: dict[int, list[tuple[int, bool]]] = field(default_factory=dict)
    leaders: set[int] = field(default_factory=set)


def _follow(code: Code, address: int, name: str) -> _Flow:
    flow = _Flow(leaders={address})
    pending = [address]
    while pending:
        at = pending.pop()
        if at in flow.instructions:
            continue
        instruction = flow.instructions[at] = _instruction_at(code, at, name)
        leaving = flow.leaving[at] = _leaving(code, instruction, name)
        for target, taken in leaving:
            if target == EXIT:
                continue
            if taken and _instruction_at(code, target, name).predicated:
                raise _refusal("wcet.it", "a jump leads into an IT block at", code, target, name)
            if taken or _ends_block(instruction):
                flow.leaders.add(target)
            pending.append(target)
    return flow


def _ends_block(instruction: Instruction) -> bool:
    return instruction.flow != "next"


def _leaving(code: Code, instruction: Instruction, name: str) -> list[tuple[int, bool]]:
    """Where an instruction leads, and whether it jumps there."""
    target = instruction.target
    match instruction.flow:
        case "next":
            return [(instruction.end, False)]
        case "jump" if target is not None and not instruction.predicated:
            return [(target, True)]
        case "conditional" if target is not None:
            return [(instruction.end, False), (target, True)]
        case "call" if target is not None and not instruction.predicated:
            return [(instruction.end, False)]
        case "return":
            return [(EXIT, True), (instruction.end, False)] if instruction.predicated else [(EXIT, True)]
        case "indirect" if not instruction.predicated:
            known = jump_targets(code, instruction)
            if known is not None:
                return [(one, True) for one in known]
    what = "a jump or call by a register or a table" if instruction.flow == "indirect" else "a conditional call"
    raise UnsupportedError(
        "wcet.indirect", f"{what} leads to an unknown place: {instruction.text}",
        where=f"{name} at {code.label(instruction.address)}",
        hint="compile with -fno-jump-tables and without function pointers; library routines must be listed",
    )  # fmt: skip


def _instruction_at(code: Code, address: int, name: str) -> Instruction:
    owner = code.owner(address)
    if owner is None:
        raise _refusal("wcet.outside", "control leaves the program's code to", code, address, name)
    slots = decode_slots(owner, code.architecture)
    slot = _slot(slots, address)
    if slot is None:
        raise _refusal("wcet.data", "control reaches what is no instruction at", code, address, name)
    if isinstance(slot, Undecoded):
        raise unknown_instruction(slot, f"{name} at {code.label(address)}")
    return slot


def _slot(slots: tuple[Slot, ...], address: int) -> Slot | None:
    number = bisect_right(slots, address, key=lambda slot: slot.address) - 1
    return slots[number] if number >= 0 and slots[number].address == address else None


def _check_exit(graph: Graph) -> None:
    """From every block there must be a way out, or the function may never return."""
    entering: dict[int, list[int]] = {}
    for edge in graph.edges:
        entering.setdefault(edge.target, []).append(edge.source)
    seen: set[int] = set()
    pending = list(entering.get(EXIT, ()))
    while pending:
        start = pending.pop()
        if start not in seen:
            seen.add(start)
            pending += entering.get(start, ())
    for start in graph.blocks:
        if start not in seen:
            raise UnsupportedError(
                "wcet.endless", f"no way leads from {start:#x} to the end of {graph.name}", where=graph.name,
                hint="a loop without end has no bound",
            )  # fmt: skip


def _refusal(code_of_error: str, what: str, code: Code, address: int, name: str) -> UnsupportedError:
    return UnsupportedError(
        code_of_error, f"{what} {code.label(address)}", where=name,
        hint="compile the generated C without hand-written assembly, and analyse the linked program",
    )  # fmt: skip
