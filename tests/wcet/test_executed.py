"""What runs on x86-64 and AArch64 execute, instruction by instruction under Unicorn, against what the decoder says."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from aprgen.elf import read_elf
from aprgen.rows import SEED, edge_rows, random_rows
from aprgen.runners.choose import runner_for
from aprgen.wcet.graph import EXIT
from aprgen.wcet.instruction import Instruction
from aprgen.wcet.marks import loop_facts
from tests.examples import artifact
from tests.wcet.marked import Marked, fixture

# Unicorn has no AVX.
TARGETS = ("host", "arm-neon")
NAMES = ("dtr", "gbm", "gmm", "kmeans", "knn_minkowski", "moe", "pca", "rfc", "v2_mlp_f32", "v2_mlp_q8")
_PAGE = 0x1000
_STOP = 0x7000_0000
_STACK = 0x7100_0000
_STACK_BYTES = 0x10_0000


@dataclass
class Call:
    """One call: the addresses of its instructions in order, and accesses to memory as (count, bytes)."""

    order: list[int] = field(default_factory=list)
    loaded_bytes: int = 0
    stored_bytes: int = 0


class Machine:
    """A hosted program in Unicorn, of which one function is called."""

    def __init__(self, marked: Marked, function: str) -> None:
        self.uc_module = importlib.import_module("unicorn")
        elf = read_elf(marked.image.program)
        self.is_x86 = elf.machine == "x64"
        name = "x86" if self.is_x86 else "arm64"
        self.registers = importlib.import_module(f"unicorn.{name}_const")
        uc = self.uc_module
        self.uc = (
            uc.Uc(uc.UC_ARCH_X86, uc.UC_MODE_64) if self.is_x86 else uc.Uc(uc.UC_ARCH_ARM64, uc.UC_MODE_ARM)
        )  # fmt: skip
        pages = {
            page for s in elf.segments for page in range(s.address // _PAGE, (s.address + s.memory_size) // _PAGE + 1)
        }
        for page in pages:
            self.uc.mem_map(page * _PAGE, _PAGE)
        self.uc.mem_map(_STOP, _PAGE)
        self.uc.mem_map(_STACK - _STACK_BYTES, 2 * _STACK_BYTES)
        for segment in elf.segments:
            self.uc.mem_write(segment.address, segment.data)
        self.entry = elf.function(function).address
        self.at_in, self.at_out = elf.address("apr_in"), elf.address("apr_out")
        self.call_now = Call()
        if not self.is_x86:
            self.uc.reg_write(self.registers.UC_ARM64_REG_CPACR_EL1, 3 << 20)
        self.uc.hook_add(uc.UC_HOOK_CODE, self._on_code)
        self.uc.hook_add(uc.UC_HOOK_MEM_READ | uc.UC_HOOK_MEM_WRITE, self._on_memory)

    def _on_code(self, machine: object, address: int, size: int, data: object) -> None:
        self.call_now.order.append(address)

    def _on_memory(self, machine: object, access: int, address: int, size: int, value: int, data: object) -> None:
        if access == self.uc_module.UC_MEM_READ:
            self.call_now.loaded_bytes += size
        else:
            self.call_now.stored_bytes += size

    def call(self, row: NDArray[np.float32]) -> Call:
        self.uc.mem_write(self.at_in, row.tobytes())
        self.call_now = Call()
        if self.is_x86:
            self.uc.mem_write(_STACK - 8, _STOP.to_bytes(8, "little"))
            names = {"RDI": self.at_in, "RSI": self.at_out, "RSP": _STACK - 8}
        else:
            names = {"X0": self.at_in, "X1": self.at_out, "SP": _STACK, "X30": _STOP}
        for name, value in names.items():
            self.uc.reg_write(getattr(self.registers, f"UC_{'X86' if self.is_x86 else 'ARM64'}_REG_{name}"), value)
        self.uc.emu_start(self.entry, _STOP)
        return self.call_now


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NAMES)
def test_runs_are_as_decoded(
    name: str, target: str, require_target: Callable[[str], None], require_tool: Callable[[str], None]
) -> None:
    """Every executed instruction is in a graph and follows an edge of it; bytes loaded and stored are the decoder's;
    loops keep to their marks; and the target's own runner counts as many instructions."""
    require_target(target)
    for module in ("capstone", "unicorn"):
        require_tool(module)
    marked = fixture(name, target)
    graphs = marked.graphs("scores")
    machine = Machine(marked, marked.image.model.symbol("scores"))
    program = artifact(name, target).program
    rows = np.concatenate([edge_rows(program, 12).values[:12], random_rows(program, 4, SEED).values])
    counts = runner_for(marked.image.target).run(marked.image, rows).instructions["scores"]
    counted = dict(zip(counts.rows.tolist(), counts.values.tolist(), strict=True))
    known: dict[int, Instruction] = {
        i.address: i for graph in graphs.values() for block in graph.blocks.values() for i in block.instructions
    }
    edges = {
        (graph.blocks[edge.source].last.address, edge.target)
        for graph in graphs.values()
        for edge in graph.edges
        if edge.target != EXIT
    }
    entries = {graph.entry for graph in graphs.values()}

    for number, row in enumerate(rows):
        call = machine.call(row)
        executed = [known[address] for address in call.order]
        assert executed
        assert sum(i.loaded_bytes for i in executed) == call.loaded_bytes
        assert sum(i.stored_bytes for i in executed) == call.stored_bytes
        assert counted.get(number, len(executed)) == len(executed)
        for one, other in pairwise(executed):
            follows = one.end == other.address or (one.address, other.address) in edges
            assert follows or one.flow == "return" or (one.flow == "call" and other.address in entries), one
        for graph in graphs.values():
            for fact in loop_facts(marked.marks, graph):
                if not any(mark.label_after for mark in (*fact.scopes, *fact.bodies)):
                    passed = [
                        sum(call.order.count(a) for a in set(p)) for p in (fact.scope_addresses, fact.body_addresses)
                    ]
                    assert passed[1] <= fact.bound * passed[0], fact.id
