"""x86-64: what each instruction moves, what is refused, and the stack of functions."""

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

# What stands in the assembler text: bytes loaded and stored, what it reads and writes, and how far it moves rsp down.
GOLDEN = {
    "mov eax, edx": (0, 0, "rdx", "rax", 0),
    "mov eax, dword ptr [rdi + rcx*4 + 8]": (4, 0, "rcx rdi", "rax", 0),
    "mov word ptr [rsp - 2], ax": (0, 2, "rax rsp", "", 0),
    "movabs rax, 0x1122334455667788": (0, 0, "", "rax", 0),
    "movzx eax, byte ptr [rdi]": (1, 0, "rdi", "rax", 0),
    "movsxd rax, dword ptr [rdi]": (4, 0, "rdi", "rax", 0),
    "lea rax, [rsp - 72]": (0, 0, "rsp", "rax", 0),
    "add eax, 4": (0, 0, "rax", "flags rax", 0),
    "add dword ptr [rdi], eax": (4, 4, "rax rdi", "flags", 0),
    "sbb eax, eax": (0, 0, "flags rax", "flags rax", 0),
    "cmp dword ptr [rdi], 3": (4, 0, "rdi", "flags", 0),
    "test al, al": (0, 0, "rax", "flags", 0),
    "imul eax, edx, 12": (0, 0, "rdx", "flags rax", 0),
    "imul eax, dword ptr [rdi]": (4, 0, "rax rdi", "flags rax", 0),
    "mul rcx": (0, 0, "rax rcx rdx", "flags rax rdx", 0),
    "cdqe": (0, 0, "rax rdx", "rax rdx", 0),
    "shl eax, cl": (0, 0, "rax rcx", "flags rax", 0),
    "bsr eax, edx": (0, 0, "rax rdx", "flags rax", 0),
    "sete al": (0, 0, "flags", "rax", 0),
    "cmovl eax, dword ptr [rdi]": (4, 0, "flags rax rdi", "rax", 0),
    "push rbx": (0, 8, "rbx rsp", "rsp", 8),
    "push 3": (0, 8, "rsp", "rsp", 8),
    "pop r12": (8, 0, "rsp", "r12 rsp", -8),
    "leave": (8, 0, "rbp rsp", "rbp rsp", None),
    "sub rsp, 24": (0, 0, "rsp", "flags rsp", 24),
    "add rsp, -128": (0, 0, "rsp", "flags rsp", 128),
    "lea rsp, [rsp + 16]": (0, 0, "rsp", "rsp", -16),
    "mov rsp, rbp": (0, 0, "rbp", "rsp", None),
    "movss xmm0, dword ptr [rdi]": (4, 0, "rdi zmm0", "zmm0", 0),
    "movss dword ptr [rdi], xmm0": (0, 4, "rdi zmm0", "", 0),
    "movsd xmm0, qword ptr [rdi]": (8, 0, "rdi zmm0", "zmm0", 0),
    "movlps qword ptr [rdi], xmm0": (0, 8, "rdi zmm0", "", 0),
    "addss xmm0, dword ptr [rip + 0x100]": (4, 0, "rip zmm0", "zmm0", 0),
    "ucomiss xmm0, xmm1": (0, 0, "zmm0 zmm1", "flags", 0),
    "cvtsi2ss xmm0, eax": (0, 0, "rax zmm0", "zmm0", 0),
    "movups xmmword ptr [rdi], xmm0": (0, 16, "rdi zmm0", "", 0),
    "vaddps ymm0, ymm1, ymmword ptr [rdi]": (32, 0, "rdi zmm0 zmm1", "zmm0", 0),
    "vfmadd231ps zmm0, zmm1, zmmword ptr [rdi]": (64, 0, "rdi zmm0 zmm1", "zmm0", 0),
    "vmaskmovps ymm0, ymm1, ymmword ptr [rdi]": (32, 0, "rdi zmm0 zmm1", "zmm0", 0),
    "vmaskmovps ymmword ptr [rdi], ymm1, ymm0": (0, 32, "rdi zmm0 zmm1", "", 0),
    "vpdpbusd zmm0, zmm1, zmmword ptr [rdi]": (64, 0, "rdi zmm0 zmm1", "zmm0", 0),
    "vdpbf16ps zmm0, zmm11, zmm1": (0, 0, "zmm0 zmm1 zmm11", "zmm0", 0),
    "vdpbf16ps zmm17, zmm1, zmmword ptr [rdi + r9*4 + 0x280]": (64, 0, "r9 rdi zmm1 zmm17", "zmm17", 0),
    "vdpbf16ps zmm0, zmm1, dword ptr [rip + 0x100]{1to16}": (4, 0, "rip zmm0 zmm1", "zmm0", 0),
    "vcvtneps2bf16 ymm0, zmm1": (0, 0, "zmm0 zmm1", "zmm0", 0),
    "vcvtneps2bf16 ymm0{k1}, zmmword ptr [r12 + 0x40]": (64, 0, "k1 r12 zmm0", "zmm0", 0),
    "vcvtneps2bf16 ymm0, dword ptr [rdi + 4]{1to16}": (4, 0, "rdi zmm0", "zmm0", 0),
    "vmovups zmmword ptr [rdi]{k1}, zmm0": (0, 64, "k1 rdi zmm0", "", 0),
    "vbroadcastss zmm0, dword ptr [rdi]": (4, 0, "rdi zmm0", "zmm0", 0),
    "vcmpltss xmm0, xmm1, xmm2": (0, 0, "zmm0 zmm1 zmm2", "zmm0", 0),
    "kortestw k0, k1": (0, 0, "k0 k1", "flags", 0),
    "vzeroupper": (0, 0, "", "", 0),
    "nop word ptr [rax + rax]": (0, 0, "rax", "", 0),
    "xchg ax, ax": (0, 0, "", "", 0),
    "endbr64": (0, 0, "", "", 0),
}
REFUSED = (
    "rep movsb", "rep stosd", "movsd", "cmpsd", "lock add dword ptr [rdi], 1", "xchg dword ptr [rdi], eax",
    "mov rax, fs:[0x28]", "syscall", "cpuid", "int3", "ud2", "push word ptr [rdi]", "push qword ptr [rdi]", "push ax",
    "fld dword ptr [rdi]", "vgatherdps ymm0, [rdi + ymm1*4], ymm2", "loop .", "jrcxz .", "rdtsc", "std", "hlt",
    "vcvtne2ps2bf16 zmm0, zmm1, zmm2", ".byte 0x62, 0xf2, 0xee, 0x48, 0x52, 0xc1",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _needs(require_tool: Callable[[str], None]) -> None:
    require_tool("capstone")
    require_tool("as")
    require_tool("gcc")


def one(text: str, folder: Path) -> Instruction | Undecoded:
    code = linked(f"function f\n{text}\nret", folder, "x86-64")
    return decode_slots(code.function("f"), "x86-64")[0]


@pytest.mark.parametrize("text", GOLDEN)
def test_row(text: str, tmp_path: Path) -> None:
    """An instruction moves these bytes, reads and writes these registers, and moves rsp so far."""
    found = one(text, tmp_path)
    assert isinstance(found, Instruction)
    loaded, stored, reads, writes, stack = GOLDEN[text]

    assert (loaded, stored) == (found.loaded_bytes, found.stored_bytes)
    assert (loaded > 0, stored > 0) == (found.loads > 0, found.stores > 0)
    assert reads == " ".join(sorted(found.reads))
    assert writes == " ".join(sorted(found.writes))
    assert stack == found.stack
    assert "next" == found.flow


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str, tmp_path: Path) -> None:
    """What repeats, locks, enters the kernel, or is otherwise not in the table is no instruction."""
    assert isinstance(one(text, tmp_path), Undecoded)


