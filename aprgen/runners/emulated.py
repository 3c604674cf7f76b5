"""QEMU, for whole boards and for programs of another processor.

Knows its command lines. What is in the files that go in and come out is known elsewhere.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aprgen.errors import ToolchainError
from aprgen.image import Image
from aprgen.process import first_lines, run
from aprgen.runners.counting import count_plugin, plugin_option, read_counts
from aprgen.runners.execution import RUN_SECONDS, Counts, Execution, Records
from aprgen.runners.records import Block, Output, blocks_of, input_bytes, output_of
from aprgen.target import RunRule, Target


@dataclass(frozen=True)
class QemuSystem:
    """A board under qemu-system."""

    rule: RunRule
    program: str
    search_path: str | None

    @property
    def description(self) -> str:
        return f"{self.rule.program}, {self.rule.machine}"

    def run(self, image: Image, records: Records, *, count: bool = True, seconds: float = RUN_SECONDS) -> Execution:
        command = (
            self.program, "-M", self.rule.machine, "-display", "none", "-monitor", "none", "-serial", "none",
            "-semihosting-config", "enable=on,target=native", "-kernel", str(image.program.resolve()),
        )  # fmt: skip
        return _execute(image, records, command, (), self.description, count, seconds, self.search_path)


@dataclass(frozen=True)
class QemuUser:
    """A Linux program of another processor under qemu-user."""

    rule: RunRule
    program: str
    search_path: str | None

    @property
    def description(self) -> str:
        return f"{Path(self.program).name}, cpu {self.rule.cpu}"

    def run(self, image: Image, records: Records, *, count: bool = True, seconds: float = RUN_SECONDS) -> Execution:
        return _execute(
            image,
            records,
            (self.program, "-cpu", self.rule.cpu),
            (str(image.program.resolve()),),
            self.description,
            count,
            seconds,
            self.search_path,
        )


def find_qemu_system(target: Target, rule: RunRule, search_path: str | None) -> QemuSystem | str:
    program = shutil.which(rule.program, path=search_path)
    return f"{rule.program} is not on PATH" if program is None else QemuSystem(rule, program, search_path)


def find_qemu_user(target: Target, rule: RunRule, search_path: str | None) -> QemuUser | str:
    program = shutil.which(rule.program, path=search_path)
    return f"{rule.program} is not on PATH" if program is None else QemuUser(rule, program, search_path)


def run_blocks(
    image: Image, command: Sequence[str], blocks: Sequence[Block], records: int, work: Path, seconds: float
) -> Output:
    """Run a program that reads in.bin and writes out.bin in `work`; whatever goes wrong is a ToolchainError."""
    (work / "in.bin").write_bytes(input_bytes(blocks))
    out = work / "out.bin"
    result = run(command, work=f"running {image.program.name} for {image.target.name}", folder=work, seconds=seconds)
    if result.status != 0:
        how = f"signal {-result.status}" if result.status < 0 else f"status {result.status}"
        said = first_lines(result.stderr + "\n" + result.stdout)
        raise ToolchainError(
            "run.failed", f"the run ended with {how}: {said or 'it printed nothing'}",
            where=f"{image.program.name} for {image.target.name}",
            hint="a fault in the generated code, or a stack that outgrew the RAM of the board",
        )  # fmt: skip
    return output_of(image, records, blocks, out.read_bytes() if out.exists() else b"")


def _execute(
    image: Image,
    records: Records,
    command: Sequence[str],
    program: Sequence[str],
    description: str,
    count: bool,
    seconds: float,
    search_path: str | None,
) -> Execution:
    blocks = blocks_of(image, records)
    counts: dict[str, Counts] = {}
    uncounted = "" if count else "not asked for"
    with tempfile.TemporaryDirectory(dir=image.folder, prefix="run-") as name:
        work = Path(name)
        options: tuple[str, ...] = ()
        if count:
            try:
                options = ("-plugin", plugin_option(count_plugin(work, search_path), image))
            except ToolchainError as error:
                if error.code != "toolchain.missing":
                    raise
                uncounted = f"the counting plugin needs a C compiler for this machine: {error.hint}"
        output = run_blocks(image, (*command, *options, *program), blocks, len(records), work, seconds)
        if options:
            counts = read_counts(image, work, len(records))
    return Execution(
        output.scores, output.labels, output.suggestions, counts, uncounted, output.stack_bytes, description,
        batch=output.batch,
    )  # fmt: skip
