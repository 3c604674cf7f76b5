"""Wait states: what a slow code memory adds to an instruction in the worst case.

Knows one model, made to be sound and not to be tight: a single line buffer, no prefetch, no cache, and every load goes
to the slow memory. Knows nothing of any chip; the integrator states the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aprgen.errors import UsageError

if TYPE_CHECKING:
    from aprgen.wcet.instruction import Instruction
    from aprgen.wcet.timing import Row

# A taken branch finds fetches of the wrong path under way: one in its data phase, one already addressed. An untaken one
# may have sent the fetch of its target, and so lost the line it goes on in.
_WASTED_FETCHES = 2


@dataclass(frozen=True)
class Memory:
    """Where code and constants lie: `wait_states` per line of `line_bytes` that is not in the buffer."""

    wait_states: int
    line_bytes: int

    def __post_init__(self) -> None:
        if not 0 <= self.wait_states <= 255:
            raise UsageError(
                "wcet.wait_states", f"{self.wait_states} wait states make no sense", where="--wait-states",
                hint="give the figure of the flash at your clock, 0 to 255",
            )  # fmt: skip
        if self.line_bytes not in (4, 8, 16, 32, 64):
            raise UsageError(
                "wcet.line_bytes", f"a fetch line of {self.line_bytes} bytes makes no sense", where="--line-bytes",
                hint="give the width of the flash's read port: 4, 8, 16, 32 or 64 bytes",
            )  # fmt: skip

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Sentences for the report."""
        if self.wait_states == 0:
            return (
                "configured: code, constants and data lie in memory without wait states",
                "no other bus master delays an access",
            )
        return (
            f"configured: code and constants lie in memory of {self.wait_states} wait states per line of "
            f"{self.line_bytes} bytes; data written lies in memory without wait states",
            "one line buffer, no prefetch, no cache; caches and accelerators of the chip are switched off",
            "every load pays the wait states of each word and loses the line",
            "no other bus master delays an access",
        )


def base_waits(memory: Memory, instruction: Instruction, row: Row, taken: bool) -> int:
    """Waits for its data, and for the fetches that a branch wastes."""
    waits = 0
    if row.access == "load":
        words = max(1, instruction.registers)
        waits += memory.wait_states * (words + 1)
    if instruction.flow != "next" or taken:
        waits += memory.wait_states * _WASTED_FETCHES
    return waits


def fetch_waits(memory: Memory, instruction: Instruction, previous: Instruction | None) -> int:
    """Waits for the lines it lies in, but for the one its predecessor lies in; `previous` is None after a branch."""
    first = instruction.address // memory.line_bytes
    last = (instruction.address + instruction.size - 1) // memory.line_bytes
    lines = last - first + 1
    if previous is not None and (previous.address + previous.size - 1) // memory.line_bytes == first:
        lines -= 1
    return lines * memory.wait_states
