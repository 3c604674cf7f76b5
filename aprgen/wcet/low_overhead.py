"""The loop instructions of Armv8.1-M: dls and wls begin a loop whose count is in lr, le ends its body.

Decodes those by hand, as capstone does not know them. The forms for vectors (dlstp, wlstp, letp) and the endless le
are not decoded, so code with them is refused.
"""

from __future__ import annotations

import struct

from aprgen.wcet.instruction import Instruction

_NUMBERED = {13: "sp", 14: "lr", 15: "pc"}


def decode(code: bytes, address: int) -> Instruction | None:
    """The instruction at the start of these bytes; None for any other (Arm DDI 0553, section C2.4, DLS, WLS and LE)."""
    if len(code) < 4:
        return None
    first, second = struct.unpack_from("<HH", code)
    if first == 0xF00F and second & 0xF001 == 0xC001:
        # lr counts the turns that are left: it goes down by one and back, unless this was the last or there was none.
        return _loop(address, "le", "lr", frozenset({"lr"}), address + 4 - _distance(second))
    register = first & 0xF
    if first & 0xFFF0 != 0xF040 or register in (13, 15):
        return None
    name = _NUMBERED.get(register, f"r{register}")
    if second == 0xE001:
        return Instruction(
            address, 4, f"dls lr, {name}", "alu", 1, frozenset({name}), frozenset({"lr"}), False, "next", None, None
        )  # fmt: skip
    if second & 0xF001 == 0xC001:
        # Jumps when the count is zero; the body is not executed.
        return _loop(address, "wls", name, frozenset({"lr"}), address + 4 + _distance(second))
    return None


def _loop(address: int, name: str, count: str, writes: frozenset[str], target: int) -> Instruction:
    text = f"{name} lr, #{target:#x}" if name == "le" else f"{name} lr, {count}, #{target:#x}"
    return Instruction(
        address, 4, text, "conditional", 1, frozenset({count}), writes, False, "conditional", target, None
    )  # fmt: skip


def _distance(second: int) -> int:
    """Bytes: bits 10 to 1 are the upper part, bit 11 stands for two."""
    return (second & 0x7FE) << 1 | (second & 0x800) >> 10
