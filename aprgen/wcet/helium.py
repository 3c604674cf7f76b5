"""The vector instructions of Armv8.1-M that the kernels of generated code use: loads, products, predicates.

Decodes those by hand, as capstone does not know them. All others stay unknown, so code with them is refused.
"""

from __future__ import annotations

import struct

from aprgen.wcet.instruction import Instruction

_NUMBERED = {13: "sp", 14: "lr", 15: "pc"}
_SIZES = ("8", "16", "32", "64")
_VECTOR_BYTES = 16
_PREDICATE = "p0"


def decode(code: bytes, address: int) -> Instruction | None:
    """The instruction at the start of these bytes; None for any other (Arm DDI 0553, section C2.4, VCTP, VLDRB/H/W,
    VMLADAV, VPST, VMSR and VMRS)."""
    if len(code) < 4:
        return None
    first, second = struct.unpack_from("<HH", code)
    return (
        _load(first, second, address)
        or _dot_product(first, second, address)
        or _predicate(first, second, address)
        or _predicate_move(first, second, address)
    )


def _load(first: int, second: int, address: int) -> Instruction | None:
    """A vector from consecutive memory, at a register and a constant; the register may move."""
    indexed, moves = bool(first & 0x100), bool(first & 0x20)
    size = second >> 7 & 3
    if first & 0xFE50 != 0xEC10 or second & 0x1E00 != 0x1E00 or size == 3 or not (indexed or moves):
        return None
    base = _register(first & 0xF)
    if base in ("pc", "sp"):
        return None
    vector = f"q{second >> 13}"
    distance = (second & 0x7F) << size
    distance = distance if first & 0x80 else -distance
    place = f"[{base}, #{distance}]" if indexed else f"[{base}], #{distance}"
    return Instruction(
        address, 4, f"vldr{'bhw'[size]}.{_SIZES[size]} {vector}, {place}{'!' if indexed and moves else ''}",
        "load_multiple", _VECTOR_BYTES // 4, frozenset({base, _PREDICATE, vector}),
        frozenset({vector, base}) if moves else frozenset({vector}), False, "next", None, None,
        frozenset({base}), 0, None, 1, 0, _VECTOR_BYTES,
    )  # fmt: skip


def _dot_product(first: int, second: int, address: int) -> Instruction | None:
    """The sum of all products of two vectors, added to a register or not."""
    if first & 0xFFF0 != 0xEEF0 or second & 0x1ED1 != 0x0E00:
        return None
    size = 0 if second & 0x100 else 2 if first & 1 else 1
    if size == 0 and first & 1:
        return None
    adds = bool(second & 0x20)
    total, one, other = _register(second >> 12 & 0xE), f"q{first >> 1 & 7}", f"q{second >> 1 & 7}"
    reads = frozenset({one, other, _PREDICATE}) | (frozenset({total}) if adds else frozenset())
    text = f"vmladav{'a' if adds else ''}.s{_SIZES[size]} {total}, {one}, {other}"
    return Instruction(address, 4, text, "mla", 1, reads, frozenset({total}), False, "next", None, None)


def _predicate(first: int, second: int, address: int) -> Instruction | None:
    """Lanes that are left of a count, and the block of instructions that keeps to them; those are executed always."""
    if first & 0xFFC0 == 0xF000 and second == 0xE801 and first & 0xF not in (13, 15):
        count = _register(first & 0xF)
        text = f"vctp.{_SIZES[first >> 4 & 3]} {count}"
        writes = frozenset({_PREDICATE})
        return Instruction(address, 4, text, "alu", 1, frozenset({count}), writes, False, "next", None, None)
    mask = (first >> 3 & 8) | second >> 13
    if first & 0xFFBF == 0xFE31 and second & 0x1FFF == 0x0F4D and mask:
        reads = frozenset({_PREDICATE})
        return Instruction(address, 4, "vpst", "it", 1, reads, reads, False, "next", None, None)
    return None


def _predicate_move(first: int, second: int, address: int) -> Instruction | None:
    """The lanes as a number, to and from a register."""
    register = _register(second >> 12)
    if second & 0xFFF != 0xA10 or second >> 12 in (13, 15) or first not in (0xEEED, 0xEEFD):
        return None
    there = first == 0xEEED
    read, written = (register, _PREDICATE) if there else (_PREDICATE, register)
    text = f"vmsr p0, {register}" if there else f"vmrs {register}, p0"
    return Instruction(
        address, 4, text, "fp_status", 1, frozenset({read}), frozenset({written}), False, "next", None, None
    )


def _register(number: int) -> str:
    return _NUMBERED.get(number, f"r{number}")
