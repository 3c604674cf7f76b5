"""The QEMU plugin that counts instructions: builds it once, spells its arguments, reads its files.

Knows qemu/plugin/count.c. Knows nothing of the emulator's other options.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aprgen.elf import Elf, read_elf
from aprgen.errors import ToolchainError
from aprgen.image import Image
from aprgen.process import cache_folder, fingerprint, first_lines, run
from aprgen.resources import folder
from aprgen.runners.execution import Counts
from aprgen.target import load_target
from aprgen.toolchain import COMPILE_SECONDS, Toolchain, find_toolchain, keep_file

COUNT_PREFIX = "count"
_GNU_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Werror")


def count_plugin(work: Path, search_path: str | None) -> Path:
    """The plugin for this machine's QEMU, of a system's compiler, as QEMU loads it beside the system's C library; none
    is a ToolchainError."""
    toolchain = find_toolchain(load_target("host"), "system", search_path)
    return _host_program(toolchain, "plugin/count.c", ("-shared", "-fPIC", "-fvisibility=hidden"), ".so", work)


def step_counter(work: Path, search_path: str | None) -> Path:
    """The single-stepping counter for this machine."""
    toolchain = find_toolchain(load_target("host"), "auto", search_path)
    return _host_program(toolchain, "stepcount/stepcount.c", (), "", work)


def _host_program(toolchain: Toolchain, source_name: str, flags: Sequence[str], suffix: str, work: Path) -> Path:
    source = folder("qemu") / source_name
    words = (*toolchain.compiler, *_GNU_FLAGS, *flags)
    programs = cache_folder() / "programs"
    programs.mkdir(exist_ok=True)
    kept = programs / f"{source.stem}-{fingerprint(toolchain.identity, *words, source.read_bytes())}{suffix}"
    if kept.exists():
        return kept
    made = work / f"{source.stem}{suffix}"
    result = run(
        (*words, str(source), "-o", str(made)), work=f"compiling {source.name}", folder=work,
        seconds=COMPILE_SECONDS, environment=toolchain.environment,
    )  # fmt: skip
    if result.status != 0:
        raise ToolchainError(
            "toolchain.compile", f"{toolchain.name} failed: {first_lines(result.stderr)}", where=source.name,
            hint="this machine's C compiler must build for this machine",
        )  # fmt: skip
    keep_file(made, kept)
    return kept


def call_ranges(image: Image, elf: Elf | None = None) -> tuple[str, ...]:
    """Per function ENTRY:LOW:HIGH, its first instruction and the code of its caller, in hexadecimal."""
    symbols = elf or read_elf(image.program)
    ranges = []
    for function in image.model.functions:
        entry = symbols.function(image.model.symbol(function))
        caller = symbols.function(f"apr_call_{function}")
        ranges.append(f"{entry.address:x}:{caller.address:x}:{caller.address + caller.size:x}")
    return tuple(ranges)


def plugin_option(plugin: Path, image: Image) -> str:
    """The value of QEMU's -plugin; a comma in a path is doubled."""
    ranges = ",".join(f"f={part}" for part in call_ranges(image))
    return f"{str(plugin).replace(',', ',,')},out={COUNT_PREFIX},{ranges}"


def read_counts(image: Image, work: Path, records: int) -> dict[str, Counts]:
    """What the plugin wrote; one count per record, or a ToolchainError."""
    counts = {}
    for function, values in read_values(image, work).items():
        if len(values) != records:
            raise ToolchainError(
                "count.calls", f"{len(values)} calls of {function} were counted instead of {records}",
                where=image.program.name, hint="the compiler must not inline or clone the functions of the model",
            )  # fmt: skip
        counts[function] = Counts(np.arange(records), values, "instructions")
    return counts


def read_values(image: Image, work: Path) -> dict[str, NDArray[np.uint64]]:
    """The counts of each function, in the order of its calls."""
    return {
        function: np.fromfile(work / f"{COUNT_PREFIX}.{number}", dtype="<u8").astype(np.uint64)
        for number, function in enumerate(image.model.functions)
    }
