"""The operands of an instruction, with registers by name.

Knows how capstone describes them, and its other names for some instructions. Knows nothing of their meaning.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import capstone

_REGISTERS = {"sb": "r9", "sl": "r10", "fp": "r11", "ip": "r12"}
_OTHER_NAMES = {
    "movs": "mov", "fconsts": "vmov", "fmstat": "vmrs", "vseleq": "vsel", "vselge": "vsel", "vselgt": "vsel",
    "vselvs": "vsel",
}  # fmt: skip


@dataclass(frozen=True)
class Operands:
    """plain: registers that stand alone, in order; listed: those of a multiple transfer, in its place.

    address: registers from which an address is computed; moved: those of them that are written back.
    shifted: registers that say how far another is shifted. step: bytes by which write-back moves the base.
    """

    plain: tuple[str, ...]
    listed: tuple[str, ...]
    address: frozenset[str]
    moved: frozenset[str]
    shifted: frozenset[str]
    immediate: int | None
    has_immediate: bool
    offset: int | None
    step: int | None
    shifts_carry: bool

    @property
    def words(self) -> int:
        return sum(2 if register.startswith("d") else 1 for register in self.listed)

    def literal(self, address: int) -> int | None:
        """What a load relative to pc reads: counted from the instruction's address + 4, rounded down to words."""
        if self.address != {"pc"} or self.offset is None:
            return None
        return ((address + 4) & ~3) + self.offset

    def has_doubles_of(self, mnemonic: str) -> bool:
        """Arithmetic in double precision, which these cores do not have."""
        return ".f64" in mnemonic


def instruction_name(disassembler: capstone.Cs, found: capstone.CsInsn) -> str:
    """The instruction without condition, width, and the s of setting flags."""
    name = str(disassembler.insn_name(found.id))
    if name == "hint":
        return "nop" if found.mnemonic.split(".")[0] == "nop" else name
    return _OTHER_NAMES.get(name, name)


def has_condition(found: capstone.CsInsn) -> bool:
    arm = importlib.import_module("capstone.arm")
    return found.cc not in (arm.ARM_CC_AL, arm.ARM_CC_INVALID)


def operands_of(disassembler: capstone.Cs, found: capstone.CsInsn, *, listed: bool) -> Operands:
    arm = importlib.import_module("capstone.arm")

    def named(register: int) -> str:
        name = str(disassembler.reg_name(register))
        return _REGISTERS.get(name, name)

    plain: list[str] = []
    address: set[str] = set()
    shifted: set[str] = set()
    immediate: int | None = None
    has_immediate = shifts_carry = indexed = False
    offset: int | None = None
    for operand in found.operands:
        shifts_carry = shifts_carry or operand.shift.type == arm.ARM_SFT_RRX
        if arm.ARM_SFT_ASR_REG <= operand.shift.type <= arm.ARM_SFT_RRX_REG:
            shifted.add(named(operand.shift.value))
        if operand.type == arm.ARM_OP_REG:
            plain.append(named(operand.reg))
        elif operand.type == arm.ARM_OP_MEM:
            indexed = operand.mem.index != 0
            offset = None if indexed else int(operand.mem.disp)
            address.add(named(operand.mem.base))
            if indexed:
                address.add(named(operand.mem.index))
        else:
            has_immediate = True
            immediate = int(operand.imm) if operand.type == arm.ARM_OP_IMM else None
    writes_back = bool(found.writeback)
    moved = set(address) if writes_back and not indexed else set()
    words: list[str] = []
    if listed:
        on_stack = instruction_name(disassembler, found) in ("push", "pop", "vpush", "vpop")
        base = "sp" if on_stack else plain.pop(0)
        words, plain = plain, []
        address = {base}
        moved = {base} if on_stack or writes_back else set()
    step = None
    if writes_back and not listed:
        step = immediate if found.post_index else offset
    return Operands(
        tuple(plain), tuple(words), frozenset(address), frozenset(moved), frozenset(shifted), immediate, has_immediate,
        offset, step, shifts_carry,
    )  # fmt: skip


def halves(registers: Iterable[str]) -> list[str]:
    """Each double register as its two halves, so that overlaps show."""
    names: list[str] = []
    for register in registers:
        if register.startswith("d"):
            number = int(register[1:])
            names += [f"s{2 * number}", f"s{2 * number + 1}"]
        else:
            names.append(register)
    return names
