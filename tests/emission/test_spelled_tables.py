"""Tables in C: every value can be read back exactly, and lines stay short."""

from __future__ import annotations

import ctypes
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aprgen import spell
from aprgen.emit import SHARED, Definitions
from aprgen.program import Array, Table
from aprgen.resources import folder
from tests.differential.compiled import WARNINGS, compile_c

BITS = st.integers(0, 2**32 - 1)
RUN = re.compile(r"APR_(\d+)\((\d+)\)")
SPECIAL = {"APR_NAN": np.nan, "APR_INFINITY": np.inf, "-APR_INFINITY": -np.inf}


def body(text: str) -> list[str]:
    """The lines between the braces."""
    return text.splitlines()[1:-1]


def spelled(text: str) -> list[str]:
    """The values between the braces, as C has them."""
    return [value.strip() for value in "".join(body(text)).rstrip(",").split(",")]


@given(arrays(np.uint32, st.integers(1, 60), elements=BITS))
def test_floats_read_back(bits: Array) -> None:
    """Every float32 is spelled so that C99 reads the same bits; a NaN stays a NaN."""
    data = bits.view(np.float32)

    found = [
        SPECIAL[value] if value in SPECIAL else float.fromhex(value.removesuffix("F"))
        for value in spelled(spell.table("t", data))
    ]

    expected = np.where(np.isnan(data), np.float32(np.nan).view(np.uint32), bits)
    assert expected.tolist() == np.array(found, np.float32).view(np.uint32).tolist()


@given(arrays(np.int32, st.integers(1, 60), elements=st.integers(-(2**31), 2**31 - 1)))
def test_integers_read_back(data: Array) -> None:
    """Every int32 is spelled as itself, and the smallest as an expression, as it has no literal."""
    found = [-(2**31) if value == "(-2147483647 - 1)" else int(value) for value in spelled(spell.table("t", data))]

    assert data.tolist() == found


@given(arrays(np.uint32, st.integers(1, 60), elements=BITS))
def test_lines_are_filled(bits: Array) -> None:
    """A line has at most 100 characters, and the first value of the next one would not have fitted."""
    lines = body(spell.table("t", bits.view(np.float32)))

    assert all(len(line) <= spell.LINE for line in lines)
    for line, following in itertools.pairwise(lines):
        assert len(line) + 1 + len(following.split(",")[0].strip()) + 1 > spell.LINE


def test_short_mantissas() -> None:
    """Zeros that end a mantissa are left out, digits before them are not."""
    data = np.array([0.0, -0.0, 1.0, 1.5, 16.0, 1.0625, 1.00048828125, 1e-45], np.float32)

    assert spell.values(data) == ("0x0p+0F, -0x0p+0F, 0x1p+0F, 0x1.8p+0F, 0x1p+4F, 0x1.1p+0F, 0x1.002p+0F, 0x1p-149F")


