"""Executes Thumb instructions on values that may depend on words of the input, or be unknown.

Knows the instructions that integer code, keys of floats and walks through tables are made of; any other makes what it
writes unknown, which is always true. Knows no control flow and no time; refuses a store to an unknown place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from aprgen.errors import UnsupportedError
from aprgen.wcet.code import Code
from aprgen.wcet.instruction import Instruction
from aprgen.wcet.words import (
    END,
    EVERY,
    HALF,
    Patterns,
    Value,
    add,
    both,
    exclusive,
    indicator,
    input_word,
    inverted,
    joined,
    masked,
    shifted_left,
    shifted_right,
    subtract,
    where,
    where_float,
    without,
)

# Where the memory is that a call is given. No program for these cores can be there.
INPUT, OUTPUT, STACK = 0xA000_0000, 0xB000_0000, 0xC000_0000
LOST_IN_CALLS = ("r0", "r1", "r2", "r3", "r12", "lr", "flags", "fp_flags", *(f"s{i}" for i in range(16)))

# What set the flags: a subtraction or addition of two values, a result and the carry, or a comparison of floats.
Flags = tuple[Literal["sub", "add", "result", "float"], Value, Value]
Verdict = bool | tuple[int, Patterns, Patterns] | None
Action = Callable[["State"], None]

_NAMES = {"sb": "r9", "sl": "r10", "fp": "r11", "ip": "r12"}
_SUFFIX = re.compile(r"^(\w+?)(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)(\..*)?$")
_BRANCH = re.compile(r"^b(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)$")
_SAME = {"cs": "hs", "cc": "lo"}
_SIZES = {
    "ldr": (4, False), "ldrb": (1, False), "ldrh": (2, False), "ldrsb": (1, True), "ldrsh": (2, True),
    "str": (4, False), "strb": (1, False), "strh": (2, False), "vldr": (4, False), "vstr": (4, False),
}  # fmt: skip


class UnfollowedError(UnsupportedError):
    """The code does something that cannot be followed; what is known without it stays true."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__("wcet.follow", what, where=where, hint="the bound by the number of steps still holds")


