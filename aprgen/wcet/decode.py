"""Decodes Thumb instructions into the few facts that control flow, timing and stack need.

Knows capstone, and hides it. The table of instructions is closed: what is not in it is refused, as nothing is known of
its time. Knows nothing of functions or cycles.
"""

from __future__ import annotations

import functools
import importlib
import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from aprgen.errors import ToolchainError
from aprgen.wcet import helium, low_overhead
from aprgen.wcet.code import Architecture, Function
from aprgen.wcet.instruction import Flow, Instruction, Slot, Undecoded, unknown_instruction
from aprgen.wcet.operands import Operands, halves, has_condition, instruction_name, operands_of

if TYPE_CHECKING:
    import capstone

# Rows of a timing table. Of a transfer of several registers, the row says what one and each further word cost.
KINDS = (
    "alu", "mul", "mla", "mul_long", "mla_long", "div", "nop", "it",
    "load", "load_double", "load_multiple", "pop", "store", "store_double", "store_multiple", "push",
    "branch", "conditional", "call", "return",
    "fp_add", "fp_mul", "fp_mac", "fp_div", "fp_sqrt", "fp_compare", "fp_convert", "fp_move", "fp_move_core",
    "fp_status", "fp_select", "fp_load", "fp_load_double", "fp_load_multiple", "fp_pop",
    "fp_store", "fp_store_double", "fp_store_multiple", "fp_push",
)  # fmt: skip


# Capstone's name of the instruction: the row of the timing table, and where its results go.
#   first, two: the first operand or the first two are results, the others are operands
#   both: the first operand is a result and an operand; both_two: so are the first two
#   none: all are operands
#   list: of several registers, all are results, or all are operands
_TABLE: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("mov", "movw", "mvn", "adr", "clz", "rbit", "rev", "rev16", "revsh"), ("alu", "first")),
    **dict.fromkeys(("add", "addw", "sub", "subw", "adc", "sbc", "rsb"), ("alu", "first")),
    **dict.fromkeys(("and", "orr", "orn", "eor", "bic", "lsl", "lsr", "asr", "ror", "rrx"), ("alu", "first")),
    **dict.fromkeys(("uxtb", "uxth", "sxtb", "sxth", "uxtab", "uxtah", "sxtab", "sxtah"), ("alu", "first")),
    **dict.fromkeys(("sxtb16", "uxtb16"), ("alu", "first")),
    **dict.fromkeys(("ubfx", "sbfx", "usat", "ssat"), ("alu", "first")),
    **dict.fromkeys(("movt", "bfi", "bfc"), ("alu", "both")),
    **dict.fromkeys(("cmp", "cmn", "tst", "teq"), ("alu", "none")),
    **dict.fromkeys(("mul", "smulbb", "smulbt", "smultb", "smultt", "smulwb", "smulwt"), ("mul", "first")),
    **dict.fromkeys(("mla", "mls", "smlabb", "smlabt", "smlatb", "smlatt", "smlad"), ("mla", "first")),
    **dict.fromkeys(("umull", "smull"), ("mul_long", "two")),
    **dict.fromkeys(("umlal", "smlal", "umaal"), ("mla_long", "both_two")),
    **dict.fromkeys(("sdiv", "udiv"), ("div", "first")),
    "nop": ("nop", "none"),
    "it": ("it", "none"),
    **dict.fromkeys(("ldr", "ldrb", "ldrh", "ldrsb", "ldrsh"), ("load", "first")),
    "ldrd": ("load_double", "two"),
    **dict.fromkeys(("str", "strb", "strh"), ("store", "none")),
    "strd": ("store_double", "none"),
    **dict.fromkeys(("ldm", "ldmdb"), ("load_multiple", "list")),
    **dict.fromkeys(("stm", "stmdb"), ("store_multiple", "list")),
    "pop": ("pop", "list"),
    "push": ("push", "list"),
    "b": ("branch", "none"),
    **dict.fromkeys(("cbz", "cbnz"), ("conditional", "none")),
    "bl": ("call", "none"),
    "bx": ("return", "none"),
    **dict.fromkeys(("blx", "tbb", "tbh"), ("branch", "none")),
    **dict.fromkeys(("vadd", "vsub"), ("fp_add", "first")),
    **dict.fromkeys(("vmul", "vnmul"), ("fp_mul", "first")),
    **dict.fromkeys(("vmla", "vmls", "vnmla", "vnmls", "vfma", "vfms", "vfnma", "vfnms"), ("fp_mac", "both")),
    "vdiv": ("fp_div", "first"),
    "vsqrt": ("fp_sqrt", "first"),
    **dict.fromkeys(("vcmp", "vcmpe"), ("fp_compare", "none")),
    **dict.fromkeys(("vcvt", "vcvtr", "vcvta", "vcvtm", "vcvtn", "vcvtp"), ("fp_convert", "first")),
    **dict.fromkeys(("vrinta", "vrintm", "vrintn", "vrintp", "vrintr", "vrintx", "vrintz"), ("fp_convert", "first")),
    **dict.fromkeys(("vmov", "vabs", "vneg"), ("fp_move", "first")),
    "vmrs": ("fp_status", "first"),
    **dict.fromkeys(("vsel", "vmaxnm", "vminnm"), ("fp_select", "first")),
    "vldr": ("fp_load", "first"),
    "vstr": ("fp_store", "none"),
    **dict.fromkeys(("vldmia", "vldmdb"), ("fp_load_multiple", "list")),
    **dict.fromkeys(("vstmia", "vstmdb"), ("fp_store_multiple", "list")),
    "vpop": ("fp_pop", "list"),
    "vpush": ("fp_push", "list"),
}
_OF_DOUBLES = {"fp_load": "fp_load_double", "fp_store": "fp_store_double"}
_SMALL = {"ldrb": 1, "ldrsb": 1, "strb": 1, "ldrh": 2, "ldrsh": 2, "strh": 2}  # bytes
_CARRY_READERS = ("adc", "sbc", "rrx")
_MOVES = ("mov", "mvn", "adr", "clz", "rbit", "rev", "rev16", "revsh", "rrx", "uxtb", "uxth", "sxtb", "sxth")


