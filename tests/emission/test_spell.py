"""How names, numbers and comments are written in C, as compilers read them back."""

from __future__ import annotations

import ctypes
import re
import string
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprgen import spell
from tests.differential.compiled import WARNINGS, compile_c

HARD_FLOATS = np.array(
    [0, 0x80000000, 1, 0x80000001, 0x007FFFFF, 0x00800000, 0x3F800000, 0x3F7FFFFF, 0x3DCCCCCD, 0x7F7FFFFF, 0xFF7FFFFF,
     0x7F800000, 0xFF800000, 0x7FC00000, 0x00000003, 0x4B800001],
    np.uint32,
)  # fmt: skip


@pytest.mark.parametrize("compiler", ["gcc", "clang-14"])
def test_compilers_read_every_kind_of_float_back(compiler: str, tmp_path: Path) -> None:
    """Zeros, subnormals, the smallest normal, the largest, infinities and 3,000 random ones keep their bits."""
    random = np.random.RandomState(7).randint(0, 2**32, 3000, dtype=np.uint64).astype(np.uint32)
    bits = np.concatenate([HARD_FLOATS, random])
    data = bits.view(np.float32)
    table = spell.table("values", data).removeprefix("static ")
    (tmp_path / "t.c").write_text(f'#include "apr_rt.h"\nextern const float values[];\n{table}')
    runtime = Path(spell.__file__).parents[1] / "runtime_c"
    compile_c(compiler, ("-std=c99", *WARNINGS, f"-I{runtime}", "-shared", "-fPIC", "t.c", "-o", "t.so"), tmp_path)
    library = ctypes.CDLL(str(tmp_path / "t.so"))
    found = np.array((ctypes.c_uint32 * len(bits)).in_dll(library, "values"), np.uint32)

    assert np.isnan(found.view(np.float32)).tolist() == np.isnan(data).tolist()
    assert bits[~np.isnan(data)].tolist() == found[~np.isnan(data)].tolist()


def test_smallest_integers_have_their_own_types(tmp_path: Path) -> None:
    """The ends of every integer type compile without a warning and read back."""
    arrays = {
        kind: np.array([np.iinfo(kind).min, 0, np.iinfo(kind).max], kind)
        for kind in (np.int8, np.int16, np.int32, np.uint8, np.uint16)
    }
    lines = ["#include <stdint.h>"]
    for kind, data in arrays.items():
        name = f"t_{np.dtype(kind).name}"
        lines += [f"extern const {spell.c_type(data)} {name}[];", spell.table(name, data).replace("static ", "")]
    (tmp_path / "t.c").write_text("\n".join(lines))
    compile_c("gcc", ("-std=c99", *WARNINGS, "-shared", "-fPIC", "t.c", "-o", "t.so"), tmp_path)
    library = ctypes.CDLL(str(tmp_path / "t.so"))
    for kind, data in arrays.items():
        c_type = np.ctypeslib.as_ctypes_type(kind)
        assert data.tolist() == list((c_type * 3).in_dll(library, f"t_{np.dtype(kind).name}"))


@given(st.text(max_size=30))
def test_every_name_becomes_an_identifier(text: str) -> None:
    """What identifier() gives is an identifier, keeps itself, and takes no name of the runtime or of C."""
    name = spell.identifier(text)

    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)
    assert spell.is_identifier(name)
    assert name not in spell.KEYWORDS
    assert not name.lower().startswith("apr_")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("brake", "brake"),
        ("brake controller-2", "brake_controller_2"),
        ("2nd", "m_2nd"),
        ("double", "m_double"),
        ("APR_rt", "m_APR_rt"),
        ("Apr_rt", "m_Apr_rt"),
        ("Bremse ü", "Bremse"),
        ("ü", "model"),
        ("", "model"),
    ],
)
def test_names_stay_close_to_the_text(text: str, expected: str) -> None:
    """The nearest identifier."""
    assert expected == spell.identifier(text)


HOSTILE = st.text(st.sampled_from("*/\\?\n\r\t \"'%#;{}" + string.ascii_letters + "é\0\x7f\u2028"), max_size=40)


@given(HOSTILE)
def test_comments_cannot_be_closed_or_continued(text: str) -> None:
    """No text from outside ends a comment, begins one, continues a line or forms a trigraph."""
    safe = spell.comment(text)

    assert [mark for mark in ("*/", "/*", "\\", "??", "\n") if mark in safe] == []
    assert all(" " <= c <= "~" for c in safe)
    assert safe == spell.comment(safe)