@dataclass
class State:
    """Registers and memory; what is not in them is unknown. domain: patterns of input words, where not all can occur.

    home: how many calls deep the walk was seen to be.
    """

    registers: dict[str, Value] = field(default_factory=dict)
    memory: dict[int, tuple[int, Value]] = field(default_factory=dict)  # address to bytes and value
    flags: Flags | None = None
    fp_flags: Flags | None = None
    domain: dict[int, Patterns] = field(default_factory=dict)
    home: int | None = None

    def copy(self) -> State:
        return State(
            self.registers.copy(), self.memory.copy(), self.flags, self.fp_flags, self.domain.copy(), self.home
        )

    def narrowed(self, feature: int, patterns: Patterns) -> State:
        other = self.copy()
        other.domain[feature] = patterns
        return other

    def value(self, operand: str) -> Value:
        """Of a register or an immediate, as instructions name them."""
        if operand.startswith("#"):
            return int(operand[1:], 0) % END
        return self.registers.get(_NAMES.get(operand, operand))

    def put(self, operand: str, value: Value) -> None:
        self.registers[_NAMES.get(operand, operand)] = value

    def forget(self, names: Iterable[str]) -> None:
        for name in names:
            if name == "flags":
                self.flags = None
            elif name == "fp_flags":
                self.fp_flags = None
            else:
                self.registers.pop(name, None)

    def store(self, address: Value, size: int, value: Value, where: str) -> None:
        if not isinstance(address, int) or not OUTPUT <= address < END:
            raise UnfollowedError("the code stores to a place that depends on its input", where)
        for near in range(address - 7, address + size):
            old = self.memory.get(near)
            if old is not None and near + old[0] > address:
                del self.memory[near]
        self.memory[address] = size, value if size == 4 else masked(value, (1 << 8 * size) - 1)

    def load(self, address: Value, size: int, *, signed: bool, code: Code, n_features: int) -> Value:
        if not isinstance(address, int):
            return None
        if INPUT <= address < INPUT + 4 * n_features:
            return input_word((address - INPUT) // 4) if size == 4 and address % 4 == 0 else None
        known = self.memory.get(address)
        value: Value = known[1] if known is not None and known[0] == size else None
        if address < INPUT:
            data = code.constant(address, size)
            value = None if data is None else int.from_bytes(data, "little")
        spare = 32 - 8 * size
        return shifted_right(shifted_left(value, spare), spare, signed=True) if signed else value


def decide(state: State, condition: str, flags: Flags | None) -> Verdict:
    """Whether the condition holds; where that depends on an input word: which, and its patterns with and without."""
    found = _holds(_SAME.get(condition, condition), flags)
    if found is None or isinstance(found, bool):
        return found
    return _split(state, *found)


def decide_zero(state: State, register: str, *, zero: bool) -> Verdict:
    """As decide(), for a register's being zero or not."""
    found = where(state.value(register), 0, "eq" if zero else "ne")
    return found if found is None or isinstance(found, bool) else _split(state, *found)


def _split(state: State, feature: int, patterns: Patterns) -> Verdict:
    domain = state.domain.get(feature, EVERY)
    with_it, rest = both(domain, patterns), without(domain, patterns)
    if not rest:
        return True
    return (feature, with_it, rest) if with_it else False


def _holds(condition: str, flags: Flags | None) -> bool | tuple[int, Patterns] | None:
    if flags is None:
        return None
    kind, one, other = flags
    if kind == "float":
        return where_float(one, other, condition)
    if kind == "sub" and condition not in ("mi", "pl", "vs", "vc"):
        return where(one, other, condition)
    result = subtract(one, other) if kind == "sub" else add(one, other) if kind == "add" else one
    if condition in ("eq", "ne"):
        return where(result, 0, condition)
    if condition in ("mi", "pl"):
        return where(result, HALF, "hs" if condition == "mi" else "lo")
    if condition in ("hs", "lo"):
        return where(_carry(flags), 1, "eq" if condition == "hs" else "ne")
    return None


def _carry(flags: Flags | None) -> Value:
    if flags is None or flags[0] == "float":
        return None
    kind, one, other = flags
    if kind == "result":
        return other
    found = where(one, other, "hs") if kind == "sub" else where(one, inverted(other), "hi")
    return found if found is None or isinstance(found, bool) else indicator(*found)


def condition_of(instruction: Instruction) -> str | None:
    """The condition of a branch or of a member of an IT block, and of cbz and cbnz "zero" and "nonzero"."""
    name = instruction.text.split(" ")[0].removesuffix(".w").removesuffix(".n")
    if name in ("cbz", "cbnz"):
        return "zero" if name == "cbz" else "nonzero"
    branch = _BRANCH.match(name)
    if branch is not None:
        return branch[1]
    suffix = _SUFFIX.match(name)
    return suffix[2] if suffix is not None and instruction.predicated else None


def action_of(instruction: Instruction, code: Code, n_features: int) -> Action:
    """What the instruction does to a state, if its condition holds and apart from where it leads."""
    name, _, rest = instruction.text.partition(" ")
    name = name.removesuffix(".w").removesuffix(".n")
    if instruction.predicated:
        suffix = _SUFFIX.match(name)
        if suffix is None:
            return _unknown(instruction)
        name = suffix[1] + (suffix[3] or "")
    operands = tuple(part.strip() for part in re.split(r",\s*(?![^\[{]*[\]}])", rest)) if rest else ()
    sets_flags = "flags" in instruction.writes
    if name not in _SIZES and name.endswith("s") and sets_flags and name[:-1] in _ARITHMETIC:
        name = name[:-1]
    try:
        if name in _SIZES:
            return _access(name, instruction, operands, code, n_features)
        if name in ("push", "pop", "ldm", "ldmia", "stm", "stmia"):
            return _several(name, instruction, operands, code, n_features)
        if name in _ARITHMETIC:
            return _computation(name, operands, sets_flags, instruction)
    except (ValueError, KeyError, IndexError):  # operands in a form that is not known here
        return _unknown(instruction)
    match name, operands:
        case (("b" | "bl" | "bx" | "cbz" | "cbnz" | "nop"), _):
            return lambda state: None
        case _ if name.startswith("it") or _BRANCH.match(name):
            return lambda state: None
        case ("vmrs", ("apsr_nzcv", _)):
            return _status
        case (("vcmp.f32" | "vcmpe.f32"), (one, other)):
            return _float_comparison(one, "#0" if other.startswith("#") else other)
        case (("vmov" | "vmov.f32"), (to, what)) if not what.startswith("#") and "d" not in (to[0], what[0]):
            return lambda state: state.put(to, state.value(what))
        case _:
            return _unknown(instruction)


def _unknown(instruction: Instruction) -> Action:
    """Everything that it writes is unknown afterwards; what it stores must have a known place."""

    def act(state: State) -> None:
        place = state.value("sp")
        base = next(iter(instruction.addresses), "")
        if instruction.stores and (not isinstance(state.value(base), int) or len(instruction.addresses) != 1):
            raise UnfollowedError("the code stores to a place that depends on its input", instruction.text)
        address = state.value(base) if instruction.stores else None
        state.forget(instruction.writes)
        if "sp" in instruction.writes and isinstance(place, int) and instruction.stack is not None:
            state.put("sp", place - instruction.stack)
        if isinstance(address, int):
            if not OUTPUT + 0x1000 <= address < END - 0x2000:
                raise UnfollowedError("the code stores to an unusual place", instruction.text)
            for near in [one for one in state.memory if abs(one - address) <= 0x800]:
                del state.memory[near]

    return act


def _status(state: State) -> None:
    state.flags = state.fp_flags


def _float_comparison(one: str, other: str) -> Action:
    def act(state: State) -> None:
        state.fp_flags = "float", state.value(one), state.value(other)

    return act


# Loads and stores -----------------------------------------------------------------------------------------------------

_PLACE = re.compile(r"\[(\w+)(?:, (#-?\w+|\w+)(?:, lsl #(\w+))?)?\](!?)")


def _access(name: str, instruction: Instruction, operands: tuple[str, ...], code: Code, n_features: int) -> Action:
    size, signed = _SIZES[name]
    register, literal, where_it_is = operands[0], instruction.literal, instruction.text
    if register.startswith("d"):
        return _unknown(instruction)
    is_load = name.lstrip("v").startswith("ldr")
    if literal is not None:
        constant = code.constant(literal, size)
        value = None if constant is None else int.from_bytes(constant, "little", signed=signed) % END
        return lambda state: state.put(register, value)
    place = _PLACE.fullmatch(operands[1])
    if place is None:
        raise ValueError(operands[1])
    base, offset, shift, before = place[1], place[2] or "#0", int(place[3] or "0", 0), place[4] == "!"
    step = operands[2] if len(operands) > 2 else None

    def act(state: State) -> None:
        start = state.value(base)
        address = add(start, shifted_left(state.value(offset), shift))
        if is_load:
            result = state.load(address, size, signed=signed, code=code, n_features=n_features)
        else:
            state.store(address, size, state.value(register), where_it_is)
        if before or step is not None:
            state.put(base, address if step is None else add(start, state.value(step)))
        if is_load:
            state.put(register, result)

    return act


def _several(name: str, instruction: Instruction, operands: tuple[str, ...], code: Code, n_features: int) -> Action:
    on_stack = name in ("push", "pop")
    listed = [part.strip() for part in operands[-1].strip("{}").split(",")]
    base = "sp" if on_stack else operands[0].removesuffix("!")
    moves = on_stack or operands[0].endswith("!")
    is_load = name in ("pop", "ldm", "ldmia")
    names = [f"r{i}" for i in range(13)] + ["sp", "lr", "pc"]
    ordered = sorted((_NAMES.get(one, one) for one in listed), key=names.index)

    def act(state: State) -> None:
        start = state.value(base)
        if name == "push":
            start = subtract(start, 4 * len(ordered))
        values = [state.value(one) for one in ordered]
        for number, one in enumerate(ordered):
            address = add(start, 4 * number)
            if is_load:
                if one != "pc":
                    state.put(one, state.load(address, 4, signed=False, code=code, n_features=n_features))
            else:
                state.store(address, 4, values[number], instruction.text)
        if name == "push":
            state.put("sp", start)
        elif moves and not (is_load and base in ordered):
            state.put(base, add(start, 4 * len(ordered)))

    return act


# Arithmetic -----------------------------------------------------------------------------------------------------------

_ARITHMETIC = (
    "mov", "movw", "mvn", "add", "addw", "sub", "subw", "rsb", "adc", "sbc", "and", "orr", "eor", "bic", "lsl", "lsr",
    "asr", "mul", "uxtb", "uxth", "sxtb", "sxth", "movt", "cmp", "cmn", "tst",
)  # fmt: skip
_SHIFT = re.compile(r"(lsl|lsr|asr) #(\w+)")


def _computation(name: str, operands: tuple[str, ...], sets_flags: bool, instruction: Instruction) -> Action:
    plain = tuple(one for one in operands if _SHIFT.fullmatch(one) is None)
    shift = _SHIFT.fullmatch(operands[-1])
    if any(one.partition(" ")[0] in ("lsl", "lsr", "asr", "ror", "rrx") for one in plain):
        raise ValueError(operands[-1])
    tests = name in ("cmp", "cmn", "tst")
    to = "" if tests else plain[0]
    sources = plain if tests else plain[1:]
    if len(sources) == 1 and name not in ("mov", "movw", "mvn", "uxtb", "uxth", "sxtb", "sxth"):
        sources = (plain[0], *sources)  # the first operand is a source, too

    def act(state: State) -> None:
        values = [state.value(one) for one in sources]
        if shift is not None:
            values[-1] = _shifted(shift[1], values[-1], int(shift[2], 0))
        result, flags = _computed(name, values, state.flags)
        if sets_flags:
            state.flags = flags
        if to:
            state.put(to, result)

    return act


def _shifted(name: str, value: Value, by: int) -> Value:
    return shifted_left(value, by) if name == "lsl" else shifted_right(value, by, signed=name == "asr")


def _computed(name: str, values: list[Value], before: Flags | None) -> tuple[Value, Flags]:
    """The result, and what its flags would be."""
    one, other = values[0], values[-1]
    match name:
        case "add" | "addw" | "cmn":
            return add(one, other), ("add", one, other)
        case "sub" | "subw" | "cmp":
            return subtract(one, other), ("sub", one, other)
        case "rsb":
            return subtract(other, one), ("sub", other, one)
        case "adc":
            result = add(add(one, other), _carry(before))
        case "sbc":
            result = add(subtract(one, other), subtract(_carry(before), 1))
        case "mov" | "movw":
            result = other
        case "mvn":
            result = inverted(other)
        case "and" | "tst":
            result = masked(one, other)
        case "bic":
            result = masked(one, inverted(other))
        case "orr":
            result = joined(one, other)
        case "eor":
            result = exclusive(one, other)
        case "lsl" | "lsr" | "asr" if isinstance(other, int) and 0 < other < 32:
            last = 32 - other if name == "lsl" else other - 1  # the bit that falls out at last
            carry = masked(shifted_right(one, last, signed=False), 1)
            return _shifted(name, one, other), ("result", _shifted(name, one, other), carry)
        case "mul":
            result = (one * other) % END if isinstance(one, int) and isinstance(other, int) else None
        case "movt":
            result = (one & 0xFFFF) | other << 16 if isinstance(one, int) and isinstance(other, int) else None
        case "uxtb" | "uxth":
            result = masked(other, 0xFF if name == "uxtb" else 0xFFFF)
        case "sxtb" | "sxth":
            spare = 24 if name == "sxtb" else 16
            result = shifted_right(shifted_left(other, spare), spare, signed=True)
        case _:
            result = None
    return result, ("result", result, None)