def decode_function(
    code: bytes, address: int, data_ranges: Sequence[tuple[int, int]], architecture: Architecture
) -> tuple[Instruction, ...]:
    """All instructions of a function; UnsupportedError for one that is not in the table."""
    found = []
    for slot in decode_slots(Function("", (), address, code, tuple(data_ranges)), architecture):
        if isinstance(slot, Undecoded):
            raise unknown_instruction(slot, f"{slot.address:#x}")
        found.append(slot)
    return tuple(found)


@functools.lru_cache(maxsize=4096)
def decode_slots(function: Function, architecture: Architecture) -> tuple[Slot, ...]:
    """Every instruction of a function by ascending address, with those that are not in the table as Undecoded."""
    disassembler = _disassembler(architecture)
    slots: list[Slot] = []
    at = function.address
    for begin, end in (*sorted(function.data), (function.end, function.end)):
        if at < begin:
            _decode_run(disassembler, function, at, begin, architecture, slots)
        at = end
    return tuple(slots)


@functools.cache
def _disassembler(architecture: Architecture) -> capstone.Cs:
    try:
        capstone = importlib.import_module("capstone")
    except ImportError as error:
        raise ToolchainError(
            "wcet.capstone", "the Python package capstone is not installed", where="this machine",
            hint="pip install 'aprgen[wcet]'",
        ) from error  # fmt: skip
    mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS
    if architecture in ("v8-M", "v8.1-M"):
        mode |= capstone.CS_MODE_V8
    disassembler = capstone.Cs(capstone.CS_ARCH_ARM, mode)
    disassembler.detail = True
    return disassembler


