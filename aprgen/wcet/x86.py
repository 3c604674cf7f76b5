"""Decodes x86-64 instructions into the facts that control flow, stack and counts need.

Knows capstone, and hides it; which instructions there are is `x86_table`'s to say. Registers are named by their
64 bits, vector registers as zmm. Knows nothing of functions or of time.
"""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING

from aprgen.errors import ToolchainError
from aprgen.wcet.code import Architecture, Function
from aprgen.wcet.instruction import Flow, Instruction, Slot, Undecoded
from aprgen.wcet.x86_table import CONDITIONS, MOVES, TABLE, Flags, Shape

if TYPE_CHECKING:
    import capstone

_JUMPS = {f"j{one}": one for one in CONDITIONS}
_OLD = {f"r{a}x": (f"{a}l", f"{a}h", f"{a}x", f"e{a}x") for a in "abcd"}
_INDEX = {f"r{a}": (f"{a}l", a, f"e{a}") for a in ("si", "di", "bp", "sp")}
_NUMBERED = {f"r{n}": (f"r{n}b", f"r{n}w", f"r{n}d") for n in range(8, 16)}
_WHOLE = {part: whole for names in (_OLD, _INDEX, _NUMBERED) for whole, parts in names.items() for part in parts}
# EVEX instructions that capstone 5 does not know, by escape and opcode (0 for bits that are not looked at), and what it
# decodes in their place: another with the same operands, in the same bits.
_TWINS = {
    (b"\x62\x02\x02\x00\x52", "vdpbf16ps"): b"\x62\x02\x01\x00\x52",  # vpdpwssd
    (b"\x62\x02\x02\x00\x72", "vcvtneps2bf16"): b"\x62\x01\x00\x00\x5b",  # vcvtdq2ps
}
_LOOKED_AT = (0xFF, 0x07, 0x83, 0x00, 0xFF)  # the map, W and the prefix; others are operands and masks
_READS: tuple[Flags, ...] = ("reads", "uses")
_WRITES: tuple[Flags, ...] = ("writes", "uses")


@functools.lru_cache(maxsize=4096)
def decode_slots(function: Function, architecture: Architecture) -> tuple[Slot, ...]:
    """Every instruction of a function by ascending address, with those that are not in the table as Undecoded."""
    disassembler = _disassembler()
    slots: list[Slot] = []
    at = function.address
    while at < function.end:
        for found in disassembler.disasm(function.code[at - function.address :], at):
            slots.append(_instruction(disassembler, found))
            at = found.address + found.size
        twin = _by_twin(disassembler, function.code[at - function.address :], at) if at < function.end else None
        if twin is not None:
            slots.append(twin)
            at = twin.end
        elif at < function.end:  # bytes nobody knows; the next instruction may begin behind the first
            slots.append(Undecoded(at, function.code[at - function.address :][:1].hex()))
            at += 1
    return tuple(slots)


@functools.cache
def _disassembler() -> capstone.Cs:
    try:
        capstone = importlib.import_module("capstone")
    except ImportError as error:
        raise ToolchainError(
            "wcet.capstone", "the Python package capstone is not installed", where="this machine",
            hint="pip install 'aprgen[wcet]'",
        ) from error  # fmt: skip
    disassembler = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    disassembler.detail = True
    return disassembler


def _by_twin(disassembler: capstone.Cs, code: bytes, address: int) -> Instruction | None:
    for (known, name), twin in _TWINS.items():
        head = code[: len(known)]
        if len(head) == len(known) and all(a & m == b for a, b, m in zip(head, known, _LOOKED_AT, strict=True)):
            changed = bytes(a & ~m | b for a, b, m in zip(head, twin, _LOOKED_AT, strict=True))
            for found in disassembler.disasm(changed + code[len(known) :], address, count=1):
                made = _instruction(disassembler, found, name)
                return made if isinstance(made, Instruction) else None
    return None


def _instruction(disassembler: capstone.Cs, found: capstone.CsInsn, name: str = "") -> Slot:
    """name: what it is called where capstone took it for another."""
    name = name or found.mnemonic
    text = f"{name} {found.op_str}".strip()
    unknown = Undecoded(found.address, text)
    operands = [_Operand(disassembler, one) for one in found.operands]
    if found.prefix[0] or any(one.is_segmented for one in operands if name != "nop"):  # lock, rep, fs and gs
        return unknown
    in_memory = [one for one in operands if one.kind == "memory"]
    flow, target = _flow(name, operands)
    if flow != "next":
        if (target is None and flow != "return") or (flow == "return" and operands):
            flow = "indirect"
        return _of_flow(found, text, flow, target, in_memory)
    if name in ("push", "pop", "leave"):
        return _of_stack(found, text, name, operands)
    row = TABLE.get(name)
    if row is None or len(in_memory) > 1 or (name == "xchg" and in_memory):  # xchg with memory locks the bus
        return unknown
    shape, flags = row
    if name == "imul" and len(operands) != 2:
        shape = "wide" if len(operands) == 1 else "first"
    reads, writes = _accesses(shape, flags, operands)
    loads, stores = (0, 0) if name in ("lea", "nop") else _transfers(name, shape, operands)
    n_bytes = sum(one.n_bytes for one in in_memory)
    if (loads or stores) and not n_bytes:
        return unknown
    address = frozenset(register for one in in_memory for register in one.registers if register != "rip")
    return Instruction(
        address=found.address,
        size=found.size,
        text=text,
        kind=_kind(loads, stores),
        registers=1,
        reads=frozenset(reads),
        writes=frozenset(writes),
        predicated=False,
        flow="next",
        target=None,
        literal=_literal(found, in_memory) if loads and not stores else None,
        addresses=address,
        stack=_moved(name, operands) if "rsp" in writes else 0,
        immediate=operands[-1].value if operands and operands[-1].kind == "number" else None,
        loads=loads,
        stores=stores,
        loaded_bytes=n_bytes * loads,
        stored_bytes=n_bytes * stores,
    )


