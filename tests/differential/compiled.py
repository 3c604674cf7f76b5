"""A compiled model in this process, called row by row and in batches; no targets and no runners in between."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aprgen.program import Program
from tests.compiled_once import keep, taken
from tests.conftest import give_up
from tests.vector_headers import options_of, read_before

WARNINGS = ("-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Werror")
OPTIONS = ("-std=c99", "-O1", "-ffp-contract=off", *WARNINGS)

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]


def write_texts(texts: Mapping[str, str], folder: Path) -> None:
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def compile_c(compiler: str, arguments: tuple[str, ...], folder: Path) -> None:
    """Run a compiler in the folder of the sources; whatever it says is a failure."""
    if shutil.which(compiler) is None:
        give_up(f"{compiler} is not installed")
    sources = [folder / word for word in arguments if word.endswith(".c")]
    headers = read_before((compiler, *options_of(arguments)), (*sources, *folder.glob("*.h")))
    command = [compiler, *arguments, *headers]
    if taken(command, folder):
        return
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0
    keep(command, folder)


@dataclass(frozen=True, eq=False)
class Compiled:
    """The public functions of a model that takes rows."""

    name: str
    program: Program
    library: ctypes.CDLL

    def _call(self, function: str, *arguments: object, result: type[ctypes._SimpleCData] | None = None) -> int | None:  # type: ignore[type-arg]
        called = getattr(self.library, f"{self.name}_{function}")
        called.restype = result
        value: int | None = called(
            *(ctypes.c_void_p(a.ctypes.data) if isinstance(a, np.ndarray) else a for a in arguments)
        )
        return value

    def batch(self, rows: Floats) -> tuple[Floats, Labels | None]:
        out = np.full((len(rows), self.program.n_outputs), np.nan, np.float32)
        self._call("predict_batch", rows, ctypes.c_size_t(len(rows)), out)
        if self.program.label is None:
            return out, None
        labels = np.full(len(rows), -99, np.int32)
        self._call("classify_batch", rows, ctypes.c_size_t(len(rows)), labels)
        return out, labels

    def one_by_one(self, rows: Floats) -> tuple[Floats, Labels | None]:
        """As `batch`, by the functions for one row."""
        out = np.full((len(rows), self.program.n_outputs), np.nan, np.float32)
        for row, scores in zip(rows, out, strict=True):
            self._call("scores", np.ascontiguousarray(row), scores)
        if self.program.label is None:
            return out, None
        found = [self._call("classify", np.ascontiguousarray(row), result=ctypes.c_int32) for row in rows]
        return out, np.array(found, np.int32)

    def checked(self, row: Floats | None, n_x: int, out: Floats | None, n_out: int) -> int:
        """The status of NAME_predict."""
        status = self._call(
            "predict",
            row,
            ctypes.c_size_t(n_x),
            out,
            ctypes.c_size_t(n_out),
            result=ctypes.c_int,
        )
        assert status is not None
        return status


def load(
    name: str, texts: Mapping[str, str], program: Program, folder: Path, compiler: str = "gcc",
    flags: tuple[str, ...] = (),
) -> Compiled:  # fmt: skip
    """Compile the texts as they are, warnings being errors, and load them."""
    write_texts(texts, folder)
    library = folder / f"{name}.so"
    compile_c(compiler, (*OPTIONS, *flags, "-shared", "-fPIC", f"{name}.c", "-o", library.name), folder)
    return Compiled(name, program, ctypes.CDLL(str(library)))
