"""AArch64: what each instruction moves, what is refused, and the stack of functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aprgen.errors import UnsupportedError
from aprgen.wcet.cfg import build_graphs
from aprgen.wcet.instruction import Instruction, Undecoded
from aprgen.wcet.isa import decode_slots
from aprgen.wcet.stack import stack_bound
from tests.wcet.assembled import linked

# What stands in the assembler text: loads and their bytes, stores and theirs, what it reads and writes, and how far it
# moves sp down.
GOLDEN = {
    "mov x0, x1": (0, 0, 0, 0, "x1", "x0", 0),
    "mov w0, #0x1230": (0, 0, 0, 0, "", "x0", 0),
    "movk w0, #3, lsl #16": (0, 0, 0, 0, "x0", "x0", 0),
    "add w0, w1, w2, lsl #2": (0, 0, 0, 0, "x1 x2", "x0", 0),
    "subs x0, x0, #1": (0, 0, 0, 0, "x0", "flags x0", 0),
    "cmp w0, w1": (0, 0, 0, 0, "x0 x1", "flags", 0),
    "ccmp w0, #1, #4, ne": (0, 0, 0, 0, "flags x0", "flags", 0),
    "csel w0, w1, wzr, ne": (0, 0, 0, 0, "flags x1", "x0", 0),
    "cset w0, ne": (0, 0, 0, 0, "flags", "x0", 0),
    "bfi w0, w1, #3, #4": (0, 0, 0, 0, "x0 x1", "x0", 0),
    "madd w0, w1, w2, w3": (0, 0, 0, 0, "x1 x2 x3", "x0", 0),
    "adrp x0, f": (0, 0, 0, 0, "", "x0", 0),
    "ldr w0, [x1, x2, lsl #2]": (1, 4, 0, 0, "x1 x2", "x0", 0),
    "ldr x0, [x1], #8": (1, 8, 0, 0, "x1", "x0 x1", 0),
    "ldrb w0, [x1, w2, uxtw]": (1, 1, 0, 0, "x1 x2", "x0", 0),
    "ldrsh w0, [x1]": (1, 2, 0, 0, "x1", "x0", 0),
    "ldrsw x0, [x1, #4]!": (1, 4, 0, 0, "x1", "x0 x1", 0),
    "ldur w0, [x1, #-3]": (1, 4, 0, 0, "x1", "x0", 0),
    "ldp x0, x1, [x2]": (2, 16, 0, 0, "x2", "x0 x1", 0),
    "ldpsw x0, x1, [x2]": (2, 8, 0, 0, "x2", "x0 x1", 0),
    "ldp s0, s1, [x2]": (2, 8, 0, 0, "x2", "v0 v1", 0),
    "ldr q0, [x1]": (1, 16, 0, 0, "x1", "v0", 0),
    "ldr h0, [x1]": (1, 2, 0, 0, "x1", "v0", 0),
    "str wzr, [sp, #4]": (0, 0, 1, 4, "sp", "", 0),
    "strb w0, [x1]": (0, 0, 1, 1, "x0 x1", "", 0),
    "stp q0, q1, [sp, #32]": (0, 0, 2, 32, "sp v0 v1", "", 0),
    "stp x29, x30, [sp, #-48]!": (0, 0, 2, 16, "sp x29 x30", "sp", 48),
    "ldp x29, x30, [sp], #48": (2, 16, 0, 0, "sp", "sp x29 x30", -48),
    "ld1 {v0.4s, v1.4s}, [x0], #32": (2, 32, 0, 0, "v0 v1 x0", "v0 v1 x0", 0),
    "ld1 {v0.s}[1], [x0]": (1, 4, 0, 0, "v0 x0", "v0", 0),
    "ld1r {v0.4s}, [x0]": (1, 4, 0, 0, "v0 x0", "v0", 0),
    "ld1r {v0.8h}, [x0]": (1, 2, 0, 0, "v0 x0", "v0", 0),
    "st1 {v0.16b}, [x0]": (0, 0, 1, 16, "v0 x0", "", 0),
    "ld4 {v0.4s, v1.4s, v2.4s, v3.4s}, [x0]": (4, 64, 0, 0, "v0 v1 v2 v3 x0", "v0 v1 v2 v3", 0),
    "sub sp, sp, #16": (0, 0, 0, 0, "sp", "sp", 16),
    "sub sp, sp, #1, lsl #12": (0, 0, 0, 0, "sp", "sp", 4096),
    "add sp, sp, #16": (0, 0, 0, 0, "sp", "sp", -16),
    "mov sp, x29": (0, 0, 0, 0, "x29", "sp", None),
    "fmov s0, w0": (0, 0, 0, 0, "x0", "v0", 0),
    "fcmpe s0, #0.0": (0, 0, 0, 0, "v0", "flags", 0),
    "fcsel s0, s1, s2, gt": (0, 0, 0, 0, "flags v1 v2", "v0", 0),
    "fmadd s0, s1, s2, s3": (0, 0, 0, 0, "v1 v2 v3", "v0", 0),
    "fmla v0.4s, v1.4s, v2.s[0]": (0, 0, 0, 0, "v0 v1 v2", "v0", 0),
    "sdot v0.4s, v1.16b, v2.16b": (0, 0, 0, 0, "v0 v1 v2", "v0", 0),
    "mov v0.s[1], w0": (0, 0, 0, 0, "v0 x0", "v0", 0),
    "movi v0.4s, #0": (0, 0, 0, 0, "", "v0", 0),
    "nop": (0, 0, 0, 0, "", "", 0),
}
REFUSED = (
    "svc #0", "brk #1", "ldxr w0, [x1]", "stlxr w0, w1, [x2]", "casal w0, w1, [x2]", "dmb ish", "mrs x0, fpcr",
    "msr fpcr, x0", "wfi", "prfm pldl1keep, [x0]", "hlt #0", "udf #0", "ldar w0, [x1]", "dc zva, x0",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _needs(require_tool: Callable[[str], None]) -> None:
    require_tool("capstone")
    require_tool("aarch64-linux-gnu-as")


def one(text: str, folder: Path) -> Instruction | Undecoded:
    code = linked(f"function f\n{text}\nret", folder, "AArch64")
    return decode_slots(code.function("f"), "AArch64")[0]


@pytest.mark.parametrize("text", GOLDEN)
def test_row(text: str, tmp_path: Path) -> None:
    """An instruction moves these registers and bytes, reads and writes these registers, and moves sp so far."""
    found = one(text, tmp_path)
    assert isinstance(found, Instruction)
    *moved, reads, writes, stack = GOLDEN[text]

    assert moved == [found.loads, found.loaded_bytes, found.stores, found.stored_bytes]
    assert reads == " ".join(sorted(found.reads))
    assert writes == " ".join(sorted(found.writes))
    assert stack == found.stack
    assert "next" == found.flow


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str, tmp_path: Path) -> None:
    """What enters the kernel, synchronises, or is otherwise not in the table is no instruction."""
    assert isinstance(one(text, tmp_path), Undecoded)


@pytest.mark.parametrize(
    ("text", "flow"),
    [
        ("b g", "jump"),
        ("b.ne g", "conditional"),
        ("cbz w0, g", "conditional"),
        ("tbnz x0, #33, g", "conditional"),
        ("bl g", "call"),
        ("ret", "return"),
        ("ret x5", "return"),
        ("br x0", "indirect"),
        ("blr x0", "indirect"),
    ],
)
def test_flow(text: str, flow: str, tmp_path: Path) -> None:
    """Jumps lead to their label, and what a register decides is indirect."""
    code = linked(f"function f\n{text}\nret\nfunction g\nret", tmp_path, "AArch64")
    found = decode_slots(code.function("f"), "AArch64")[0]
    assert isinstance(found, Instruction)

    assert flow == found.flow
    assert (code.function("g").address if text.endswith(" g") else None) == found.target


def test_constants_between_functions_are_no_code(tmp_path: Path) -> None:
    """A literal is loaded from its place, and decoding goes on behind it."""
    code = linked("function f\nldr w0, =0x12345678\nret\n.ltorg\nfunction g\nret", tmp_path, "AArch64")
    slots = decode_slots(code.function("f"), "AArch64")
    load = slots[0]
    assert isinstance(load, Instruction)
    assert load.literal is not None

    assert b"\x78\x56\x34\x12" == code.constant(load.literal, 4)
    assert ["ldr w0, #0x8008", "ret"] == [slot.text for slot in slots]


def stack_of(text: str, folder: Path) -> int:
    return stack_bound(build_graphs(linked(text, folder, "AArch64"), ["f"]), "f").total_bytes


FRAME = "stp x29, x30, [sp, #-32]!\nmov x29, sp"
CALLEE = "function g\nsub sp, sp, #16\nadd sp, sp, #16\nret"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("function f\nret", 0),
        (f"function f\n{FRAME}\nbl g\nldp x29, x30, [sp], #32\nret\n{CALLEE}", 48),
        (f"function f\nsub sp, sp, #48\nstr x30, [sp]\nbl g\nldr x30, [sp]\nadd sp, sp, #48\nret\n{CALLEE}", 64),
        (f"function f\n{FRAME}\nsub sp, sp, #64\nmov sp, x29\nldp x29, x30, [sp], #32\nret", 96),
        (f"function f\n{FRAME}\nsub sp, sp, #64\nsub sp, x29, #0\nldp x29, x30, [sp], #32\nret", 96),
        ("function f\nmov x16, #0x1230\nmovk x16, #1, lsl #16\nsub sp, sp, x16\nadd sp, sp, x16\nret", 0x11230),
        ("function f\nmov x6, x30\nmov x30, #3\nmov x30, x6\nret", 0),
        ("function f\nmov x6, x30\nmov x30, #3\nret x6", 0),
    ],
)  # fmt: skip
def test_stack(text: str, expected: int, tmp_path: Path) -> None:
    """Frames by number, by constants in registers and by the frame pointer, with the return address followed."""
    assert expected == stack_of(text, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "function f\nsub sp, sp, #16\nret",
        "function f\nsub sp, sp, x0\nadd sp, sp, x0\nret",
        "function f\nmov sp, x0\nret",
        "function f\nmov x30, #3\nret",
        "function f\nbl g\nret\nfunction g\nret",
        "function f\nstp x29, x30, [sp, #-32]!\nldp x30, x29, [sp], #32\nret",
        "function f\nstp x29, x30, [sp, #-32]!\nstr x0, [sp, #8]\nbl g\nldp x29, x30, [sp], #32\nret\nfunction g\nret",
        "function f\ncbz w0, x\nsub sp, sp, #16\nx: ret",
        "function f\nadd sp, sp, #16\nsub sp, sp, #16\nret",
        "function f\nmov x6, x30\nbl g\nret x6\nfunction g\nret",
    ],
)
def test_stack_refused(text: str, tmp_path: Path) -> None:
    """A stack pointer that is no constant, and a return that may go elsewhere, are refused."""
    with pytest.raises(UnsupportedError) as caught:
        stack_of(text, tmp_path)

    assert "wcet.stack" == caught.value.code