@given(st.integers(0, 2**32 - 1), st.sampled_from([np.uint8, np.uint16, np.int32, np.float32]))
def test_large_tables_leave_zeros_out(seed: int, kind: type[np.generic]) -> None:
    """C has every value at its place: what is left out is zero, and -0 stands there; no line is long."""
    chance = np.random.default_rng(seed)
    data = chance.integers(0, 120, spell.LARGE + 1 + int(chance.integers(3000))).astype(kind)
    if kind is np.float32:
        data[:2000] *= chance.normal(size=2000).astype(np.float32) * np.float32(2) ** chance.integers(-149, 100, 2000)
    for start, length in chance.integers(0, len(data), (20, 2)).tolist():
        data[start : start + length // 20] = -0.0 if kind is np.float32 and start % 5 == 0 else 0
    if seed % 2:
        data = np.resize(np.repeat(data, chance.integers(1, 40, len(data))), len(data))
    text = spell.table("t", data)
    found = np.zeros_like(data)
    at = 0
    for value in "".join(body(text)).rstrip(",").split(","):
        if value.startswith("["):
            place, value = value[1:].split("]=")
            at = int(place)
        run = RUN.fullmatch(value)
        if run is not None:
            found[at : at + int(run[1])] = int(run[2])
            at += int(run[1])
            continue
        found[at] = float.fromhex(value.removesuffix("F")) if kind is np.float32 else int(value)
        at += 1

    assert found.tobytes() == data.tobytes()
    assert all(len(line) <= spell.CLOSE_LINE for line in body(text))
    assert len(text) <= len(spell.values(data)) + 200


def test_a_large_table_of_zeros() -> None:
    """One value at least stands there, as C99 wants it."""
    assert body(spell.table("t", np.zeros(spell.LARGE + 1, np.uint8))) == ["0,"]


def test_large_tables_are_short() -> None:
    """A single zero is one digit, -0 keeps its sign, and exponents have no plus; small tables read as before."""
    data = np.resize(np.array([0.0, 6.0, -0.0, 0.375, 0.0], np.float32), spell.LARGE + 4)

    assert "".join(body(spell.table("t", data))).startswith("0,0x1.8p2F,-0x0p0F,0x1.8p-2F,0,0,0x1.8p2F,")
    assert body(spell.table("t", data[:3])) == ["    0x0p+0F, 0x1.8p+2F, -0x0p+0F,"]


def test_equal_large_tables_stand_once() -> None:
    """Whoever made them; tables of another type, at another place in memory, or small ones stay apart."""
    definitions = Definitions()
    numbers = np.arange(SHARED + 1, dtype=np.int32)
    small = numbers[:9]
    wanted = [
        (numbers, True), (numbers.copy(), True), (numbers, False), (numbers.view(np.float32), True), (small, False),
        (small.copy(), False),
    ]  # fmt: skip
    names = [definitions.table(f"t{index}", Table(data, lines=own)) for index, (data, own) in enumerate(wanted)]

    assert names == ["t0", "t0", "t2", "t3", "t4", "t5"]
    assert set(definitions.tables) == set(names)


def awkward_bytes() -> Array:
    """Each byte before and after each other, and rows that end in the middle."""
    pairs = np.array([(a, b) for a in range(256) for b in range(256)], np.uint8).reshape(-1)
    return np.append(pairs, np.random.default_rng(3).integers(0, 256, 3 * spell.ROW_BYTES + 4).astype(np.uint8))


@pytest.mark.parametrize("compiler", ["gcc", "clang-14"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32, np.int32, np.float32])
def test_text_reads_back(kind: type[np.generic], compiler: str, tmp_path: Path) -> None:
    """A huge table is text whose bytes are the elements: quotes, digits behind octal numbers, marks of trigraphs."""
    data = awkward_bytes().view(kind)
    text = spell.table("t", data, as_text=True)
    lines = ('#include "apr_huge.h"', "extern const void *bytes(void);", text,
             "const void *bytes(void)\n{\n    return t.all;\n}\n")  # fmt: skip
    (tmp_path / "t.c").write_text("\n".join(lines))
    compile_c(
        compiler, ("-std=c99", *WARNINGS, f"-I{folder('runtime_c')}", "-shared", "-fPIC", "t.c", "-o", "t.so"), tmp_path
    )
    library = ctypes.CDLL(str(tmp_path / "t.so"))
    library.bytes.restype = ctypes.c_void_p

    assert ctypes.string_at(library.bytes(), data.nbytes) == data.tobytes()
    assert max(map(len, text.splitlines())) <= 4 * spell.ROW_BYTES + 3
    assert len(text) < 3.2 * data.nbytes


def test_what_is_huge() -> None:
    """From a megabyte on a table is text, and its elements are a member."""
    small, huge = np.zeros(spell.HUGE // 4 - 1, np.uint32), np.zeros(spell.HUGE // 4, np.uint32)

    assert (spell.array_of("t", small), spell.array_of("t", huge)) == ("t", "t.all")


@pytest.mark.parametrize("compiler", ["gcc", "clang-14"])
def test_runs_read_back(compiler: str, tmp_path: Path) -> None:
    """Ranks, say: each number as often as any from once to forty times, in a third of the text."""
    times = np.tile(np.arange(1, 41), 10)
    data = np.repeat(np.arange(len(times)) % 256, times).astype(np.uint8)
    text = spell.table("t", data)
    lines = ('#include "apr_rt.h"', '#include "apr_runs.h"', "extern const void *bytes(void);", text,
             "const void *bytes(void)\n{\n    return t;\n}\n")  # fmt: skip
    (tmp_path / "t.c").write_text("\n".join(lines))
    flags = ("-std=c99", *WARNINGS, f"-I{folder('runtime_c')}", "-shared", "-fPIC", "t.c", "-o", "t.so")
    compile_c(compiler, flags, tmp_path)
    library = ctypes.CDLL(str(tmp_path / "t.so"))
    library.bytes.restype = ctypes.c_void_p

    assert ctypes.string_at(library.bytes(), len(data)) == data.tobytes()
    assert spell.has_runs(data)
    assert 3 * len(text) < len(spell.values(data))
