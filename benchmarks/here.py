"""What benchmarks share: how a script ends, targets and compilers of this machine, bare calls, a core, reports."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from aprgen import __version__
from aprgen.errors import AprgenError, ToolchainError, UnsupportedError, UsageError
from aprgen.output_folder import require_files
from aprgen.runners.shared import why_not_here
from aprgen.target import Target, load_target
from aprgen.toolchain import Toolchain, find_toolchain


def finish(main: Callable[[], int]) -> int:
    """The status of a script. An error, or a library that is missing, is three lines and the status of commands."""
    try:
        return main()
    except AprgenError as error:
        failure = error
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "aprgen":
            raise
        failure = ToolchainError(
            "benchmark.library", f"the Python module {error.name} is not installed", where="this machine",
            hint="pip install 'aprgen[benchmarks,wcet]'",
        )  # fmt: skip
    print(failure, file=sys.stderr)
    return failure.exit_status


def toolchains_here(targets: Sequence[str], compilers: Sequence[str]) -> Iterator[tuple[Target, Toolchain]]:
    """Those that can be used; a line says of each other one why not."""
    for name in targets:
        try:
            target = load_target(name)
        except UnsupportedError as error:
            print(f"{name}: {error.what}", flush=True)
            continue
        reason = why_not_here(target)
        if reason:
            print(f"{name}: {reason}", flush=True)
            continue
        for compiler in compilers:
            try:
                yield target, find_toolchain(target, compiler)
            except ToolchainError as error:
                print(f"{name} {compiler}: {error.what}", flush=True)


def call_of(function: Any, rows: NDArray[Any], out: NDArray[Any]) -> Callable[[], NDArray[Any]]:
    """A call of void function(rows, number of rows, out), whose arguments are ready."""
    function.restype = None
    arguments = ctypes.c_void_p(rows.ctypes.data), ctypes.c_size_t(len(rows)), ctypes.c_void_p(out.ctypes.data)

    def call() -> NDArray[Any]:
        function(*arguments)
        return out

    call.__dict__["keeps"] = rows
    return call


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Everything on one core, libraries with threads of their own, too."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        with importlib.import_module("threadpoolctl").threadpool_limits(1):
            yield
    finally:
        os.sched_setaffinity(0, before)


def report_file(words: str) -> Path:
    """For argparse: where no file can be written is said before the work."""
    path = Path(words)
    try:
        require_files(path)
    except UsageError as error:
        raise argparse.ArgumentTypeError(f"{words}: {error.what}") from None
    return path


def write_report(
    path: Path | None, schema: str, version: int, figures: Sequence[Mapping[str, object]], **more: object
) -> None:  # fmt: skip
    """Figures and what else is stated, as JSON; nothing without a path."""
    if path is not None:
        document = {"schema": schema, "version": version, "aprgen": __version__, **more, "figures": list(figures)}
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