class _Operand:
    """One operand. registers: the register itself, or those of an address; value: of a number, or a displacement."""

    def __init__(self, disassembler: capstone.Cs, operand: capstone.x86.X86Op) -> None:
        x86 = importlib.import_module("capstone.x86")

        def named(register: int) -> str:
            return whole_register(str(disassembler.reg_name(register)))

        self.kind = "number"
        self.registers: tuple[str, ...] = ()
        self.value = 0
        self.n_bytes = int(operand.size)
        self.is_segmented = False
        if operand.type == x86.X86_OP_REG:
            self.kind, self.registers = "register", (named(operand.reg),)
        elif operand.type == x86.X86_OP_IMM:
            self.value = int(operand.imm)
        else:
            self.kind, self.value = "memory", int(operand.mem.disp)
            self.registers = tuple(named(one) for one in (operand.mem.base, operand.mem.index) if one)
            self.is_segmented = operand.mem.segment != 0


def whole_register(name: str) -> str:
    """The register of which `name` is a part: rax for al, zmm3 for xmm3."""
    if name[1:3] == "mm" and name[0] in "xyz":
        return f"zmm{name[3:]}"
    return _WHOLE.get(name, name)


def _flow(name: str, operands: list[_Operand]) -> tuple[Flow, int | None]:
    target = operands[0].value if operands and operands[0].kind == "number" else None
    if name in _JUMPS:
        return "conditional", target
    match name:
        case "jmp":
            return "jump", target
        case "call":
            return "call", target
        case "ret":
            return "return", None
        case _:
            return "next", None


def _of_flow(
    found: capstone.CsInsn, text: str, flow: Flow, target: int | None, in_memory: list[_Operand]
) -> Instruction:
    """A jump, call or return. What a call takes from the stack is back when the next instruction runs."""
    calls, returns = found.mnemonic == "call", found.mnemonic == "ret"
    loads = int(returns) + len(in_memory)
    return Instruction(
        address=found.address,
        size=found.size,
        text=text,
        kind="call" if calls else "return" if returns else "jump",
        registers=1,
        reads=frozenset({"flags"} if flow == "conditional" else ()),
        writes=frozenset(),
        predicated=False,
        flow=flow,
        target=target,
        literal=None,
        loads=loads,
        stores=int(calls),
        loaded_bytes=8 * loads,
        stored_bytes=8 * int(calls),
    )


def _of_stack(found: capstone.CsInsn, text: str, name: str, operands: list[_Operand]) -> Slot:
    """push and pop of a register or a number of 64 bits, and leave."""
    plain = [one for one in operands if one.kind != "memory"]
    if len(plain) != len(operands) or found.size > 5 or 0x66 in found.prefix:
        return Undecoded(found.address, text)
    registers = frozenset(register for one in plain for register in one.registers)
    pushes = name == "push"
    return Instruction(
        address=found.address,
        size=found.size,
        text=text,
        kind=name,
        registers=1,
        reads=frozenset({"rsp"}) | (registers if pushes else {"rbp"} if name == "leave" else frozenset()),
        writes=frozenset({"rsp"}) | (frozenset() if pushes else {"rbp"} if name == "leave" else registers),
        predicated=False,
        flow="next",
        target=None,
        literal=None,
        stack=None if name == "leave" or "rsp" in registers else 8 if pushes else -8,
        loads=0 if pushes else 1,
        stores=1 if pushes else 0,
        loaded_bytes=0 if pushes else 8,
        stored_bytes=8 if pushes else 0,
    )


def _accesses(shape: Shape, flags: Flags, operands: list[_Operand]) -> tuple[set[str], set[str]]:
    """Registers read and written, a superset where it depends on the operands."""
    n_results = {"first": 1, "both": 1, "swap": 2, "none": 0, "idle": 0, "wide": 0}[shape]
    n_only = 1 if shape == "first" else 0
    reads: set[str] = set()
    writes: set[str] = set()
    for number, one in enumerate(operands):
        if one.kind == "memory" or number >= n_only:
            reads.update(one.registers)
        if one.kind == "register" and number < n_results:
            writes.update(one.registers)
    if shape == "wide":
        reads |= {"rax", "rdx"}
        writes |= {"rax", "rdx"}
    if flags in _READS:
        reads.add("flags")
    if flags in _WRITES:
        writes.add("flags")
    return reads, writes


def _transfers(name: str, shape: Shape, operands: list[_Operand]) -> tuple[int, int]:
    """Whether it loads, and whether it stores."""
    if shape == "idle":
        return 0, 0
    place = next((number for number, one in enumerate(operands) if one.kind == "memory"), None)
    if place is None:
        return 0, 0
    if place > 0 or shape in ("none", "wide"):
        return 1, 0
    return (0 if shape == "first" or name in MOVES else 1), 1


def _kind(loads: int, stores: int) -> str:
    return {(0, 0): "alu", (1, 0): "load", (0, 1): "store", (1, 1): "update"}[loads, stores]


def _literal(found: capstone.CsInsn, in_memory: list[_Operand]) -> int | None:
    """The address of a load relative to the next instruction."""
    if in_memory and in_memory[0].registers == ("rip",):
        return int(found.address) + int(found.size) + in_memory[0].value
    return None


def _moved(name: str, operands: list[_Operand]) -> int | None:
    """Bytes by which rsp moves down. None: no constant."""
    last = operands[-1]
    if name in ("add", "sub") and last.kind == "number":
        return last.value if name == "sub" else -last.value
    if name == "lea" and last.registers == ("rsp",):
        return -last.value
    return None