def _decode_run(
    disassembler: capstone.Cs, function: Function, start: int, stop: int, architecture: Architecture, slots: list[Slot]
) -> None:
    """Decode what lies between constants. After bytes that capstone does not know, decoding starts anew."""
    at = start
    block = 0  # members of an IT block still to come
    while at < stop:
        begin = at
        raw = function.code[begin - function.address : stop - function.address]
        for found in disassembler.disasm(raw, at):
            member = block > 0
            block = max(0, block - 1)
            special = None if member else _by_hand(found.bytes, found.address, architecture)
            slots.append(special or _instruction(disassembler, found, member, function, architecture))
            at = found.address + found.size
            if found.size == 2 and found.bytes[1] == 0xBF and found.bytes[0] & 0xF:
                mask = found.bytes[0] & 0xF
                block = 4 - ((mask & -mask).bit_length() - 1)
        special = _by_hand(raw[at - begin :], at, architecture) if at < stop and block == 0 else None
        if special is not None:
            slots.append(special)
            at = special.end
        elif at < stop:
            size = min(_length(function.code, at - function.address), stop - at)
            slots.append(Undecoded(at, function.code[at - function.address :][:size].hex()))
            at += size
            block = 0


def _by_hand(code: bytes, address: int, architecture: Architecture) -> Instruction | None:
    """What capstone does not know, or takes for an instruction of a coprocessor."""
    if architecture != "v8.1-M":
        return None
    return low_overhead.decode(bytes(code), address) or helium.decode(bytes(code), address)


def _length(code: bytes, offset: int) -> int:
    """A first halfword from 0xE800 on begins an instruction of four bytes."""
    if offset + 2 > len(code):
        return len(code) - offset
    (first,) = struct.unpack_from("<H", code, offset)
    return 4 if first >= 0xE800 else 2


def _instruction(
    disassembler: capstone.Cs, found: capstone.CsInsn, member: bool, function: Function, architecture: Architecture
) -> Slot:
    text = f"{found.mnemonic} {found.op_str}".strip()
    unknown = Undecoded(found.address, text)
    name = instruction_name(disassembler, found)
    row = _TABLE.get(name)
    conditional = name != "it" and has_condition(found)
    # The two sources must agree on what is predicated; outside of IT blocks only branches have conditions.
    if row is None or (member != conditional and not (conditional and name == "b")):
        return unknown
    operands = operands_of(disassembler, found, listed=row[1] == "list")
    kind = _kind(name, row[0], operands)
    reads, writes = _accesses(name, kind, row[1], operands)
    flow, target = _flow(name, kind, operands, writes, conditional, function, architecture)
    if conditional or name in _CARRY_READERS or operands.shifts_carry:
        reads |= {"flags"}
    if found.update_flags or name in ("cmp", "cmn", "tst", "teq") or found.mnemonic == "movs":
        writes |= {"flags"}
    literal = operands.literal(found.address)
    if (
        operands.has_doubles_of(found.mnemonic)
        or (name == "vmrs" and operands.plain[0] != "apsr_nzcv")
        or (target is not None and target & 1)
        or ("pc" in operands.address and literal is None and flow == "next")
    ):
        return unknown
    return Instruction(
        address=found.address,
        size=found.size,
        text=text,
        kind=_kind_of_flow(kind, flow),
        registers=_words(kind, operands),
        reads=frozenset(reads),
        writes=frozenset(writes),
        predicated=member,
        flow=flow,
        target=target,
        literal=literal,
        addresses=frozenset(operands.address),
        stack=_stack(name, kind, operands, writes),
        immediate=operands.immediate if kind == "alu" else None,
        **_transfer(name, kind, operands),
    )


def _words(kind: str, operands: Operands) -> int:
    if operands.listed:
        return operands.words
    if kind == "fp_move_core":
        return sum(register.startswith("r") or register == "lr" for register in operands.plain)
    return 2 if kind.endswith("_double") else 1


def _transfer(name: str, kind: str, operands: Operands) -> Mapping[str, int]:
    """What it moves from or to memory."""
    stores = "store" in kind or kind.endswith("push")
    if not stores and "load" not in kind and not kind.endswith("pop"):
        return {}
    registers = len(operands.listed) or (2 if kind in ("load_double", "store_double") else 1)
    size = _SMALL.get(name, 4) * _words(kind, operands)
    return {"stores": registers, "stored_bytes": size} if stores else {"loads": registers, "loaded_bytes": size}


