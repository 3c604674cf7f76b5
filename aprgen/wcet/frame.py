"""The stack frame of one function: how deep it gets, and that every return goes back to the caller.

Follows sp and the return address through registers and pushed words along all paths. It trusts compiled code in two
things: stores into the frame do not hit a saved register, and a call preserves r4 to r11.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aprgen.errors import UnsupportedError
from aprgen.wcet.decode import Instruction
from aprgen.wcet.graph import EXIT, Graph

_ORDER = {**{f"r{number}": number for number in range(13)}, "sp": 13, "lr": 14, "pc": 15}
_LOST_BY_CALLS = frozenset({"r0", "r1", "r2", "r3", "r12", "lr"})


@dataclass(frozen=True)
class Frame:
    """depth_bytes: the most that the function itself pushes. at_calls: depth at the end of each block that calls."""

    depth_bytes: int
    at_calls: Mapping[int, int]


@dataclass(frozen=True)
class _State:
    """depth: bytes below the caller's sp. holders: where the return address is: registers, and words by their depth."""

    depth: int
    holders: frozenset[str | int]


def frame_of(graph: Graph) -> Frame:
    """The frame; UnsupportedError where sp is no constant, or where a return cannot be shown to be one."""
    states: dict[int, _State] = {graph.entry: _State(0, frozenset({"lr"}))}
    pending = [graph.entry]
    deepest = 0
    at_calls = {}
    following: dict[int, list[int]] = {start: [] for start in graph.blocks}
    for edge in graph.edges:
        following[edge.source].append(edge.target)
    while pending:
        start = pending.pop()
        state = states[start]
        for instruction in graph.blocks[start].instructions:
            before = state.depth
            if instruction.flow == "return":
                _check_return(graph, instruction, state)
                if instruction.predicated:
                    continue  # not taken, it does nothing
            state = _after(graph, instruction, state)
            deepest = max(deepest, before, state.depth)
        if graph.blocks[start].call is not None:
            at_calls[start] = state.depth
        pending += [one for one in following[start] if one != EXIT and _merge(graph, states, one, state)]
    return Frame(deepest, at_calls)


def _merge(graph: Graph, states: dict[int, _State], target: int, state: _State) -> bool:
    """Add a way into a block; true when its state changed."""
    known = states.get(target)
    if known is None:
        states[target] = state
        return True
    if known.depth != state.depth:
        raise _refusal(graph, graph.blocks[target].instructions[0], "the stack pointer differs between the ways to")
    common = known.holders & state.holders
    if common == known.holders:
        return False
    states[target] = _State(known.depth, common)
    return True


def _check_return(graph: Graph, instruction: Instruction, state: _State) -> None:
    """The address must be that of the caller, and sp where it was."""
    if instruction.kind == "pop":
        moved = _words(instruction, state.depth)
        source: str | int | None = moved.get("pc")
        depth = state.depth + (instruction.stack or 0)
    else:
        source = next(iter(instruction.reads - {"flags"}), None)
        depth = state.depth
    if source not in state.holders or depth != 0 or instruction.stack is None:
        raise _refusal(graph, instruction, "no return to the caller can be proved at")


def _words(instruction: Instruction, top: int) -> Mapping[str, int]:
    """The word of each register in a transfer whose lowest word is at depth `top`; lower registers lie lower."""
    moved = instruction.reads if instruction.kind in ("push", "store_multiple", "store") else instruction.writes
    named = sorted((name for name in moved if name in _ORDER and name != "sp"), key=lambda name: _ORDER[name])
    return {name: top - 4 * number for number, name in enumerate(named)}


def _after(graph: Graph, instruction: Instruction, state: _State) -> _State:
    stack = instruction.stack
    if stack is None or (stack != 0 and instruction.predicated and instruction.flow != "return"):
        raise _refusal(graph, instruction, "the stack pointer is not a constant after")
    depth = state.depth + stack
    if depth < 0:
        raise _refusal(graph, instruction, "the stack pointer rises above the caller's at")
    holders = state.holders
    if instruction.flow == "call":
        return _State(depth, holders - _LOST_BY_CALLS)
    gained: set[str | int] = set()
    if instruction.kind in ("pop", "load", "load_multiple") and stack < 0:
        words = _words(instruction, state.depth)
        gained = {register for register, word in words.items() if word in holders}
    elif instruction.kind in ("push", "store", "store_multiple") and stack > 0:
        words = _words(instruction, depth)
        gained = {word for register, word in words.items() if register in holders}
    elif _copies(instruction) and instruction.reads & holders:
        gained = set(instruction.writes)
    kept = {one for one in holders if (one <= min(depth, state.depth) if isinstance(one, int) else True)}
    return _State(depth, frozenset((kept - instruction.writes) | gained))


def _copies(instruction: Instruction) -> bool:
    name = instruction.text.split()[0].split(".")[0]
    return name in ("mov", "movs") and len(instruction.reads) == 1 and not instruction.predicated


def _refusal(graph: Graph, instruction: Instruction, what: str) -> UnsupportedError:
    return UnsupportedError(
        "wcet.stack", f"{what} {instruction.text}", where=f"{graph.name} at {instruction.address:#x}",
        hint="use no variable length arrays, alloca or hand-written assembly in what is analysed",
    )  # fmt: skip
