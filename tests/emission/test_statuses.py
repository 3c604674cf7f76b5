"""The checked functions: which status they give for which wrong call, and that they then leave the output alone."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

from tests.differential.compiled import Compiled, load
from tests.examples import artifact, loaded, rows_of

OK, DIMENSION, BUFFER, NOT_FINITE, ENCODING = range(5)
MARK = np.float32(123.5)
SIZES = {"rfc": (4, 3), "linreg": (10, 1), "kmeans": (4, 3), "v2_mlp_f32": (4, 3), "standard_scaler": (4, 4)}


@pytest.fixture(params=SIZES)
def compiled(request: pytest.FixtureRequest, tmp_path: Path) -> Compiled:
    name = str(request.param)
    return load(name, artifact(name).texts, artifact(name).program, tmp_path)


def marked(size: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.full(size, MARK, np.float32)


def a_row(compiled: Compiled) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.full(compiled.program.n_features, 0.25, np.float32)


def test_a_right_call(compiled: Compiled) -> None:
    """A finite row and room for the outputs: OK, and the bits of the unchecked function; more room is no error."""
    n_in, n_out = SIZES[compiled.name]
    out = marked(n_out + 2)

    assert compiled.checked(a_row(compiled), n_in, out, n_out + 2) == OK
    assert compiled.program.run(a_row(compiled)[None]).tobytes() == out[:n_out].tobytes()
    assert out[n_out:].tolist() == [MARK, MARK]


@pytest.mark.parametrize("wrong", [-1, 1, -4, 10**6])
def test_a_wrong_number_of_inputs(compiled: Compiled, wrong: int) -> None:
    """Any number of inputs but the model's is APR_E_DIMENSION, whatever else is wrong."""
    n_in, n_out = SIZES[compiled.name]
    out = marked(n_out)
    wide = np.full(max(1, n_in + 1), 0.25, np.float32)

    assert compiled.checked(wide, max(0, n_in + wrong), out, n_out) == DIMENSION
    assert compiled.checked(wide, max(0, n_in + wrong), None, 0) == DIMENSION
    assert out.tolist() == [MARK] * n_out


def test_no_input(compiled: Compiled) -> None:
    """A null row is APR_E_DIMENSION."""
    n_in, n_out = SIZES[compiled.name]
    out = marked(n_out)

    assert compiled.checked(None, n_in, out, n_out) == DIMENSION
    assert out.tolist() == [MARK] * n_out


def test_too_little_room(compiled: Compiled) -> None:
    """One float too few, none, or no buffer at all is APR_E_BUFFER, and nothing is written."""
    n_in, n_out = SIZES[compiled.name]
    out = marked(n_out)

    assert compiled.checked(a_row(compiled), n_in, out, n_out - 1) == BUFFER
    assert compiled.checked(a_row(compiled), n_in, out, 0) == BUFFER
    assert compiled.checked(a_row(compiled), n_in, None, n_out) == BUFFER
    assert out.tolist() == [MARK] * n_out


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
def test_an_input_that_is_not_finite(compiled: Compiled, value: float) -> None:
    """A NaN or an infinity at any place of the row is APR_E_NOT_FINITE, and nothing is written."""
    n_in, n_out = SIZES[compiled.name]
    for place in range(n_in):
        out, row = marked(n_out), a_row(compiled)
        row[place] = value
        assert compiled.checked(row, n_in, out, n_out) == NOT_FINITE
        assert out.tolist() == [MARK] * n_out


@pytest.mark.parametrize("name", ["linreg", "kmeans", "pca"])
def test_an_output_that_is_not_finite(name: str, tmp_path: Path) -> None:
    """Finite inputs so large that a result overflows give APR_E_NOT_FINITE."""
    compiled = load(name, artifact(name).texts, artifact(name).program, tmp_path)
    row = np.full(compiled.program.n_features, 3.4e38, np.float32)
    out = marked(compiled.program.n_outputs)

    assert not np.isfinite(compiled.program.run(row[None])).all()
    assert compiled.checked(row, len(row), out, len(out)) == NOT_FINITE


def test_the_largest_finite_values_are_no_error(tmp_path: Path) -> None:
    """A forest takes every finite row."""
    compiled = load("rfc", artifact("rfc").texts, artifact("rfc").program, tmp_path)
    for value in (3.4028235e38, -3.4028235e38, 1e-45, -0.0):
        row = np.full(4, value, np.float32)
        assert compiled.checked(row, 4, marked(3), 3) == OK


def test_texts(tmp_path: Path) -> None:
    """A null text, too little room and bad UTF-8 have their own status, and leave the output alone."""
    name = "count_vectorizer"
    compiled = load(name, artifact(name).texts, artifact(name).program, tmp_path)
    n_out = compiled.program.n_outputs
    call = compiled.library.count_vectorizer_predict_text

    def status(text: bytes | None, n: int, out: np.ndarray[tuple[int], np.dtype[np.float32]] | None, room: int) -> int:
        buffer = None if out is None else ctypes.c_void_p(out.ctypes.data)
        return int(call(text, ctypes.c_size_t(n), buffer, ctypes.c_size_t(room)))

    out = marked(n_out)
    assert status(None, 4, out, n_out) == DIMENSION
    assert status(b"good", 4, out, n_out - 1) == BUFFER
    assert status(b"good", 4, None, n_out) == BUFFER
    for bad in (b"\xff", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"ok\x80"):
        assert status(bad, len(bad), out, n_out) == ENCODING
    assert out.tolist() == [MARK] * n_out
    assert status(b"", 0, out, n_out) == OK
    assert out.tolist() == [0.0] * n_out


def test_nothing_is_written_beyond_the_batch(tmp_path: Path) -> None:
    """A batch of none writes nothing, a batch of three writes three rows."""
    compiled = load("rfc", artifact("rfc").texts, artifact("rfc").program, tmp_path)
    rows = rows_of("rfc")[:5]
    for count in (0, 3):
        out = np.full((5, 3), MARK, np.float32)
        labels = np.full(5, -9, np.int32)
        for function, buffer in (("rfc_predict_batch", out), ("rfc_classify_batch", labels)):
            getattr(compiled.library, function)(
                ctypes.c_void_p(rows.ctypes.data), ctypes.c_size_t(count), ctypes.c_void_p(buffer.ctypes.data)
            )
        expected = loaded("rfc").model.classify(rows)
        assert expected is not None
        assert out[count:].tolist() == [[MARK] * 3] * (5 - count)
        assert labels.tolist() == [*expected[:count].tolist(), *([-9] * (5 - count))]
