"""The stack frame of one x86-64 function: how deep it gets, and that every return goes back to the caller.

Follows rsp, and what rbp and others hold of it, along all paths. Below rsp a function without calls may use 128 bytes
(System V ABI, the red zone). It trusts compiled code in two things: stores do not hit the return address, and a call
preserves rbx, rbp and r12 to r15.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from aprgen.wcet.code import Code
from aprgen.wcet.frame_state import refusal
from aprgen.wcet.graph import EXIT, Frame, Graph
from aprgen.wcet.instruction import Instruction

RED_ZONE_BYTES = 128
_RETURN_ADDRESS_BYTES = 8
_KEPT_BY_CALLS = ("rbx", "rbp", "r12", "r13", "r14", "r15")
_PLACE = re.compile(r"\[([^\]]+)\]")
_TERM = re.compile(r"([+-]?)\s*([\w*]+)")


@dataclass(frozen=True)
class _State:
    """depth: bytes below the rsp of entry. pointers: registers that hold an address, as bytes below that too.

    exact: depth is no more than an upper bound when rsp was rounded down.
    """

    depth: int
    exact: bool = True
    pointers: frozenset[tuple[str, int]] = frozenset()


@dataclass
class _Owners:
    """What is found of each function whose code is in the graph, by address: whether it calls, whether an address of
    its frame goes where it is not followed, and how deep rsp and the bytes that instructions name get."""

    calling: set[int] = field(default_factory=set)
    escaping: set[int] = field(default_factory=set)
    deepest: dict[int, int] = field(default_factory=dict)
    named: int = 0

    def bytes(self) -> int:
        """The most that any of them takes, with the red zone where it may be used out of sight."""
        hidden = self.escaping - self.calling
        taken = (depth + (RED_ZONE_BYTES if owner in hidden else 0) for owner, depth in self.deepest.items())
        return max(self.named, *taken)


def frame_of(graph: Graph, code: Code) -> Frame:
    """The frame; UnsupportedError where rsp is no constant, or where a return cannot be shown to be one."""
    states = {graph.entry: _State(0)}
    pending = [graph.entry]
    owners = _Owners()
    at_calls = {}
    following: dict[int, list[int]] = {start: [] for start in graph.blocks}
    for edge in graph.edges:
        following[edge.source].append(edge.target)
    while pending:
        start = pending.pop()
        state = states[start]
        found = code.owner(start)
        owner = graph.entry if found is None else found.address
        for instruction in graph.blocks[start].instructions:
            if instruction.flow == "return" and (state.depth != 0 or not state.exact):
                raise refusal(graph, instruction, "no return to the caller can be proved at")
            if instruction.flow == "call":
                owners.calling.add(owner)
            touched, escapes = _touched(instruction, state)
            state, lost = _after(graph, instruction, state)
            if escapes or lost:
                owners.escaping.add(owner)
            owners.deepest[owner] = max(owners.deepest.get(owner, 0), state.depth)
            owners.named = max(owners.named, touched)
        if graph.blocks[start].call is not None:
            at_calls[start] = state.depth + _RETURN_ADDRESS_BYTES
        inside = [target for target in following[start] if target != EXIT]
        pending += [target for target in inside if _merge(graph, states, target, state, owners, owner)]
    return Frame(owners.bytes(), at_calls)


def _merge(graph: Graph, states: dict[int, _State], target: int, state: _State, owners: _Owners, owner: int) -> bool:
    """Add a way into a block; true when its state changed."""
    known = states.get(target)
    if known is None:
        states[target] = state
        return True
    if (known.depth, known.exact) != (state.depth, state.exact):
        raise refusal(graph, graph.blocks[target].instructions[0], "the stack pointer differs between the ways to")
    common = _State(known.depth, known.exact, known.pointers & state.pointers)
    if common.pointers != known.pointers or common.pointers != state.pointers:
        owners.escaping.add(owner)
    states[target] = common
    return common != known


def _after(graph: Graph, instruction: Instruction, state: _State) -> tuple[_State, bool]:
    """The state behind an instruction, and whether an address of the frame got out of sight."""
    pointers = dict(state.pointers)
    if instruction.flow == "call":
        kept = frozenset(one for one in state.pointers if one[0] in _KEPT_BY_CALLS)
        return _State(state.depth, state.exact, kept), False
    made = _pointer(instruction, state)
    depth, exact = state.depth, state.exact
    rounding = _rounding(instruction, state)
    if "rsp" in instruction.writes:
        if instruction.stack is not None:
            depth += instruction.stack
        elif instruction.kind == "leave" and "rbp" in pointers:
            depth, exact = pointers["rbp"] - 8, True
        elif made is not None:
            depth, exact = made, True
        elif rounding is not None:
            depth, exact = depth + rounding, False
        else:
            raise refusal(graph, instruction, "the stack pointer is not a constant after")
        if depth < 0:
            raise refusal(graph, instruction, "the stack pointer rises above the caller's at")
    results = instruction.writes - {"rsp", "flags"}
    sources = (instruction.reads - instruction.addresses) | (
        instruction.addresses if _name(instruction) == "lea" else frozenset()
    )
    # A copy of an address is followed, what is computed of it or stored is not.
    uses = sources & {*pointers, "rsp"}
    harmless = (
        instruction.kind in ("pop", "leave") or "rsp" in instruction.writes or _name(instruction) in ("cmp", "test")
    )
    lost = bool(uses) and made is None and not (harmless and uses <= {"rsp", "rbp"})
    for register in results:
        pointers.pop(register, None)
    if made is not None and len(results) == 1:
        pointers[next(iter(results))] = made
    return _State(depth, exact, frozenset(pointers.items())), lost


def _rounding(instruction: Instruction, state: _State) -> int | None:
    """By how much rounding rsp down to a multiple of a power of two moves it at most; None for other instructions.

    At a function's entry rsp + 8 is a multiple of 16 (System V ABI).
    """
    unit = -(instruction.immediate or 0)
    if _name(instruction) != "and" or instruction.loads or unit < 16 or unit & (unit - 1) or not state.exact:
        return None
    return unit - 16 + (8 - state.depth) % 16


def _pointer(instruction: Instruction, state: _State) -> int | None:
    """What the result is, in bytes below the rsp of entry, where it is an address of the frame."""
    known = dict(state.pointers)
    if state.exact:
        known["rsp"] = state.depth
    name = _name(instruction)
    if name == "mov" and not instruction.loads and not instruction.stores:
        source = instruction.text.rpartition(", ")[2]
        return known.get(source)
    if name == "lea":
        base, index, displacement = _place(instruction)
        if base in known and not index:
            return known[base] - displacement
    return None


def _touched(instruction: Instruction, state: _State) -> tuple[int, bool]:
    """The deepest byte of the frame that an instruction names, and whether it names one by an index."""
    if not (instruction.loads or instruction.stores) or not instruction.addresses:
        return 0, False
    known = {**dict(state.pointers), "rsp": state.depth}
    base, index, displacement = _place(instruction)
    if index and (base in known or index in known):
        return 0, True
    return (known[base] - displacement if base in known else 0), False


def _place(instruction: Instruction) -> tuple[str, str, int]:
    """Base, index and displacement of the operand in memory; "" for none."""
    found = _PLACE.search(instruction.text)
    assert found is not None, instruction.text
    registers: list[str] = []
    displacement = 0
    for sign, term in _TERM.findall(found[1]):
        if term[0].isdigit():
            displacement += int(term, 0) * (-1 if sign == "-" else 1)
        else:
            registers.append(term)
    plain = [one for one in registers if "*" not in one]
    scaled = [one.partition("*")[0] for one in registers if "*" in one]
    base, *others = plain or [""]
    return base, (others or scaled or [""])[0], displacement


def _name(instruction: Instruction) -> str:
    return instruction.text.split(maxsplit=1)[0]
