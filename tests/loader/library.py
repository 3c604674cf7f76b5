"""The device's loader in this process: compiled with any options, called with bytes at any address."""

from __future__ import annotations

import ctypes
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aprgen.resources import folder
from tests.differential.compiled import WARNINGS, compile_c

SESSION = Path(__file__).with_name("session.c")
SOURCES = ("apr_load.c", "apr_view.c", "apr_view_run.c", "apr_view_text.c")
PARTS = ("apr_meta.c", "apr_parts.c", "apr_ed25519.c", "apr_lz4.c", "apr_zstd.c")

LOAD = (
    "OK", "TRUNCATED", "MAGIC", "VERSION", "SIZE", "CHECKSUM", "TRAILING", "COMPRESSION", "ENCRYPTED", "SUITE",
    "SIGNATURE", "BUFFER", "FORM", "PAYLOAD",
)  # fmt: skip
VIEW = ("OK", "ALIGNMENT", "SIZE", "VERSION", "SECTION", "STEP", "TABLE", "TREE", "PLACE", "LEFT_OUT")


def sources(*, text: bool = True) -> list[str]:
    return [str(folder("runtime_c") / name) for name in SOURCES if text or name != "apr_view_text.c"]


@functools.cache
def _library(options: tuple[str, ...], compiler: str) -> ctypes.CDLL:
    text = "-DAPR_VIEW_TEXT=0" not in options
    with tempfile.TemporaryDirectory() as work:
        flags = ("-std=c99", "-O1", "-ffp-contract=off", *WARNINGS, "-Wno-missing-prototypes", *options)
        include = f"-I{folder('runtime_c')}"
        compile_c(
            compiler, (*flags, include, "-shared", "-fPIC", str(SESSION), *sources(text=text), "-o", "s.so"), Path(work)
        )
        return ctypes.CDLL(f"{work}/s.so")


def aligned(data: bytes, offset: int = 0) -> NDArray[np.uint8]:
    """The bytes at an address that is `offset` behind a multiple of 64."""
    room = np.zeros(len(data) + 128 + offset, np.uint8)
    start = -room.ctypes.data % 64 + offset
    found = room[start : start + len(data)]
    found[:] = np.frombuffer(data, np.uint8)
    return found


class Loader:
    """One build of the loader; a file that it opened stays open until the next."""

    def __init__(self, *options: str, compiler: str = "gcc") -> None:
        self._c = _library(options, compiler)
        self._bytes: NDArray[np.uint8] | None = None

    def load(self, data: bytes, offset: int = 0) -> str:
        """The status in the words of apr_load.h, OK being one, with that of apr_view.h behind a colon."""
        self._bytes = aligned(data, offset)
        status = self._c.session_load(ctypes.c_void_p(self._bytes.ctypes.data), ctypes.c_size_t(len(data)))
        word = LOAD[status // 100]
        return f"{word}:{VIEW[status % 100]}" if word == "PAYLOAD" else word

    def load_with(
        self,
        data: bytes,
        *,
        verify: Callable[[bytes, bytes, bytes], bool] | None = None,
        unpack: Callable[[int, bytes, int], bytes | None] | None = None,
        buffer: int = 0,
        offset: int = 0,
        requires_signature: bool = False,
    ) -> str:
        """With services: verify(message, signature, key), and unpack(method, stored, size) to bytes or None."""
        self._bytes = aligned(data)

        def on_verify(_: object, message: int, n: int, signature: int, key: int) -> int:
            assert verify is not None
            parts = (ctypes.string_at(message, n), ctypes.string_at(signature, 64), ctypes.string_at(key, 32))
            return int(verify(*parts))

        def on_unpack(_: object, method: int, stored: int, n_stored: int, out: int, n_out: int) -> int:
            assert unpack is not None
            made = unpack(method, ctypes.string_at(stored, n_stored), n_out)
            if made is None:
                return 0
            ctypes.memmove(out, made, n_out)
            return 1

        address, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32
        verifier = ctypes.CFUNCTYPE(ctypes.c_int, address, address, size, address, address)
        unpacker = ctypes.CFUNCTYPE(ctypes.c_int, address, number, address, size, address, size)
        status = self._c.session_load_with(
            _at(self._bytes), size(len(data)), size(buffer), size(offset),
            verifier(on_verify) if verify is not None else None, unpacker(on_unpack) if unpack is not None else None,
            number(requires_signature),
        )  # fmt: skip
        return LOAD[status // 100] + (f":{VIEW[status % 100]}" if LOAD[status // 100] == "PAYLOAD" else "")

    def header(self, data: bytes) -> tuple[str, int, int]:
        """Status, bytes of the file, bytes of the buffer: from the first bytes of a file."""
        sizes = np.zeros(2, np.uint64)
        status = self._c.session_header(_at(aligned(data)), ctypes.c_size_t(len(data)), _at(sizes))
        return LOAD[status], int(sizes[0]), int(sizes[1])

    def open(self, payload: bytes, offset: int = 0) -> str:
        self._bytes = aligned(payload, offset)
        return VIEW[self._c.session_open(ctypes.c_void_p(self._bytes.ctypes.data), ctypes.c_size_t(len(payload)))]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Features, outputs, classes."""
        return self._c.session_features(), self._c.session_outputs(), self._c.session_classes()

    @property
    def workspace_bytes(self) -> int:
        return 4 * int(self._c.session_workspace())

    def rows(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        x = np.ascontiguousarray(rows, np.float32)
        out = np.full((len(rows), self.shape[1]), np.nan, np.float32)
        labels = np.full(len(rows), -99, np.int32)
        self._c.session_rows(_at(x), ctypes.c_size_t(len(rows)), _at(out), _at(labels))
        return out, labels

    def predict(self, row: NDArray[np.float32], n_x: int, n_out: int, n_workspace: int) -> int:
        out = np.zeros(max(n_out, self.shape[1]), np.float32)
        sizes = (ctypes.c_size_t(size) for size in (n_x, n_out, n_workspace))
        n_x_, n_out_, n_work_ = sizes
        return int(self._c.session_predict(_at(row), n_x_, _at(out), n_out_, n_work_))

    def text(self, text: bytes) -> tuple[int, NDArray[np.float32]]:
        out = np.full(self.shape[1], np.nan, np.float32)
        status = self._c.session_predict_text(text, ctypes.c_size_t(len(text)), _at(out), ctypes.c_size_t(len(out)))
        return int(status), out

    def suggest(self, text: bytes, k: int, room: int = 4096) -> list[tuple[str, float]]:
        found = ctypes.create_string_buffer(room)
        lengths, scores = np.zeros(k, np.uint32), np.zeros(k, np.float32)
        n = self._c.session_suggest(
            text, ctypes.c_size_t(len(text)), ctypes.c_uint32(k), found, ctypes.c_size_t(room),
            _at(lengths), _at(scores),
        )  # fmt: skip
        ends = np.cumsum(lengths[:n])
        return [
            (found.raw[end - size : end].decode(), float(score))
            for end, size, score in zip(ends.tolist(), lengths[:n].tolist(), scores[:n], strict=True)
        ]

    def crc(self, data: bytes) -> int:
        self._c.session_crc.restype = ctypes.c_uint32
        return int(self._c.session_crc(data, ctypes.c_size_t(len(data))))


def _at(array: NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
