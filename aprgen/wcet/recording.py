"""The QEMU plugin that records executed blocks: millions of calls where Unicorn does thousands.

Knows qemu/plugin/trace.c, its arguments and its files. What a trace means is known in `trace`.
"""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aprgen.errors import ToolchainError, UnsupportedError
from aprgen.image import Image
from aprgen.process import cache_folder, fingerprint, first_lines, run
from aprgen.resources import folder
from aprgen.runners.counting import call_ranges
from aprgen.runners.emulated import run_blocks
from aprgen.runners.execution import RUN_SECONDS, Records
from aprgen.runners.records import blocks_of
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain, keep_file
from aprgen.wcet.trace import Passage, Traces, merged

_PREFIX = "trace"
_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden")


def record_calls(
    image: Image, records: Records, *, seconds: float = RUN_SECONDS, search_path: str | None = None
) -> Mapping[str, Traces]:
    """Call the functions that the harness calls once per record under QEMU, by the name of the function.

    Needs the target's qemu-system or qemu-user, and a C compiler for this machine; a missing one is a ToolchainError.
    """
    blocks = blocks_of(image, records)
    user = user_command(image, search_path)
    command = board_command(image, search_path) if user is None else user
    program = () if user is None else (str(image.program.resolve()),)
    with tempfile.TemporaryDirectory(dir=image.folder, prefix="trace-") as name:
        work = Path(name)
        plugin = _plugin(work, search_path)
        ranges = ",".join(f"f={part}" for part in call_ranges(image))
        option = f"{str(plugin).replace(',', ',,')},out={_PREFIX},{ranges}"
        run_blocks(image, (*command, "-plugin", option, *program), blocks, len(records), work, seconds)
        return _read(image, work, len(records))


def user_command(image: Image, search_path: str | None = None) -> tuple[str, ...] | None:
    """The qemu-user that runs programs of a system like this one's, without the program; None for boards."""
    if image.target.board is not None:
        return None
    for rule in image.target.runs:
        if rule.kind in ("native", "qemu-user") and rule.program:
            program = shutil.which(rule.program.replace("{machine}", platform.machine()), path=search_path)
            if program is not None:
                return (program, "-cpu", rule.cpu)
    raise ToolchainError(
        "runner.missing", f"no qemu-user for {image.target.name} is on PATH", where=f"target {image.target.name}",
        hint="apt-get install qemu-user",
    )  # fmt: skip


def board_command(image: Image, search_path: str | None = None) -> tuple[str, ...]:
    """The command that runs the image on its emulated board."""
    rule = next((rule for rule in image.target.runs if rule.kind == "qemu-system"), None)
    if rule is None:
        raise UnsupportedError(
            "wcet.core", f"no board of {image.target.name} is emulated", where=f"target {image.target.name}",
            hint="choose a Cortex-M target",
        )  # fmt: skip
    program = shutil.which(rule.program, path=search_path)
    if program is None:
        raise ToolchainError(
            "runner.missing", f"{rule.program} is not on PATH", where=f"target {image.target.name}",
            hint=f"apt-get install {rule.package}",
        )  # fmt: skip
    return (
        program, "-M", rule.machine, "-display", "none", "-monitor", "none", "-serial", "none",
        "-semihosting-config", "enable=on,target=native", "-kernel", str(image.program.resolve()),
    )  # fmt: skip


def _plugin(work: Path, search_path: str | None) -> Path:
    """The plugin for this machine's QEMU, built once."""
    toolchain = find_toolchain(load_target("host"), "system", search_path)
    source = folder("qemu") / "plugin" / "trace.c"
    words = (*toolchain.compiler, *_FLAGS)
    programs = cache_folder() / "programs"
    programs.mkdir(exist_ok=True)
    kept = programs / f"trace-{fingerprint(toolchain.identity, *words, source.read_bytes())}.so"
    if kept.exists():
        return kept
    made = work / "trace.so"
    result = run((*words, str(source), "-o", str(made)), work=f"compiling {source.name}", folder=work, seconds=60)
    if result.status != 0:
        raise ToolchainError(
            "toolchain.compile", f"{toolchain.name} failed: {first_lines(result.stderr)}", where=source.name,
            hint="this machine's C compiler must build for this machine",
        )  # fmt: skip
    keep_file(made, kept)
    return kept


def _read(image: Image, work: Path, records: int) -> dict[str, Traces]:
    passages = [Passage(*row) for row in _words(work / f"{_PREFIX}.passages").reshape(-1, 4).tolist()]
    packed = _words(work / f"{_PREFIX}.paths")
    starts = _starts(packed)
    found = {}
    for number, function in enumerate(image.model.functions):
        runs = _words(work / f"{_PREFIX}.{number}.runs").astype(np.int64)
        if len(runs) != records:
            raise ToolchainError(
                "count.calls", f"{len(runs)} calls of {function} were traced instead of {records}",
                where=image.program.name, hint="the compiler must not inline or clone the functions of the model",
            )  # fmt: skip
        used, path_of_run = np.unique(runs, return_inverse=True)
        found[function] = _traces(function, passages, packed, [starts[path] for path in used.tolist()], path_of_run)
    return found


def _words(path: Path) -> NDArray[np.uint32]:
    return np.fromfile(path, dtype=np.uint32)


def _starts(packed: NDArray[np.uint32]) -> list[int]:
    """Where each path begins."""
    starts = []
    at = 0
    while at < len(packed):
        starts.append(at)
        at += 1 + 2 * int(packed[at])
    return starts


def _traces(
    function: str,
    passages: Sequence[Passage],
    packed: NDArray[np.uint32],
    starts: Sequence[int],
    path_of_run: NDArray[np.int64],
) -> Traces:
    """Only the passages that this function took, so that the matrix stays small."""
    pairs = [packed[at + 1 : at + 1 + 2 * int(packed[at])].reshape(-1, 2) for at in starts]
    used = np.unique(np.concatenate([np.empty(0, np.uint32), *(pair[:, 0] for pair in pairs)]))
    paths = np.zeros((len(starts), len(used)), np.uint32)
    for row, pair in enumerate(pairs):
        paths[row, np.searchsorted(used, pair[:, 0])] = pair[:, 1]
    return merged(function, [passages[number] for number in used.tolist()], paths, path_of_run.astype(np.int64))
