"""The decoder: each row of its table, what it refuses, and objdump as the second opinion on real programs."""

from __future__ import annotations

import functools
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from aprgen.errors import UnsupportedError
from aprgen.wcet.cfg import build_graphs
from aprgen.wcet.code import Code
from aprgen.wcet.decode import KINDS, decode_function, decode_slots
from aprgen.wcet.instruction import Instruction, Undecoded
from tests.wcet import linked as programs
from tests.wcet.assembled import linked

# What stands in the assembler text: its kind, registers moved, what it reads and writes, and how far it moves sp down.
GOLDEN = {
    "movs r0, #1": ("alu", 1, "", "flags r0", 0),
    "mov r0, r1": ("alu", 1, "r1", "r0", 0),
    "mov r8, r1": ("alu", 1, "r1", "r8", 0),
    "mvns r0, r1": ("alu", 1, "r1", "flags r0", 0),
    "adds r0, r1, r2": ("alu", 1, "r1 r2", "flags r0", 0),
    "adds r0, #200": ("alu", 1, "r0", "flags r0", 0),
    "add r0, r8": ("alu", 1, "r0 r8", "r0", 0),
    "adcs r0, r1": ("alu", 1, "flags r0 r1", "flags r0", 0),
    "sbcs r0, r1": ("alu", 1, "flags r0 r1", "flags r0", 0),
    "rsbs r0, r1, #0": ("alu", 1, "r1", "flags r0", 0),
    "lsls r0, r1, #3": ("alu", 1, "r1", "flags r0", 0),
    "lsrs r0, r1": ("alu", 1, "r0 r1", "flags r0", 0),
    "uxtb r0, r1": ("alu", 1, "r1", "r0", 0),
    "cmp r0, r1": ("alu", 1, "r0 r1", "flags", 0),
    "tst r0, r1": ("alu", 1, "r0 r1", "flags", 0),
    "muls r0, r1, r0": ("mul", 1, "r0 r1", "flags r0", 0),
    "ldr r0, [r1, #4]": ("load", 1, "r1", "r0", 0),
    "ldr r0, [r1, r2]": ("load", 1, "r1 r2", "r0", 0),
    "ldrb r0, [r1]": ("load", 1, "r1", "r0", 0),
    "ldrsh r0, [r1, r2]": ("load", 1, "r1 r2", "r0", 0),
    "str r0, [sp, #4]": ("store", 1, "r0 sp", "", 0),
    "strh r0, [r1]": ("store", 1, "r0 r1", "", 0),
    "ldm r0!, {r1, r2}": ("load_multiple", 2, "r0", "r0 r1 r2", 0),
    "stm r0!, {r1, r2, r3}": ("store_multiple", 3, "r0 r1 r2 r3", "r0", 0),
    "push {r4, r5, lr}": ("push", 3, "lr r4 r5 sp", "sp", 12),
    "pop {r4, r5}": ("pop", 2, "sp", "r4 r5 sp", -8),
    "sub sp, #16": ("alu", 1, "sp", "sp", 16),
    "add sp, #16": ("alu", 1, "sp", "sp", -16),
    "add r7, sp, #16": ("alu", 1, "sp", "r7", 0),
    "mov sp, r7": ("alu", 1, "r7", "sp", None),
}
WIDE = {
    "nop": ("nop", 1, "", "", 0),
    "movw r0, #1000": ("alu", 1, "", "r0", 0),
    "movt r0, #1000": ("alu", 1, "r0", "r0", 0),
    "add.w r0, r1, r2, lsl #3": ("alu", 1, "r1 r2", "r0", 0),
    "movs.w r0, r1, rrx": ("alu", 1, "flags r1", "flags r0", 0),
    "orn r0, r1, #3": ("alu", 1, "r1", "r0", 0),
    "teq r0, r1": ("alu", 1, "r0 r1", "flags", 0),
    "clz r0, r1": ("alu", 1, "r1", "r0", 0),
    "ubfx r0, r1, #3, #4": ("alu", 1, "r1", "r0", 0),
    "bfi r0, r1, #3, #4": ("alu", 1, "r0 r1", "r0", 0),
    "mul r0, r1, r2": ("mul", 1, "r1 r2", "r0", 0),
    "mla r0, r1, r2, r3": ("mla", 1, "r1 r2 r3", "r0", 0),
    "mls r0, r1, r2, r3": ("mla", 1, "r1 r2 r3", "r0", 0),
    "umull r0, r1, r2, r3": ("mul_long", 1, "r2 r3", "r0 r1", 0),
    "smlal r0, r1, r2, r3": ("mla_long", 1, "r0 r1 r2 r3", "r0 r1", 0),
    "udiv r0, r1, r2": ("div", 1, "r1 r2", "r0", 0),
    "ldr r0, [r1], #4": ("load", 1, "r1", "r0 r1", 0),
    "ldr lr, [sp], #8": ("load", 1, "sp", "lr sp", -8),
    "str lr, [sp, #-8]!": ("store", 1, "lr sp", "sp", 8),
    "ldrd r0, r1, [r2, #8]": ("load_double", 2, "r2", "r0 r1", 0),
    "strd r0, r1, [sp, #-16]!": ("store_double", 2, "r0 r1 sp", "sp", 16),
    "ldmdb r0!, {r1, r2}": ("load_multiple", 2, "r0", "r0 r1 r2", 0),
    "stmdb sp!, {r4, r8, lr}": ("push", 3, "lr r4 r8 sp", "sp", 12),
    "push.w {r4, r9}": ("push", 2, "r4 r9 sp", "sp", 8),
    "subw sp, sp, #1000": ("alu", 1, "sp", "sp", 1000),
}
FLOAT = {
    "vadd.f32 s0, s1, s2": ("fp_add", 1, "s1 s2", "s0", 0),
    "vmul.f32 s0, s1, s2": ("fp_mul", 1, "s1 s2", "s0", 0),
    "vfma.f32 s0, s1, s2": ("fp_mac", 1, "s0 s1 s2", "s0", 0),
    "vmla.f32 s0, s1, s2": ("fp_mac", 1, "s0 s1 s2", "s0", 0),
    "vdiv.f32 s0, s1, s2": ("fp_div", 1, "s1 s2", "s0", 0),
    "vsqrt.f32 s0, s1": ("fp_sqrt", 1, "s1", "s0", 0),
    "vcmpe.f32 s0, #0.0": ("fp_compare", 1, "s0", "fp_flags", 0),
    "vmrs apsr_nzcv, fpscr": ("fp_status", 1, "fp_flags", "flags", 0),
    "vcvt.s32.f32 s0, s1": ("fp_convert", 1, "s1", "s0", 0),
    "vmov.f32 s0, s1": ("fp_move", 1, "s1", "s0", 0),
    "vmov.f32 s0, #1.0": ("fp_move", 1, "", "s0", 0),
    "vneg.f32 s0, s1": ("fp_move", 1, "s1", "s0", 0),
    "vmov r0, s0": ("fp_move_core", 1, "s0", "r0", 0),
    "vmov s0, r0": ("fp_move_core", 1, "r0", "s0", 0),
    "vmov r0, r1, d1": ("fp_move_core", 2, "s2 s3", "r0 r1", 0),
    "vldr s0, [r1]": ("fp_load", 1, "r1", "s0", 0),
    "vldr d1, [r1]": ("fp_load_double", 2, "r1", "s2 s3", 0),
    "vstr s0, [sp, #4]": ("fp_store", 1, "s0 sp", "", 0),
    "vldmia r0!, {s1, s2}": ("fp_load_multiple", 2, "r0", "r0 s1 s2", 0),
    "vstmdb r0!, {s1}": ("fp_store_multiple", 1, "r0 s1", "r0", 0),
    "vpush {d8, d9}": ("fp_push", 4, "s16 s17 s18 s19 sp", "sp", 16),
    "vpop {s16}": ("fp_pop", 1, "sp", "s16 sp", -4),
}
CASES = [
    *((text, architecture) for text in GOLDEN for architecture in ("v6-M", "v7-M", "v7E-M", "v8-M")),
    *((text, architecture) for text in WIDE for architecture in ("v7-M", "v7E-M", "v8-M")),
    *((text, architecture) for text in FLOAT for architecture in ("v7E-M", "v8-M")),
    ("vseleq.f32 s0, s1, s2", "v8-M"),
]
SELECT = {"vseleq.f32 s0, s1, s2": ("fp_select", 1, "flags s1 s2", "s0", 0)}