@pytest.mark.parametrize(
    ("text", "flow", "moved"),
    [
        ("jmp g", "jump", (0, 0)),
        ("jne g", "conditional", (0, 0)),
        ("jp g", "conditional", (0, 0)),
        ("call g", "call", (0, 8)),
        ("ret", "return", (8, 0)),
        ("ret 8", "indirect", (8, 0)),
        ("jmp rax", "indirect", (0, 0)),
        ("call qword ptr [rax]", "indirect", (8, 8)),
    ],
)
def test_flow(text: str, flow: str, moved: tuple[int, int], tmp_path: Path) -> None:
    """Jumps lead to their label, and what a register, memory or a count of bytes decides is indirect."""
    code = linked(f"function f\n{text}\nret\nfunction g\nret", tmp_path, "x86-64")
    found = decode_slots(code.function("f"), "x86-64")[0]
    assert isinstance(found, Instruction)

    assert flow == found.flow
    assert (code.function("g").address if text.endswith(" g") else None) == found.target
    assert moved == (found.loaded_bytes, found.stored_bytes)


def stack_of(text: str, folder: Path) -> int:
    return stack_bound(build_graphs(linked(text, folder, "x86-64"), ["f"]), "f").total_bytes


LEAF = "function g\nmov dword ptr [rsp - 20], eax\nret"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("function f\nret", 0),
        ("function f\npush rbx\nsub rsp, 24\nadd rsp, 24\npop rbx\nret", 32),
        (f"function f\npush rbx\ncall g\npop rbx\nret\n{LEAF}", 8 + 8 + 20),
        (f"function f\npush rbx\npop rbx\njmp g\n{LEAF}", 20),
        ("function f\npush rbp\nmov rbp, rsp\nsub rsp, 64\nmov dword ptr [rbp - 100], eax\nleave\nret", 108),
        ("function f\npush rbp\nmov rbp, rsp\npush rbx\nsub rsp, 40\nlea rsp, [rbp - 8]\npop rbx\npop rbp\nret", 56),
        ("function f\nsub rsp, 16\nlea rax, [rsp + 4]\nmov dword ptr [rax + rcx*4], 0\nadd rsp, 16\nret", 16 + 128),
        ("function f\nmov dword ptr [rsp + rcx*4 - 72], 0\nret", 128),
        ("function f\nlea rax, [rsp - 72]\nmov dword ptr [rax], 0\nmov dword ptr [rax - 8], 0\nret", 80),
        ("function f\nlea rax, [rsp - 8]\nx: add rax, -4\nmov dword ptr [rax], 0\ntest ecx, ecx\njne x\nret", 128),
        ("function f\nlea rax, [rsp - 8]\nmov [rdi], rax\nret", 128),
        ("function f\npush rbp\nmov rbp, rsp\nand rsp, -64\nsub rsp, 64\nleave\nret", 8 + 48 + 64),
        ("function f\npush rbp\nmov rbp, rsp\npush rbx\nand rsp, -32\nlea rsp, [rbp - 8]\npop rbx\npop rbp\nret", 40),
    ],
)
def test_stack(text: str, expected: int, tmp_path: Path) -> None:
    """Pushes, the return address of a call, and what lies below rsp: as named, or 128 bytes where it is not seen."""
    assert expected == stack_of(text, tmp_path)


