"""Rows and texts that a user gives: .npy, numbers in a text file, or one text per line; checked, converted, cut.

Knows file formats and shapes; knows no model. Whatever is wrong with a file is a UsageError that says where.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from aprgen.errors import UsageError
from aprgen.program import Array

EXACT_INTEGER = 1 << 24  # float32 holds every integer up to here
_NPY_MAGIC = b"\x93NUMPY"
_ZIP_MAGIC = b"PK"


@dataclass(frozen=True, eq=False)
class Given:
    """values: float32 [rows, features]; notes say what was changed on the way."""

    values: NDArray[np.float32]
    notes: tuple[str, ...]


def read_rows(path: Path, n_features: int, *, wider_rows: bool) -> Given:
    """Rows for a model. Wider ones are cut when the original library ignores further columns, else refused."""
    converted, notes = _numbers_of(path)
    rows = _shaped(converted, n_features, path)
    found = rows.shape[1]
    if found > n_features and wider_rows:
        note = f"rows have {found} columns; this model ignores those after the first {n_features}"
        return Given(np.ascontiguousarray(rows[:, :n_features]), (*notes, note))
    if found != n_features:
        raise _shape_error(path, list(converted.shape), n_features)
    return Given(np.ascontiguousarray(rows), notes)


def read_answers(path: Path, n_rows: int, width: int) -> NDArray[np.float32]:
    """What is right for each of n_rows rows, float32 [n_rows, width]: labels, or values."""
    found, _ = _numbers_of(path)
    if found.shape not in ((n_rows,), (n_rows, width)) or found.size != n_rows * width:
        raise UsageError(
            "inputs.shape", f"the labels have shape {list(found.shape)}, {n_rows} rows need [{n_rows}, {width}]",
            where=str(path), hint="give one line of labels or values for each row of --calibrate",
        )  # fmt: skip
    return found.reshape(n_rows, width)


def _numbers_of(path: Path) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    with _opened(path) as file:
        beginning = file.read(len(_NPY_MAGIC))
        file.seek(0)
        if beginning == _NPY_MAGIC:
            values = _read_npy(file, path)
        elif path.suffix.lower() in (".npy", ".npz") or beginning.startswith(_ZIP_MAGIC):
            raise _wrong(path, "this is no .npy file", "byte 0", "save one array with numpy.save, or give a .csv file")
        else:
            values = _read_numbers(_text_of(file, path), path)
    return _float32(values, path)


def read_texts(path: Path) -> tuple[str, ...]:
    """One text per line of a UTF-8 file; an empty line is an empty text. A byte order mark is left out."""
    with _opened(path) as file:
        text = _text_of(file, path)
    if not text:
        raise _empty(path)
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return tuple(line.removesuffix("\r") for line in lines)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise UsageError(
            "inputs.unreadable",
            f"cannot read the inputs: {error.strerror}",
            where=str(path),
            hint="give the path of a file that you may read",
        ) from None


def _wrong(path: Path, what: str, where: str, hint: str) -> UsageError:
    return UsageError("inputs.format", what, where=f"{path}, {where}" if where else str(path), hint=hint)


def _empty(path: Path) -> UsageError:
    return UsageError("inputs.empty", "there are no rows", where=str(path), hint="give at least one row")


def _shape_error(path: Path, found: list[int], n_features: int) -> UsageError:
    return UsageError(
        "inputs.shape",
        f"the inputs have shape {found}, the model takes [rows, {n_features}]",
        where=str(path),
        hint="one row per record, one column per feature, in the order of training",
    )


def _read_npy(file: BinaryIO, path: Path) -> Array:
    try:
        values = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it ends too early"
        raise _wrong(path, f"no readable .npy file: {reason}", "", "save a float32 array with numpy.save") from None
    if values.dtype.kind not in "fiu":
        what = f"an array of {values.dtype}, not of numbers"
        raise _wrong(path, what, "the header", "save it as float32: numpy.save(path, rows.astype(numpy.float32))")
    return np.asarray(values)


def _text_of(file: BinaryIO, path: Path) -> str:
    data = file.read()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"no UTF-8: byte {data[error.start]:#04x}"
        raise _wrong(path, what, f"line {line}, byte {error.start} of the file", "save the file as UTF-8") from None


def _read_numbers(text: str, path: Path) -> NDArray[np.float64]:
    """Comma, semicolon, tab or blanks between the numbers; the first line may name the columns."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not lines:
        raise _empty(path)
    separator = next((mark for mark in (",", ";", "\t") if mark in lines[0][1]), None)
    first = lines[0][1].split(separator)
    if all(_number(cell) is None for cell in first):
        lines = lines[1:]
    if not lines:
        raise _empty(path)
    rows: list[list[float]] = []
    for number, line in lines:
        cells = line.split(separator)
        row = []
        for column, cell in enumerate(cells, start=1):
            value = _number(cell)
            if value is None:
                place = f"line {number}, column {column}"
                raise _wrong(path, f"{cell.strip()[:40]!r} is no number", place, "write numbers, as in 1.5 or -2e-3")
            row.append(value)
        if rows and len(row) != len(rows[0]):
            what = f"{len(row)} numbers, where the lines before have {len(rows[0])}"
            raise _wrong(path, what, f"line {number}", "every line needs one number per feature")
        rows.append(row)
    return np.array(rows, np.float64)


def _number(cell: str) -> float | None:
    """What float() reads, but no underscores, which it takes for grouping."""
    if "_" in cell:
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def _float32(values: Array, path: Path) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Converted with care: a number too large for float32 is refused, rounding is noted."""
    with np.errstate(over="ignore"):
        converted = np.asarray(values, np.float32)
    if values.dtype == np.float32:
        return converted, ()
    if values.dtype.kind == "f":
        lost = np.isinf(converted) & np.isfinite(values)
        if bool(lost.any()):
            index = tuple(int(i) for i in np.argwhere(lost)[0])
            what = f"{values[index]:.9g} is too large for float32 (at most 3.4e38)"
            raise _wrong(path, what, f"index {list(index)}", "scale the feature")
        return converted, ()
    if bool((np.abs(values.astype(np.float64)) > EXACT_INTEGER).any()):
        return converted, (f"integers beyond {EXACT_INTEGER} are rounded to float32",)
    return converted, ()


def _shaped(values: NDArray[np.float32], n_features: int, path: Path) -> NDArray[np.float32]:
    """One dimension is one row, or a column when the model has one feature."""
    if values.ndim == 1:
        values = values.reshape(-1, 1) if n_features == 1 else values.reshape(1, -1)
    if values.ndim != 2:
        raise _shape_error(path, list(values.shape), n_features)
    if math.prod(values.shape) == 0:
        raise _empty(path)
    return values
