"""objdump as the second opinion on all that can be reached in programs for x86-64 and AArch64."""

from __future__ import annotations

import functools
import re
import subprocess
from collections.abc import Callable

import pytest

from aprgen.wcet.cfg import build_graphs
from aprgen.wcet.instruction import Instruction
from tests.examples import ROWS
from tests.wcet import linked as programs

OBJDUMP = {
    "host": "objdump",
    "x86-avx2": "objdump",
    "x86-avx512": "objdump",
    "arm-neon": "aarch64-linux-gnu-objdump",
}
NAMES = ("gbm", "gmm", "knn_minkowski", "moe", "v2_mlp_f32", "v2_mlp_q8", *ROWS[::6])
FLOWS = (
    (r"call|bl", "call"),
    (r"ret", "return"),
    (r"jmp|b", "jump"),
    (r"j\w+|b\.\w+|cbn?z|tbn?z", "conditional"),
)


@functools.cache
def objdump(name: str, target: str) -> dict[int, tuple[int, str, str]]:
    """Per address of the program: length, instruction and operands, as objdump has them."""
    words = [OBJDUMP[target], "-d", "-w", "--insn-width=16", str(programs.built(name, target).image.program)]
    text = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
    found = {}
    for line in text.splitlines():
        match = re.match(r"\s*([0-9a-f]+):\t([0-9a-f ]+?)\s*\t(?:(?:data16|cs|ds|rex\S*) )*(\S+)\s*(.*)", line)
        if match:
            size = len(match[2].replace(" ", "")) // 2
            found[int(match[1], 16)] = (size, match[3], match[4])
    return found


def flow_of(mnemonic: str) -> str:
    return next((flow for pattern, flow in FLOWS if re.fullmatch(pattern, mnemonic)), "next")


@pytest.mark.parametrize("target", OBJDUMP)
@pytest.mark.parametrize("name", sorted(set(NAMES)))
def test_objdump_agrees(
    name: str, target: str, require_target: Callable[[str], None], require_tool: Callable[[str], None]
) -> None:
    """A second decoder finds the same lengths, flow, branch targets and literals, and the same uses of memory.

    The programs are those without marks, of which some are vectorised."""
    require_tool(OBJDUMP[target])
    require_tool("capstone")
    require_target(target)
    second = objdump(name, target)
    graphs = build_graphs(programs.code(name, target), programs.roots(name, target))
    all_of = [i for graph in graphs.values() for block in graph.blocks.values() for i in block.instructions]

    assert all_of
    for found in all_of:
        check(found, *second[found.address])


def check(found: Instruction, size: int, mnemonic: str, operands: str) -> None:
    assert size == found.size, found
    assert flow_of(mnemonic) == found.flow, found
    plain, _, comment = operands.partition("#" if "#" in operands and "%" in operands else "//")
    target = re.search(r"\b([0-9a-f]+) <", plain) if found.flow != "next" else None
    assert (int(target[1], 16) if target else None) == found.target, found
    if found.literal is not None and "%rip" in operands:
        literal = re.search(r"\b([0-9a-f]+) <", comment)
        assert literal is not None, (found, operands)
        assert int(literal[1], 16) == found.literal, found
    # Of every operand in memory objdump says so too, but for lea and nop, which touch none.
    if mnemonic not in ("push", "pop", "call", "ret", "leave"):
        in_memory = re.search(r"\(|\[[xs]", plain) is not None and not mnemonic.startswith(("lea", "nop"))
        assert in_memory == bool(found.loads or found.stores), (found, operands)
