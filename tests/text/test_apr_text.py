"""runtime_c/apr_text.h, function by function, against Python."""

from __future__ import annotations

import ctypes
import itertools
from pathlib import Path

import numpy as np
import pytest

from aprgen.unicode_case import WHITE_SPACE
from tests.text import compiled

EXPORTS = """
#include "apr_text.h"
int valid(const char *utf8, size_t n);
uint32_t next(const uint8_t *text, size_t n, size_t *at);
uint32_t put(uint32_t cp, uint8_t out[4]);
int is_space(uint32_t cp);
size_t space_before(const uint8_t *text, size_t at);
int valid(const char *utf8, size_t n) { return apr_utf8_valid(utf8, n); }
uint32_t next(const uint8_t *text, size_t n, size_t *at) { return apr_utf8_next(text, n, at); }
uint32_t put(uint32_t cp, uint8_t out[4]) { return apr_utf8_put(cp, out); }
int is_space(uint32_t cp) { return apr_is_space(cp); }
size_t space_before(const uint8_t *text, size_t at) { return apr_space_before(text, at); }
"""
# The ends of every range that UTF-8 knows, and bytes inside them.
EDGES = bytes.fromhex("00 41 7f 80 8f 90 9f a0 bf c0 c1 c2 df e0 e1 ec ed ee ef f0 f1 f3 f4 f5 ff")


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    directory: Path = tmp_path_factory.mktemp("apr_text")
    (directory / "t.c").write_text(EXPORTS)
    arguments = [*compiled.STANDARD, "-shared", "-fPIC", str(directory / "t.c"), "-o", str(directory / "t.so")]
    compiled.compile_c(["gcc"], arguments, directory)
    library = ctypes.CDLL(str(directory / "t.so"))
    library.space_before.restype = ctypes.c_size_t
    library.next.restype = library.put.restype = ctypes.c_uint32
    return library


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_valid_agrees_with_python_on_every_kind_of_sequence(header: ctypes.CDLL) -> None:
    """All strings of up to four edge bytes: overlong, surrogate, too large, cut short."""
    wrong = [
        data
        for size in range(5)
        for data in map(bytes, itertools.product(EDGES, repeat=size))
        if bool(header.valid(data, ctypes.c_size_t(size))) != is_utf8(data)
    ]

    assert wrong == []


def test_every_code_point_survives_put_and_next(header: ctypes.CDLL) -> None:
    """put() writes what Python encodes, next() reads it back and moves behind it."""
    out = (ctypes.c_uint8 * 4)()
    at = ctypes.c_size_t()
    for code in range(0, 0x110000, 7):
        if 0xD800 <= code < 0xE000:
            continue
        size = header.put(ctypes.c_uint32(code), out)
        at.value = 0
        assert chr(code).encode() == bytes(out[:size])
        assert code == header.next(out, ctypes.c_size_t(size), ctypes.byref(at))
        assert at.value == size


def test_space_is_the_unicode_property(header: ctypes.CDLL) -> None:
    """Exactly the 25 code points of White_Space, and no wrong value."""
    assert set(WHITE_SPACE) == {code for code in range(0x110000) if header.is_space(ctypes.c_uint32(code))}
    assert header.is_space(ctypes.c_uint32(0xFFFFFFFF)) == 0


def test_space_before_reads_backwards(header: ctypes.CDLL) -> None:
    """The size of a white space character that ends there, and 0 behind anything else, whatever stands before."""
    generator = np.random.default_rng(5)
    for code in [*WHITE_SPACE, *(int(c) for c in generator.integers(0, 0xD800, 2000))]:
        for before in (b"", b"a", b"\x80", b"\xe2\x80", "é".encode()):
            text = before + chr(code).encode()
            expected = len(chr(code).encode()) if code in WHITE_SPACE else 0
            assert expected == header.space_before(text, ctypes.c_size_t(len(text)))
    assert header.space_before(b"", ctypes.c_size_t(0)) == 0