def test_no_red_zone_around_a_call(tmp_path: Path) -> None:
    """A function that calls keeps nothing below rsp, also when addresses of its frame go elsewhere."""
    text = "function f\nsub rsp, 24\nlea rdi, [rsp + 8]\ncall g\nadd rsp, 24\nret\nfunction g\nret"

    assert 24 + 8 == stack_of(text, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "function f\npush rbx\nret",
        "function f\npop rax\nret",
        "function f\nsub rsp, rax\nadd rsp, rax\nret",
        "function f\nmov rsp, rdi\nret",
        "function f\nand rsp, -32\nret",
        "function f\nand rsp, -24\nret",
        "function f\npush rbp\nmov rbp, rsp\nand rsp, -32\ntest eax, eax\njne x\nmov rsp, rbp\nx: leave\nret",
        "function f\nand rsp, -32\nmov rbp, rsp\nleave\nret",
        "function f\ntest eax, eax\nje x\npush rbx\nx: ret",
        "function f\npush rbp\nmov rbp, rdi\nleave\nret",
    ],
)
def test_stack_refused(text: str, tmp_path: Path) -> None:
    """A stack pointer that is no constant, and a return that may go elsewhere, are refused."""
    with pytest.raises(UnsupportedError) as caught:
        stack_of(text, tmp_path)

    assert "wcet.stack" == caught.value.code