@pytest.mark.parametrize("standard", ["c99", "c11"])
def test_hostile_comments_compile(standard: str, tmp_path: Path) -> None:
    """Comment after comment of hostile text, all warnings being errors, leaves the one function that is there."""
    texts = ["*\\", "???/", "/*/", "**//", "*/ int x; /*", "\\\n", "??/??/", "*\0/", "*\u2028/", "// \\"]
    comments = "\n".join(f"/* {spell.comment(text)}\n */" for text in texts)
    (tmp_path / "t.c").write_text(f"{comments}\nint answer(void);\nint answer(void)\n{{\n    return 42;\n}}\n")
    flags = (f"-std={standard}", *WARNINGS, "-Wtrigraphs")
    compile_c("gcc", (*flags, "-shared", "-fPIC", "t.c", "-o", "t.so"), tmp_path)
    symbols = subprocess.run(["nm", "-D", "--defined-only", "t.so"], cwd=tmp_path, capture_output=True, text=True)

    assert ctypes.CDLL(str(tmp_path / "t.so")).answer() == 42
    assert [line.split()[-1] for line in symbols.stdout.splitlines()] == ["answer"]


def test_decimals_tell_floats_apart() -> None:
    """Nine digits: neighbouring floats read differently in a comment, and each reads back."""
    values = np.array([0.1, np.nextafter(np.float32(0.1), np.float32(1)), 3e38, 1e-45, 16777217.0], np.float32)
    texts = [spell.decimal(float(value)) for value in values]

    assert len(set(texts)) == len(values)
    assert values.tolist() == np.array([float(text) for text in texts], np.float32).tolist()


def block(*statements: str, splits: Sequence[spell.Split] = ()) -> spell.Block:
    return spell.Block(statements, splits)


def test_branches_are_nested_ifs() -> None:
    """Left inside the if, right inside the else, codes from `near` on through `far`."""
    outer, inner = spell.Split(0, 3, 1, 2, False), spell.Split(5, 7, 3, 4, False)
    blocks = [block(splits=[outer]), block("y = 0;"), block(splits=[inner]), block("y = 1;"), block("y = 2;")]

    assert spell.branches(blocks, 0, 4, "uint8_t") == (
        "    if (x[0] <= 3U) {\n"
        "        y = 0;\n"
        "    } else {\n"
        "        if (far[1] <= 7U) {\n"
        "            y = 1;\n"
        "        } else {\n"
        "            y = 2;\n"
        "        }\n"
        "    }\n"
    )


def test_blocks_of_several_splits() -> None:
    """Statements first, then split after split; the right side first where it is said so, no else without a block."""
    splits = [spell.Split(0, 3, 1, 2, True), spell.Split(1, 4, 2, 1, False)]
    blocks = [block("y += 1;", "z += 2;", splits=splits), block(), block("y += 3;")]

    assert spell.branches(blocks, 0, 4, "uint8_t") == (
        "    y += 1;\n"
        "    z += 2;\n"
        "    if (x[0] > 3U) {\n"
        "        y += 3;\n"
        "    }\n"
        "    if (x[1] <= 4U) {\n"
        "        y += 3;\n"
        "    }\n"
    )


def test_branches_of_signed_keys() -> None:
    """Signed constants have no suffix, and the smallest one is spelled as C can read it."""
    blocks = [block(splits=[spell.Split(0, -(2**31), 1, 2, False)]), block("y = 0;"), block("y = 1;")]

    assert "if (x[0] <= (-2147483647 - 1)) {\n" in spell.branches(blocks, 0, 4, "int32_t")
    assert spell.branches(blocks, 2, 4, "int32_t") == "    y = 1;\n"
    assert spell.branches([block()], 0, 4, "int32_t") == ""


def test_branches_of_floats() -> None:
    """Keys become the bits of thresholds: -2.5 has the bits 0xC0200000."""
    splits = [spell.Split(0, -1 - 0x40200000, 1, 2, True), spell.Split(1, 0x40200000, 1, 2, False)]
    blocks = [block(splits=splits), block("y = 0;"), block("y = 1;")]
    text = spell.branches(blocks, 0, 4, "float")

    assert "if (apr_at_most_negative(x[0], 0xC0200000U) == 0) {\n" in text
    assert "if (apr_at_most(x[1], 1075838976) != 0) {\n" in text
