"""The stack bound: counted by hand on small programs, and against the painted stack on every fixture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aprgen.rows import SEED, edge_rows, random_rows
from aprgen.text_rows import text_rows
from aprgen.wcet.cfg import build_graphs
from aprgen.wcet.stack import Stack, exception_bytes, stack_bound
from tests.examples import PREFIXES, TEXTS, loaded
from tests.wcet import linked as programs
from tests.wcet.assembled import linked


def bound(text: str, folder: Path, architecture: str = "v7E-M") -> Stack:
    return stack_bound(build_graphs(linked(text, folder, architecture), ["f"]), "f")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bx lr", 0),
        ("push {r4, lr}\npop {r4, pc}", 8),
        ("push {r4, lr}\nsub sp, #24\nadd sp, #24\npop {r4, pc}", 32),
        ("push {lr}\nvpush {d8, d9}\nvpop {d8, d9}\npop {pc}", 20),
        ("str lr, [sp, #-8]!\nldr pc, [sp], #8", 8),
        ("strd r4, r5, [sp, #-16]!\nadd sp, #16\nbx lr", 16),
        ("stmdb sp!, {r4, r5, lr}\nldmia sp!, {r4, r5, pc}", 12),
        ("cmp r0, #0\nbeq 1f\npush {r4, r5}\npop {r4, r5}\n1: bx lr", 8),
        ("ldr r4, 1f\nadd sp, r4\nldr r3, 2f\nadd sp, r3\nbx lr\n.balign 4\n1: .word -1028\n2: .word 1028", 1028),
        ("movs r3, #131\nlsls r3, r3, #2\nnegs r3, r3\nadd sp, r3\nrsbs r3, r3, #0\nadd sp, r3\nbx lr", 524),
        ("movw r3, #4\nmovt r3, #1\nsub sp, sp, r3\nadd sp, sp, r3\nbx lr", 65540),
        ("push {r7, lr}\nsub sp, #16\nadd r7, sp, #4\nsub sp, #8\nadds r7, #12\nmov sp, r7\npop {r7, pc}", 32),
        ("push {r7}\nmov r7, sp\nsub sp, #40\nmov sp, r7\npop {r7}\nbx lr", 44),
        ("push {r4}\n1: push {r5, r6}\npop {r5, r6}\nsubs r0, #1\nbne 1b\npop {r4}\nbx lr", 12),
    ],
)
def test_frames(text: str, expected: int, tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """The frame is the deepest point of any path, whatever moves sp."""
    require_tool("arm-none-eabi-as")

    assert expected == bound(f"function f\n{text}", tmp_path).total_bytes


def test_chain(tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """A call counts from where sp is then: the deep callee of a shallow call may lose against the shallow of a deep."""
    require_tool("arm-none-eabi-as")
    text = (
        "function f\npush {r4, lr}\nbl g\nsub sp, #64\nbl h\nadd sp, #64\npop {r4, pc}\n"
        "function g\nsub sp, #40\nadd sp, #40\nbx lr\n"
        "function h\npush {r4, lr}\nbl k\npop {r4, pc}\nfunction k\nsub sp, #4\nadd sp, #4\nbx lr"
    )

    assert Stack(84, ("f", "h", "k"), {"g": 40, "k": 4, "h": 8, "f": 72}) == bound(text, tmp_path)


def test_tail_call_releases_the_frame(tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """Before a tail call the frame is gone: the two do not add."""
    require_tool("arm-none-eabi-as")
    text = "function f\npush {r4, lr}\npop {r4, lr}\nb g\nfunction g\nsub sp, #4\nadd sp, #4\nbx lr"

    assert 8 == bound(text, tmp_path).total_bytes


def test_exception_frame() -> None:
    """Eight words, or 26 where an FPU's registers may be live, and one for alignment; elsewhere nothing is known."""
    cores = ("v6-M", "v7-M", "v7E-M", "v8-M", "v8.1-M", "x86-64")

    assert [36, 36, 108, 108, 108, None] == [exception_bytes(one) for one in cores]


@pytest.mark.parametrize(("name", "core"), programs.PROGRAMS)
def test_painted_stack(name: str, core: str, require_target: Callable[[str], None]) -> None:
    """No run takes more stack than the bound, and the worst run found takes at most 8 bytes less."""
    require_target(core)
    built = programs.built(name, core)
    program = loaded(name).model.lower()
    if name in (*TEXTS, *PREFIXES):
        records = text_rows(program, 20, SEED).values
    else:
        records = np.concatenate([edge_rows(program, 100).values, random_rows(program, 20).values])
    painted = built.run(records, count=False).stack_bytes
    for function in built.image.model.functions:
        root = built.image.model.symbol(function)
        most = stack_bound(build_graphs(programs.code(name, core), [root]), root).total_bytes
        assert painted[function] <= most <= painted[function] + 8
