"""Rows that users give: what is read, what is converted, and what is refused at which place."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from aprgen.cli.rows import read_rows, read_texts
from aprgen.errors import UsageError


def npy(folder: Path, values: object) -> Path:
    path = folder / "rows.npy"
    np.save(path, np.asarray(values), allow_pickle=True)
    return path


def text(folder: Path, content: str | bytes, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64, np.uint8])
def test_npy_of_numbers(tmp_path: Path, dtype: type) -> None:
    """Every numeric type becomes float32."""
    given = read_rows(npy(tmp_path, np.array([[1, 2], [3, 4]], dtype)), 2, wider_rows=False)

    assert given.values.dtype == np.float32
    assert given.values.tolist() == [[1, 2], [3, 4]]
    assert given.notes == ()


def test_float32_is_exact(tmp_path: Path) -> None:
    """float32 keeps every bit, NaN payloads and the sign of zero included."""
    bits = np.array([[0x7FC00001, 0x80000000, 0x00000001, 0xFF800000]], np.uint32)
    given = read_rows(npy(tmp_path, bits.view(np.float32)), 4, wider_rows=False)

    assert given.values.view(np.uint32).tolist() == bits.tolist()


def test_one_dimension_is_one_row(tmp_path: Path) -> None:
    """A vector of n_features is one row; for one feature it is a column."""
    path = npy(tmp_path, np.array([1, 2, 3], np.float32))

    assert read_rows(path, 3, wider_rows=False).values.shape == (1, 3)
    assert read_rows(path, 1, wider_rows=False).values.shape == (3, 1)


def test_wider_rows(tmp_path: Path) -> None:
    """Columns that the original library ignores are cut, with a note; else the row is refused."""
    path = npy(tmp_path, np.arange(6, dtype=np.float32).reshape(2, 3))
    given = read_rows(path, 2, wider_rows=True)

    assert given.values.tolist() == [[0, 1], [3, 4]]
    assert given.notes == ("rows have 3 columns; this model ignores those after the first 2",)
    with pytest.raises(UsageError, match=r"shape \[2, 3\], the model takes \[rows, 2\]") as caught:
        read_rows(path, 2, wider_rows=False)
    assert caught.value.code == "inputs.shape"


def test_large_integers_are_noted(tmp_path: Path) -> None:
    """Integers that float32 cannot hold are rounded, and that is said."""
    given = read_rows(npy(tmp_path, np.array([[2**24 + 1]], np.int64)), 1, wider_rows=False)

    assert given.notes == ("integers beyond 16777216 are rounded to float32",)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (np.array([[1.0, 1e39]]), "inputs.format"),
        (np.array([["a", "b"]]), "inputs.format"),
        (np.array([[1 + 2j, 0]]), "inputs.format"),
        (np.array([[object(), None]], dtype=object), "inputs.format"),
        (np.zeros((2, 3, 4), np.float32), "inputs.shape"),
        (np.zeros((3, 1), np.float32), "inputs.shape"),
        (np.zeros((0, 2), np.float32), "inputs.empty"),
        (np.float32(1), "inputs.shape"),
    ],
)
def test_refused_arrays(tmp_path: Path, values: object, code: str) -> None:
    """Other arrays are refused; nothing is unpickled."""
    with pytest.raises(UsageError) as caught:
        read_rows(npy(tmp_path, values), 2, wider_rows=False)

    assert caught.value.code == code
    assert len(str(caught.value).splitlines()) == 3


def test_pickle_is_not_opened(tmp_path: Path) -> None:
    """A pickle under the name of an array is no array."""

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "opened",)  # type: ignore[return-value]

    path = tmp_path / "rows.npy"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UsageError) as caught:
        read_rows(path, 2, wider_rows=False)

    assert caught.value.code == "inputs.format"
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("cut", [6, 10, 40, 130])
def test_cut_npy(tmp_path: Path, cut: int) -> None:
    """An array that ends too early is refused."""
    path = npy(tmp_path, np.zeros((2, 2), np.float32))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UsageError) as caught:
        read_rows(path, 2, wider_rows=False)

    assert caught.value.code == "inputs.format"


def test_npz_is_no_npy(tmp_path: Path) -> None:
    """An archive of arrays does not say which one is meant."""
    path = tmp_path / "rows.npz"
    np.savez(path, a=np.zeros((1, 2), np.float32))
    with pytest.raises(UsageError, match=r"no \.npy file"):
        read_rows(path, 2, wider_rows=False)


@pytest.mark.parametrize(
    "content",
    [
        "1.5,-2e-3\n3,4\n",
        "a,b\n1.5,-2e-3\n3,4\n",
        "\n\n1.5,-2e-3\n\n3,4\n\n",
        "1.5;-2e-3\r\n3;4\r\n",
        "1.5\t-2e-3\n3\t4",
        "  1.5   -2e-3\n3 4\n",
        "\ufeff1.5, -2e-3\n3 , 4\n",
    ],
)
def test_numbers_as_text(tmp_path: Path, content: str) -> None:
    """Commas, semicolons, tabs or blanks; a header line, empty lines and a byte order mark are left out."""
    given = read_rows(text(tmp_path, content), 2, wider_rows=False)

    assert given.values.tolist() == [[1.5, float(np.float32(-2e-3))], [3, 4]]


def test_names_of_special_numbers(tmp_path: Path) -> None:
    """nan and inf are numbers."""
    given = read_rows(text(tmp_path, "nan,-inf\n"), 2, wider_rows=False)

    assert np.isnan(given.values[0, 0])
    assert given.values[0, 1] == -np.inf


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("1,2\n3,x\n", "line 2, column 2"),
        ("1,2\n\n3,\n", "line 3, column 2"),
        ("1,2\n1_0,2\n", "line 2, column 1"),
        ("1,2\n3\n", "line 2"),
        ("1,x\n3,4\n", "line 1, column 2"),
        (b"1,2\n3,\xff\n", "line 2, byte 6 of the file"),
    ],
)
def test_bad_cells(tmp_path: Path, content: str | bytes, where: str) -> None:
    """What is no number is refused with its line and column."""
    path = text(tmp_path, content)
    with pytest.raises(UsageError) as caught:
        read_rows(path, 2, wider_rows=False)

    assert caught.value.where == f"{path}, {where}"


@pytest.mark.parametrize("content", ["", "\n\n", "a,b\n"])
def test_no_rows(tmp_path: Path, content: str) -> None:
    """A file without rows is refused."""
    with pytest.raises(UsageError) as caught:
        read_rows(text(tmp_path, content), 2, wider_rows=False)

    assert caught.value.code == "inputs.empty"


def test_texts(tmp_path: Path) -> None:
    """One text per line; only line feeds end one, and empty lines count."""
    path = text(tmp_path, "git co\n\n a\u2028b\x0bc \r\nlast", "texts.txt")

    assert read_texts(path) == ("git co", "", " a\u2028b\x0bc ", "last")


def test_bad_texts(tmp_path: Path) -> None:
    """Texts that are no UTF-8, or none at all, are refused."""
    with pytest.raises(UsageError, match="0xff"):
        read_texts(text(tmp_path, b"ok\n\xff\n"))
    with pytest.raises(UsageError) as caught:
        read_texts(text(tmp_path, ""))
    assert caught.value.code == "inputs.empty"
    with pytest.raises(UsageError) as caught:
        read_texts(tmp_path / "missing.txt")
    assert caught.value.code == "inputs.unreadable"
