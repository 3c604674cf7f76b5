"""The stack frame of one function: how deep it gets, and that every return goes back to the caller.

Follows sp, constants and the return address through registers and pushed words along all paths. It trusts compiled
code in two things: stores into the frame do not hit a saved register, and a call preserves r4 to r11.
"""

from __future__ import annotations

from collections.abc import Mapping

from aprgen.wcet.code import Code
from aprgen.wcet.frame_state import State, Value, merge, refusal
from aprgen.wcet.graph import EXIT, Frame, Graph
from aprgen.wcet.instruction import Instruction

_ORDER = {**{f"r{number}": number for number in range(13)}, "sp": 13, "lr": 14, "pc": 15}
_LOST_BY_CALLS = frozenset({"r0", "r1", "r2", "r3", "r12", "lr"})
_WORD = 0xFFFF_FFFF


def frame_of(graph: Graph, code: Code) -> Frame:
    """The frame; UnsupportedError where sp is no constant, or where a return cannot be shown to be one."""
    states: dict[int, State] = {graph.entry: State(0, frozenset({"lr"}), frozenset())}
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
            state = _after(graph, code, instruction, state)
            deepest = max(deepest, before, state.depth)
        if graph.blocks[start].call is not None:
            at_calls[start] = state.depth
        pending += [one for one in following[start] if one != EXIT and merge(graph, states, one, state)]
    return Frame(deepest, at_calls)


def _check_return(graph: Graph, instruction: Instruction, state: State) -> None:
    """The address must be that of the caller, and sp where it was."""
    depth = state.depth + (instruction.stack or 0)
    if instruction.kind == "pop":
        source: str | int | None = _words(instruction, state.depth).get("pc")
    else:
        source = next(iter(instruction.reads - {"flags"}), None)
    if source not in state.holders or depth != 0 or instruction.stack is None:
        raise refusal(graph, instruction, "no return to the caller can be proved at")


def _words(instruction: Instruction, top: int) -> Mapping[str, int]:
    """The word of each register in a transfer whose lowest word is at depth `top`; lower registers lie lower."""
    stores = instruction.kind in ("push", "store_multiple", "store", "store_double")
    moved = instruction.reads if stores else instruction.writes
    named = sorted((name for name in moved if name in _ORDER and name != "sp"), key=lambda name: _ORDER[name])
    return {name: top - 4 * number for number, name in enumerate(named)}


def _after(graph: Graph, code: Code, instruction: Instruction, state: State) -> State:
    values = dict(state.values)
    stack = instruction.stack
    if stack is None:
        stack = _moved(instruction, state.depth, values)
    if stack is None or (stack != 0 and instruction.predicated and instruction.flow != "return"):
        raise refusal(graph, instruction, "the stack pointer is not a constant after")
    depth = state.depth + stack
    if depth < 0:
        raise refusal(graph, instruction, "the stack pointer rises above the caller's at")
    holders = state.holders
    if instruction.flow == "call":
        kept_values = frozenset(one for one in state.values if one[0] not in _LOST_BY_CALLS)
        return State(depth, holders - _LOST_BY_CALLS, kept_values)
    gained: set[str | int] = set()
    if instruction.kind in ("pop", "load", "load_multiple") and stack < 0:
        gained = {register for register, word in _words(instruction, state.depth).items() if word in holders}
    elif instruction.kind in ("push", "store", "store_multiple") and stack > 0:
        gained = {word for register, word in _words(instruction, depth).items() if register in holders}
    elif _name(instruction) == "mov" and not instruction.predicated and instruction.reads & holders:
        gained = set(instruction.writes - {"flags"})
    kept = {one for one in holders if not isinstance(one, int) or one <= min(depth, state.depth)}
    value = None if instruction.predicated else _value(code, instruction, state.depth, values)
    for register in instruction.writes:
        values.pop(register, None)
    results = instruction.writes - {"flags", "sp"}
    if value is not None and len(results) == 1:
        values[next(iter(results))] = value
    return State(depth, frozenset((kept - instruction.writes) | gained), frozenset(values.items()))


def _name(instruction: Instruction) -> str:
    """Without width, and without the s of setting flags."""
    name = instruction.text.split()[0].split(".")[0]
    return name[:-1] if name.endswith("s") and "flags" in instruction.writes else name


def _moved(instruction: Instruction, depth: int, values: Mapping[str, Value]) -> int | None:
    """By how much sp moves down where a register says it: add sp, r4 and mov sp, r7."""
    sources = instruction.reads - {"sp", "flags"}
    value = values.get(next(iter(sources))) if len(sources) == 1 else None
    if value is None or instruction.immediate is not None:
        return None
    match _name(instruction), value.is_address, "sp" in instruction.reads:
        case "mov", True, False:
            return -value.number - depth
        case "add", False, True:
            return -_signed(value.number)
        case "sub", False, True:
            return _signed(value.number)
    return None


def _value(code: Code, instruction: Instruction, depth: int, values: Mapping[str, Value]) -> Value | None:
    """What the result is, where it is made of constants, or of sp and constants."""
    name, immediate = _name(instruction), instruction.immediate
    if instruction.literal is not None and name == "ldr" and instruction.kind == "load":
        word = code.constant(instruction.literal, 4)
        return None if word is None else Value(int.from_bytes(word, "little"))
    if instruction.kind != "alu" or len(instruction.reads - {"flags"}) > 1:
        return None
    source = next(iter(instruction.reads - {"flags"}), None)
    known = Value(-depth, is_address=True) if source == "sp" else values.get(source or "")
    if source is None:
        match name:
            case "mov" | "movw" if immediate is not None:
                return Value(immediate & _WORD)
            case _:
                return None
    if known is None:
        return None
    match name:
        case "mov" if immediate is None:
            return known
        case "add" | "addw" | "sub" | "subw" if immediate is not None:
            number = known.number + (immediate if name.startswith("add") else -immediate)
            return Value(number if known.is_address else number & _WORD, known.is_address)
        case "lsl" if immediate is not None and not known.is_address:
            return Value((known.number << immediate) & _WORD)
        case "rsb" if immediate == 0 and not known.is_address:
            return Value(-known.number & _WORD)
        case "movt" if immediate is not None and not known.is_address:
            return Value((known.number & 0xFFFF) | (immediate << 16))
        case _:
            return None


def _signed(word: int) -> int:
    return word - 2**32 if word & 0x8000_0000 else word
