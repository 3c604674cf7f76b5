"""Compiles text kernels for the machine that runs the tests, without targets or runners."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aprgen.emit import Names, emit_model
from aprgen.program import Program
from aprgen.resources import folder
from tests.conftest import give_up

WARNINGS = ["-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Werror"]
STANDARD = ["-std=c99", "-O2", "-ffp-contract=off", *WARNINGS]
NAMES = Names("m", "a model", "scores", "aprgen compile m.apr", "0" * 64, "host", "0" * 64, "none", "f32", "-O2", "0")


def compiler(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        give_up(f"{name} is not installed")
    return str(path)


def write_sources(program: Program, directory: Path) -> Path:
    """Writes the generated files and gives the path of m.c."""
    for file_name, text in emit_model(program, NAMES, ("c99",)).items():
        (directory / file_name).write_text(text, encoding="utf-8")
    return directory / "m.c"


def compile_c(cc: Sequence[str], arguments: Sequence[str], directory: Path) -> None:
    """Runs a compiler; what it says is the failure."""
    command = [compiler(cc[0]), *cc[1:], f"-I{folder('runtime_c')}", f"-I{directory}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    assert done.returncode == 0


def load(program: Program, directory: Path) -> ctypes.CDLL:
    """The generated functions as a shared library."""
    source = write_sources(program, directory)
    library = directory / "m.so"
    compile_c(["gcc"], [*STANDARD, "-shared", "-fPIC", str(source), "-o", str(library)], directory)
    return ctypes.CDLL(str(library))


def scores(library: ctypes.CDLL, texts: Sequence[bytes], n_outputs: int) -> NDArray[np.float32]:
    """What m_scores_text writes, text by text; each text is a buffer of exactly its length."""
    out = np.full((len(texts), n_outputs), np.nan, np.float32)
    for text, row in zip(texts, out, strict=True):
        library.m_scores_text(text, ctypes.c_size_t(len(text)), row.ctypes.data_as(ctypes.c_void_p))
    return out


def suggestions(library: ctypes.CDLL, prefix: bytes, k: int, room: int = 1 << 14) -> tuple[tuple[bytes, float], ...]:
    """What m_suggest writes into a text buffer of `room` bytes."""
    text = ctypes.create_string_buffer(room + 1)
    text[room] = b"\x55"
    lengths = np.zeros(k, np.uint32)
    values = np.zeros(k, np.float32)
    library.m_suggest.restype = ctypes.c_uint32
    found = library.m_suggest(
        prefix,
        ctypes.c_size_t(len(prefix)),
        ctypes.c_uint32(k),
        text,
        ctypes.c_size_t(room),
        lengths.ctypes.data_as(ctypes.c_void_p),
        values.ctypes.data_as(ctypes.c_void_p),
    )
    assert text[room] == b"\x55"
    ends = np.cumsum(lengths[:found])
    parts = [text.raw[int(end - size) : int(end)] for end, size in zip(ends, lengths[:found], strict=True)]
    return tuple((part, float(value)) for part, value in zip(parts, values[:found], strict=True))


def run(program: Path) -> float:
    """Runs a compiled program that prints one number; what it says on stderr is the failure."""
    done = subprocess.run([str(program)], capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
    return float(done.stdout)
