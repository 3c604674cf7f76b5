"""Programs for this machine: run as they are, counted by qemu-user or, without it, by single-stepping a few rows.

Knows how to tell whether this machine can run a target's code.
"""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aprgen.errors import ToolchainError
from aprgen.image import Image
from aprgen.process import first_lines, run
from aprgen.runners.counting import (
    COUNT_PREFIX,
    call_ranges,
    count_plugin,
    plugin_option,
    read_counts,
    read_values,
    step_counter,
)
from aprgen.runners.emulated import run_blocks
from aprgen.runners.execution import RUN_SECONDS, Counts, Execution, Records
from aprgen.runners.records import Block, Output, blocks_of, input_bytes
from aprgen.target import RunRule, Target

_STEPPING_SECONDS = 2.0
_MOST_STEPPED_ROWS = 256
_STEPPING_MACHINE = "x86_64"


@dataclass(frozen=True)
class Native:
    """This machine. `counter` is the qemu-user program that counts; empty when there is none."""

    rule: RunRule
    counter: str
    search_path: str | None

    @property
    def description(self) -> str:
        return f"native, {platform.machine()}"

    def run(self, image: Image, records: Records, *, count: bool = True, seconds: float = RUN_SECONDS) -> Execution:
        blocks = blocks_of(image, records)
        counts: dict[str, Counts] = {}
        uncounted = "" if count else "not asked for"
        notes: tuple[str, ...] = ()
        with tempfile.TemporaryDirectory(dir=image.folder, prefix="run-") as name:
            work = Path(name)
            output = run_blocks(image, (str(image.program.resolve()),), blocks, len(records), work, seconds)
            if count and len(records) > 0:
                try:
                    if self.counter:
                        counts = self._counted(image, blocks, len(records), output, work, seconds)
                    elif platform.machine() == _STEPPING_MACHINE:
                        counts, notes = self._stepped(image, records, work, seconds)
                    else:
                        uncounted = f"{self.rule.program or 'an emulator'} is not on PATH (package {self.rule.package})"
                except ToolchainError as error:
                    if error.code != "toolchain.missing":
                        raise
                    uncounted = f"counting needs a C compiler for this machine: {error.hint}"
        return Execution(
            output.scores,
            output.labels,
            output.suggestions,
            counts,
            uncounted,
            output.stack_bytes,
            self.description,
            notes,
            output.batch,
        )

    def _counted(
        self, image: Image, blocks: Sequence[Block], records: int, native: Output, work: Path, seconds: float
    ) -> dict[str, Counts]:
        """Run once more under qemu-user with the plugin; it must give what the machine gave."""
        plugin = plugin_option(count_plugin(work, self.search_path), image)
        command = (self.counter, "-cpu", self.rule.cpu, "-plugin", plugin, str(image.program.resolve()))
        emulated = run_blocks(image, command, blocks, records, work, seconds)
        if not emulated.same_results(native):
            raise ToolchainError(
                "run.disagree", f"{Path(self.counter).name} and this machine give different outputs",
                where=image.program.name, hint="the emulator or the generated code is at fault; compare other targets",
            )  # fmt: skip
        return read_counts(image, work, records)

    def _stepped(
        self, image: Image, records: Records, work: Path, seconds: float
    ) -> tuple[dict[str, Counts], tuple[str, ...]]:
        """Step through as many rows as time allows; wherever it ends, those done are spread over all."""
        program = step_counter(work, self.search_path)
        spread = np.unique(np.linspace(0, len(records) - 1, _MOST_STEPPED_ROWS).astype(np.int64))
        rows = np.random.default_rng(0).permutation(spread)
        # Blocks of one record, so that the functions take turns.
        blocks = [block for row in rows for block in blocks_of(image, records[int(row) : int(row) + 1])]
        (work / "in.bin").write_bytes(input_bytes(blocks))
        limit = str(int(1000 * min(_STEPPING_SECONDS, seconds)))
        command = (str(program), COUNT_PREFIX, limit, str(image.program.resolve()), *call_ranges(image))
        result = run(command, work=f"single-stepping {image.program.name}", folder=work, seconds=seconds)
        if result.status != 0:
            raise ToolchainError(
                "count.step", f"single-stepping failed: {first_lines(result.stderr)}", where=image.program.name,
                hint="tracing of child processes must be allowed on this machine",
            )  # fmt: skip
        values = read_values(image, work)
        done = rows[: min(len(one) for one in values.values())]
        order = np.argsort(done)
        counts = {name: Counts(done[order], one[: len(done)][order], "instructions") for name, one in values.items()}
        return counts, (f"instructions counted by single-stepping {len(done)} of {len(records)} records",)


def find_native(target: Target, rule: RunRule, search_path: str | None) -> Native | str:
    if rule.host_machine not in ("", platform.machine()):
        return f"this machine is no {rule.host_machine}"
    missing = sorted(set(rule.needs) - _cpu_flags()) if rule.needs else []
    if missing:
        return f"built, not run: this machine's CPU lacks {', '.join(missing)}"
    name = rule.program.replace("{machine}", platform.machine())
    return Native(rule, (shutil.which(name, path=search_path) or "") if name else "", search_path)


def _cpu_flags() -> set[str]:
    """What Linux says this CPU can do; empty where it says nothing."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return set()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return set(value.split())
    return set()
