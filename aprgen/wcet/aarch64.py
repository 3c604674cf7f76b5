"""Decodes AArch64 instructions into the facts that control flow, stack and counts need.

Knows capstone, and hides it. The table of instructions is closed: what is not in it is refused. Registers are named by
all of their bits: x0 to x30, sp, v0 to v31. Knows nothing of functions or of time.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from aprgen.errors import ToolchainError
from aprgen.wcet.code import Architecture, Function
from aprgen.wcet.instruction import Flow, Instruction, Slot, Undecoded

if TYPE_CHECKING:
    import capstone

# first: the first operand is a result, the others are operands; both: the first is also an operand; none: all are
# operands; load, load_two: results come from memory; store: all but the address are written there
_Shape = Literal["first", "both", "none", "load", "load_two", "store"]
_Flags = Literal["", "reads", "writes", "uses"]

_ROWS: tuple[tuple[_Shape, _Flags, str], ...] = (
    ("first", "", "mov movz movn mvn neg add sub and orr orn eor eon bic lsl lsr asr ror extr adr adrp"),
    ("first", "", "ubfx sbfx ubfiz sbfiz sxtb sxth sxtw uxtb uxth clz cls rbit rev rev16 rev32 rev64"),
    ("first", "", "mul mneg madd msub smull umull smnegl umnegl smaddl umaddl smsubl umsubl smulh umulh sdiv udiv"),
    ("both", "", "movk bfi bfxil bfc"),
    ("first", "writes", "adds subs ands bics negs"),
    ("first", "uses", "adcs sbcs ngcs"),
    ("first", "reads", "adc sbc ngc csel csinc csinv csneg cset csetm cinc cinv cneg fcsel"),
    ("none", "writes", "cmp cmn tst fcmp fcmpe"),
    ("none", "uses", "ccmp ccmn fccmp fccmpe"),
    ("none", "", "nop bti"),
    ("first", "", "fmov fadd fsub fmul fdiv fnmul fmadd fmsub fnmadd fnmsub fabs fneg fsqrt fmax fmin fmaxnm fminnm"),
    ("first", "", "fcvt fcvtas fcvtau fcvtms fcvtmu fcvtns fcvtnu fcvtps fcvtpu fcvtzs fcvtzu scvtf ucvtf"),
    ("first", "", "fcvtl fcvtl2 fcvtn frinta frinti frintm frintn frintp frintx frintz fabd fmulx"),
    ("first", "", "dup ext zip1 zip2 uzp1 uzp2 trn1 trn2 tbl umov smov movi mvni not abs sqabs sqneg cnt"),
    ("first", "", "addv addp saddlv uaddlv saddlp uaddlp smaxv sminv umaxv uminv smaxp sminp umaxp uminp faddp"),
    ("first", "", "fmaxv fminv fmaxnmv fminnmv fmaxp fminp smax smin umax umin sabd uabd"),
    ("first", "", "cmeq cmge cmgt cmhi cmhs cmle cmlt cmtst fcmeq fcmge fcmgt fcmle fcmlt facge facgt"),
    ("first", "", "shl sshl ushl srshl urshl sqshl uqshl sshr ushr srshr urshr sshll sshll2 ushll ushll2 shrn"),
    ("first", "", "sxtl sxtl2 uxtl uxtl2 xtn sqxtn sqxtun uqxtn sqrshrn sqshrn rshrn sqdmulh sqrdmulh sqadd sqsub"),
    ("first", "", "uqadd uqsub shadd uhadd srhadd urhadd saddl saddl2 uaddl uaddl2 ssubl ssubl2 usubl usubl2"),
    ("first", "", "saddw saddw2 uaddw uaddw2 ssubw ssubw2 usubw usubw2 smull2 umull2 addhn"),
    ("both", "", "fmla fmls mla mls smlal smlal2 umlal umlal2 smlsl smlsl2 umlsl umlsl2 sdot udot bsl bit bif ins"),
    ("both", "", "xtn2 sqxtn2 sqxtun2 uqxtn2 fcvtn2 shrn2 addhn2 ssra usra srsra ursra sli sri sadalp uadalp tbx"),
    ("load", "", "ldr ldrb ldrh ldrsb ldrsh ldrsw ldur ldurb ldurh ldursb ldursh ldursw ld1 ld1r ld2 ld3 ld4"),
    ("load_two", "", "ldp ldpsw ldnp"),
    ("store", "", "str strb strh stur sturb sturh stp stnp st1 st2 st3 st4"),
)  # fmt: skip
_TABLE: Mapping[str, tuple[_Shape, _Flags]] = {
    name: (shape, flags) for shape, flags, names in _ROWS for name in names.split()
}
_NARROW = {"b": 1, "sb": 1, "h": 2, "sh": 2, "sw": 4}  # endings of ldr, ldur, ldp and so on
_BY_LETTER = {"b": 1, "h": 2, "s": 4, "w": 4, "d": 8, "x": 8, "q": 16}
_ZERO = ("xzr", "wzr")
_LIST = re.compile(r"\{([^}]*)\}(\[\d+\])?")
_TRANSFER = re.compile(r"(?:ld|st)(?:u?r|n?p)(sb|sh|sw|b|h)?")


@functools.lru_cache(maxsize=4096)
def decode_slots(function: Function, architecture: Architecture) -> tuple[Slot, ...]:
    """Every instruction of a function by ascending address, with those that are not in the table as Undecoded."""
    slots: list[Slot] = []
    at = function.address
    for begin, end in (*sorted(function.data), (function.end, function.end)):
        while at < begin:
            found = None
            raw = function.code[at - function.address :][:4]
            for found in _disassembler().disasm(raw, at):
                slots.append(_instruction(found))
            if found is None:
                slots.append(Undecoded(at, raw.hex()))
            at += 4
        at = end
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
    disassembler = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
    disassembler.detail = True
    return disassembler


def _instruction(found: capstone.CsInsn) -> Slot:
    text = f"{found.mnemonic} {found.op_str}".strip()
    name, numbers = found.mnemonic, _numbers(found)
    flow, target = _flow(name, numbers)
    plain, address = _registers(found)
    if flow != "next":
        return _made(
            found, text, flow, target, "call" if flow == "call" else "return" if flow == "return" else "jump",
            reads={*plain, *({"flags"} if name.startswith("b.") else ()), *({"x30"} if text == "ret" else ())},
            writes={"x30"} if name in ("bl", "blr") else set(),
        )  # fmt: skip
    row = _TABLE.get(name)
    if row is None:
        return Undecoded(found.address, text)
    shape, flags = row
    words, n_bytes = _transferred(name, shape, text)
    if shape in ("load", "load_two", "store") and not n_bytes:
        return Undecoded(found.address, text)
    n_results = {"none": 0, "store": 0, "load_two": 2, "load": max(1, words)}.get(shape, 1)
    results, sources = plain[:n_results], plain[n_results:]
    reads, writes = {*sources, *address}, set(results)
    if shape == "both" or (name == "mov" and "[" in text.partition(",")[0]) or (shape == "load" and "{" in text):
        reads |= writes  # parts of the result stay
    if found.writeback:
        writes |= address & {_name(text.rpartition("[")[2].partition("]")[0].partition(",")[0])}
    reads |= {"flags"} if flags in ("reads", "uses") else set()
    writes |= {"flags"} if flags in ("writes", "uses") else set()
    loads = words if shape in ("load", "load_two") else 0
    stores = words if shape == "store" else 0
    return _made(
        found, text, "next", None, "load" if loads else "store" if stores else "alu", reads - {*_ZERO},
        writes - {*_ZERO}, addresses=address, stack=_moved(name, text) if "sp" in writes else 0,
        literal=numbers[-1] if loads and not address and numbers else None,
        immediate=numbers[-1] if numbers and not address else None,
        loads=loads, stores=stores, n_bytes=n_bytes,
    )  # fmt: skip


def _made(
    found: capstone.CsInsn, text: str, flow: Flow, target: int | None, kind: str, reads: set[str], writes: set[str], *,
    addresses: set[str] | None = None, stack: int | None = 0, literal: int | None = None, immediate: int | None = None,
    loads: int = 0, stores: int = 0, n_bytes: int = 0,
) -> Instruction:  # fmt: skip
    return Instruction(
        address=found.address, size=found.size, text=text, kind=kind, registers=1, reads=frozenset(reads),
        writes=frozenset(writes), predicated=False, flow=flow, target=target, literal=literal,
        addresses=frozenset(addresses or ()), stack=stack, immediate=immediate, loads=loads, stores=stores,
        loaded_bytes=n_bytes if loads else 0, stored_bytes=n_bytes if stores else 0,
    )  # fmt: skip


def _name(register: str) -> str:
    """The register of which this is a part."""
    register = {"fp": "x29", "lr": "x30", "wsp": "sp"}.get(register, register)
    if register in _ZERO or register == "sp" or not register[1:].isdigit():
        return register
    return ("x" if register[0] in "wx" else "v") + register[1:]


def _registers(found: capstone.CsInsn) -> tuple[list[str], set[str]]:
    """Registers that stand alone, in order, and those of an address."""
    arm64 = importlib.import_module("capstone.arm64")
    plain: list[str] = []
    address: set[str] = set()
    for operand in found.operands:
        if operand.type == arm64.ARM64_OP_REG:
            plain.append(_name(str(found.reg_name(operand.reg))))
        elif operand.type == arm64.ARM64_OP_MEM:
            address |= {_name(str(found.reg_name(one))) for one in (operand.mem.base, operand.mem.index) if one}
    return plain, address


def _numbers(found: capstone.CsInsn) -> list[int]:
    """Constant operands, shifted as the instruction says."""
    arm64 = importlib.import_module("capstone.arm64")
    return [
        int(one.imm) << (one.shift.value if one.shift.type == arm64.ARM64_SFT_LSL else 0)
        for one in found.operands
        if one.type == arm64.ARM64_OP_IMM
    ]


def _flow(name: str, numbers: list[int]) -> tuple[Flow, int | None]:
    match name:
        case "b":
            return "jump", numbers[-1]
        case "cbz" | "cbnz" | "tbz" | "tbnz":
            return "conditional", numbers[-1]
        case "bl":
            return "call", numbers[-1]
        case "br" | "blr":
            return "indirect", None
        case "ret":
            return "return", None
    return ("conditional", numbers[-1]) if name.startswith("b.") else ("next", None)


def _transferred(name: str, shape: _Shape, text: str) -> tuple[int, int]:
    """Registers that go to or come from memory, and the bytes of all."""
    if shape not in ("load", "load_two", "store"):
        return 0, 0
    listed = _LIST.search(text)
    if listed is not None:
        registers = listed[1].split(",")
        arrangement = registers[0].partition(".")[2]  # 4s, or s of one lane
        element = _BY_LETTER.get(arrangement[-1:], 0)
        lanes = 1 if listed[2] or name == "ld1r" else int(arrangement[:-1] or 0)
        return len(registers), len(registers) * lanes * element
    transfer = _TRANSFER.fullmatch(name)
    words = 2 if name in ("ldp", "ldpsw", "ldnp", "stp", "stnp") else 1
    if transfer is None:
        return words, 0
    letter = text.split()[1][0]
    return words, words * (_NARROW[transfer[1]] if transfer[1] else _BY_LETTER.get(letter, 0))


_WRITE_BACK = re.compile(r"\[sp(?:, #(-?\w+)\]!|\], #(-?\w+))")
_BY_NUMBER = re.compile(r"(add|sub) sp, sp, #(\w+)(?:, lsl #(12))?")


def _moved(name: str, text: str) -> int | None:
    """Bytes by which sp moves down. None: no constant."""
    back = _WRITE_BACK.search(text)
    if back is not None:
        return -int(back[1] or back[2], 0)
    number = _BY_NUMBER.fullmatch(text)
    if number is None:
        return None
    moved = int(number[2], 0) << int(number[3] or 0)
    return moved if number[1] == "sub" else -moved