def _kind(name: str, kind: str, operands: Operands) -> str:
    if kind in _OF_DOUBLES and any(register.startswith("d") for register in operands.plain):
        return _OF_DOUBLES[kind]
    if name == "vmov" and any(not register.startswith(("s", "d")) for register in operands.plain):
        return "fp_move_core"
    return kind


def _kind_of_flow(kind: str, flow: Flow) -> str:
    """The row of what turned out to change the flow: a load of pc is a pop of one word, an operation on it a branch."""
    match flow:
        case "conditional":
            return "conditional"
        case "return":
            return {"load": "pop", "load_multiple": "pop", "alu": "return"}.get(kind, kind)
        case "indirect":
            return "branch" if kind in ("alu", "return") else kind
        case _:
            return kind


def _accesses(name: str, kind: str, shape: str, operands: Operands) -> tuple[set[str], set[str]]:
    """Registers read and written, a superset where one operand can be both."""
    plain = operands.plain
    if shape == "list":
        listed = set(halves(operands.listed))
        loads = kind in ("load_multiple", "pop", "fp_load_multiple", "fp_pop")
        return (set() if loads else listed) | operands.address, (listed if loads else set()) | operands.moved
    n_results = {"first": 1, "both": 1, "two": 2, "both_two": 2, "none": 0}[shape]
    if kind == "fp_move_core" and len(plain) > 2:  # two registers of the core on one side
        n_results = 1 if plain[0].startswith("d") else 2
    results, sources = plain[:n_results], plain[n_results:]
    adds_to_result = kind in ("alu", "mul") and name not in _MOVES and len(plain) + operands.has_immediate < 3
    if shape.startswith("both") or adds_to_result:  # add r0, r1 is add r0, r0, r1
        sources = (*sources, *results)
    reads = set(halves(sources)) | operands.address | operands.shifted
    writes = set(halves(results)) | operands.moved
    if name == "vmrs":
        return {"fp_flags"}, {"flags"}
    if kind == "call":
        writes.add("lr")
    if kind == "fp_compare":
        writes.add("fp_flags")
    if kind == "fp_select":
        reads.add("flags")
    return reads, writes


def _flow(
    name: str, kind: str, operands: Operands, writes: set[str], conditional: bool, function: Function,
    architecture: Architecture,
) -> tuple[Flow, int | None]:  # fmt: skip
    target = operands.immediate
    if name in ("cbz", "cbnz"):
        return "conditional", target
    if name == "b":
        return ("conditional" if conditional else "jump"), target
    if name == "bl" and target is not None:
        # ARMv6-M has no wide branch: far jumps within a function are calls that never return.
        far = architecture == "v6-M" and function.holds(target) and target != function.address
        return ("jump" if far else "call"), target
    if name == "bx":
        return "return", None  # whether the register holds the return address is for `frame` to prove
    if name in ("bl", "blx", "tbb", "tbh"):
        return "indirect", None
    if "pc" not in writes:
        return "next", None
    from_stack = kind == "pop" or (kind in ("load", "load_multiple") and "sp" in operands.moved)
    returns = from_stack or (name == "mov" and operands.plain == ("pc", "lr"))
    return ("return" if returns else "indirect"), None


def _stack(name: str, kind: str, operands: Operands, writes: set[str]) -> int | None:
    """Bytes by which sp moves down. None: no constant."""
    if "sp" not in writes:
        return 0
    if operands.listed:
        if name in ("push", "vpush", "stmdb", "vstmdb"):
            return 4 * operands.words
        return -4 * operands.words if name in ("pop", "vpop", "ldm", "vldmia") else None
    if "sp" in operands.moved:
        return None if operands.step is None else -operands.step
    if name in ("add", "addw", "sub", "subw") and set(operands.plain) == {"sp"} and operands.immediate is not None:
        return operands.immediate if name.startswith("sub") else -operands.immediate
    return None
