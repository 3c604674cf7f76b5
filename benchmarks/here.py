"""What benchmarks of libraries in this process share: targets and compilers that this machine has, and bare calls."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from aprgen.errors import ToolchainError
from aprgen.runners.shared import why_not_here
from aprgen.target import Target, load_target
from aprgen.toolchain import Toolchain, find_toolchain


def toolchains_here(targets: Sequence[str], compilers: Sequence[str]) -> Iterator[tuple[Target, Toolchain]]:
    """Those that can be used; a line says of each other one why not."""
    for name in targets:
        target = load_target(name)
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