def test_golden(tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """Every kind of instruction has its row, the registers it reads and writes, and its effect on sp."""
    require_tool("arm-none-eabi-as")
    expected = GOLDEN | WIDE | FLOAT | SELECT
    for architecture in ("v6-M", "v7-M", "v7E-M", "v8-M"):
        texts = [text for text, one in CASES if one == architecture]
        code = linked("function f\n" + "\n".join(texts), tmp_path, architecture)
        found = instructions(code, "f")[: len(texts)]  # behind them the linker fills up to whole words
        assert {text: expected[text] for text in texts} == {
            text: (i.kind, i.registers, " ".join(sorted(i.reads)), " ".join(sorted(i.writes)), i.stack)
            for text, i in zip(texts, found, strict=True)
        }
        assert all((i.flow, i.predicated, i.target) == ("next", False, None) for i in found)


# Registers loaded and stored, and the bytes of each.
TRANSFERS = {
    "movs r0, #1": (0, 0, 0, 0),
    "ldr r0, [r1, #4]": (1, 4, 0, 0),
    "ldrb r0, [r1]": (1, 1, 0, 0),
    "ldrsh r0, [r1, r2]": (1, 2, 0, 0),
    "strh r0, [r1]": (0, 0, 1, 2),
    "ldm r0!, {r1, r2}": (2, 8, 0, 0),
    "push {r4, r5, lr}": (0, 0, 3, 12),
    "strd r0, r1, [sp, #-16]!": (0, 0, 2, 8),
    "vldr d1, [r1]": (1, 8, 0, 0),
    "vstr s0, [sp, #4]": (0, 0, 1, 4),
    "vldmia r0!, {s1, s2}": (2, 8, 0, 0),
    "vpush {d8, d9}": (0, 0, 2, 16),
    "vmov r0, s0": (0, 0, 0, 0),
    "it hs\nldrhs r0, [r1]": (1, 4, 0, 0),
    "pop {r4, pc}": (2, 8, 0, 0),
}


@pytest.mark.parametrize("text", TRANSFERS)
def test_transfers(text: str, tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """Each register moved from or to memory is one access of its width."""
    require_tool("arm-none-eabi-as")
    code = linked(f"function f\n{text}\nnop", tmp_path, "v7E-M")
    found = instructions(code, "f")[text.count("\n")]

    assert TRANSFERS[text] == (found.loads, found.loaded_bytes, found.stores, found.stored_bytes)


def instructions(code: Code, name: str) -> tuple[Instruction, ...]:
    function = code.function(name)
    return decode_function(function.code, function.address, function.data, code.architecture)


@pytest.mark.parametrize(
    ("text", "kind", "flow", "predicated"),
    [
        ("b f", "branch", "jump", False),
        ("beq f", "conditional", "conditional", False),
        ("cbz r0, 1f\nnop\n1: nop", "conditional", "conditional", False),
        ("bl g", "call", "call", False),
        ("bx lr", "return", "return", False),
        ("bx r3", "return", "return", False),
        ("pop {r4, pc}", "pop", "return", False),
        ("ldr pc, [sp], #4", "pop", "return", False),
        ("ldmia sp!, {r4, r5, pc}", "pop", "return", False),
        ("mov pc, lr", "return", "return", False),
        ("mov pc, r3", "branch", "indirect", False),
        ("blx r3", "branch", "indirect", False),
        ("ldr pc, [r0]", "load", "indirect", False),
        ("ldr pc, [sp, #8]", "load", "indirect", False),
        ("tbb [pc, r0]", "branch", "indirect", False),
        ("tbh [pc, r0, lsl #1]", "branch", "indirect", False),
        ("it eq", "it", "next", False),
    ],
)
def test_flow(
    text: str, kind: str, flow: str, predicated: bool, tmp_path: Path, require_tool: Callable[[str], None]
) -> None:
    """What an instruction does to the flow, and its row in the timing table."""
    require_tool("arm-none-eabi-as")
    after = "moveq r0, r1" if text == "it eq" else ""
    first = instructions(linked(f"function g\nbx lr\nfunction f\n{text}\n{after}\nnop", tmp_path), "f")[0]

    assert (kind, flow, predicated) == (first.kind, first.flow, first.predicated)


def test_members_of_an_it_block(tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """The members may do nothing, and only they; a return among them is a way out or on."""
    require_tool("arm-none-eabi-as")
    text = "function f\nittee gt\nmovgt r0, r1\naddgt r0, #1\nmovle r0, r2\nbxle lr\nmovs r0, #1\nbx lr"
    found = instructions(linked(text, tmp_path), "f")

    assert [False, True, True, True, True, False, False] == [i.predicated for i in found[:7]]
    assert all("flags" in i.reads for i in found[1:5])
    assert ("return", "return") == (found[4].kind, found[4].flow)


def test_far_jump_of_v6m(tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """On ARMv6-M, bl into the middle of its own function is a jump; elsewhere, and to an entry, it is a call."""
    require_tool("arm-none-eabi-as")
    text = "function f\npush {lr}\nbl 1f\nnop\n1: bl f\nbl g\npop {pc}\nfunction g\nbx lr"
    old = [i for i in instructions(linked(text, tmp_path, "v6-M"), "f") if i.kind == "call"]
    new = [i for i in instructions(linked(text, tmp_path, "v7-M"), "f") if i.kind == "call"]

    assert ["jump", "call", "call"] == [i.flow for i in old]
    assert ["call", "call", "call"] == [i.flow for i in new]
    assert {"lr"} == set(old[0].writes)
    assert [0x8008, 0x8000, 0x8014] == [i.target for i in old]


def test_constants_are_not_decoded(tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """A literal pool is data, a load from it knows its address, and code goes on behind it."""
    require_tool("arm-none-eabi-as")
    text = "function f\nldr r0, 1f\nb 2f\n.balign 4\n1: .word 0xffffffff, 0x12345678\n2: bx lr"
    code = linked(text, tmp_path)
    found = instructions(code, "f")

    assert [0x8000, 0x8002, 0x800C] == [i.address for i in found[:3]]
    assert (0x8004, 0x800C) == (found[0].literal, found[1].target)
    assert (((0x8004, 0x800C)),) == code.function("f").data
    assert b"\xff\xff\xff\xff" == code.constant(0x8004, 4)


@pytest.mark.parametrize(
    "text",
    ["dmb", "svc #1", "wfi", "udf #0", "cpsid i", "ldrex r0, [r1]", "mrs r0, primask", "vmrs r0, fpscr", "sev"],
)
def test_an_unknown_instruction_is_refused(text: str, tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """What is not in the table has no time: it is refused by name, not guessed."""
    require_tool("arm-none-eabi-as")
    code = linked(f"function f\n{text}\nbx lr", tmp_path)
    with pytest.raises(UnsupportedError) as caught:
        instructions(code, "f")

    assert "wcet.instruction" == caught.value.code
    assert text.split()[0] in caught.value.what


@pytest.mark.parametrize(
    ("word", "name"),
    [("0xee300b00", "vadd.f64"), ("0xee200b00", "vmul.f64"), ("0xee800b00", "vdiv.f64"), ("0xeeb10bc0", "vsqrt.f64")],
)
def test_double_precision_is_refused(
    word: str, name: str, tmp_path: Path, require_tool: Callable[[str], None]
) -> None:  # fmt: skip
    """The cores compute with singles; what an FPU for doubles would take is in no table."""
    require_tool("arm-none-eabi-as")
    code = linked(f"function f\n.inst.w {word}\nbx lr", tmp_path)
    first = decode_slots(code.function("f"), code.architecture)[0]

    assert isinstance(first, Undecoded)
    assert name in first.text


def test_bytes_that_are_no_instruction(tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """Bytes that capstone does not know become one Undecoded of their length, and decoding goes on behind them."""
    require_tool("arm-none-eabi-as")
    code = linked("function f\n.inst.w 0xffffffff\nbx lr", tmp_path)
    slots = decode_slots(code.function("f"), code.architecture)

    assert isinstance(slots[0], Undecoded)
    assert [0x8000, 0x8004] == [slot.address for slot in slots[:2]]


@functools.cache
def objdump(name: str, core: str) -> dict[int, tuple[int, str, str]]:
    """Per address of the program: length, instruction and operands, as objdump has them."""
    program = programs.built(name, core).image.program
    words = ["arm-none-eabi-objdump", "-d", "-w", str(program)]
    text = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
    found = {}
    for line in text.splitlines():
        match = re.match(r"\s*([0-9a-f]+):\t([0-9a-f ]+?)\s*\t(\S+)\s*(.*)", line)
        if match:
            size = len(match[2].replace(" ", "")) // 2
            found[int(match[1], 16)] = (size, match[3], match[4])
    return found


@pytest.mark.parametrize(("name", "core"), programs.PROGRAMS)
def test_objdump_agrees(
    name: str, core: str, require_target: Callable[[str], None], require_tool: Callable[[str], None]
) -> None:
    """A second decoder finds the same lengths, branch targets and literals in all that can be reached."""
    require_tool("arm-none-eabi-objdump")
    require_target(core)
    second = objdump(name, core)
    graphs = build_graphs(programs.code(name, core), programs.roots(name, core))
    all_of = [i for graph in graphs.values() for block in graph.blocks.values() for i in block.instructions]

    assert all_of
    assert {i.kind for i in all_of} <= set(KINDS)
    for found in all_of:
        size, spelled, operands = second[found.address]
        assert found.size == size, found
        branches = re.match(r"(?!bic|bfi|bfc)(b|cb)", spelled) is not None
        assert branches == (found.kind in ("branch", "conditional", "call", "return") and "pc" not in found.writes)
        target = re.search(r"\b([0-9a-f]+) <", operands.split("@")[0])
        assert (int(target[1], 16) if target else None) == found.target, found
        literal = re.search(r"@ \(?([0-9a-f]+) <", operands) if "load" in found.kind else None
        assert (int(literal[1], 16) if literal else None) == found.literal, found
