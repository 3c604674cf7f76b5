"""What every family offers: a decoded model that predicts, describes itself and lowers itself to a Program.

Knows the nouns; knows no particular family, no files and no C.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aprgen.container.bincode import Codec
from aprgen.errors import PayloadError, UnsupportedError
from aprgen.program import Array, Program

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]

# Constants of one model, in bytes of which gcc takes 14, and 50 ns, for each. Families other than trees compute theirs
# as arrays of float64 first.
MAX_TREE_BYTES = 1 << 28
MAX_TABLE_BYTES = 1 << 24
MAX_OUTPUTS = 65_536  # more outputs than any device model has; a hostile label cannot ask for more memory


@dataclass(frozen=True)
class Fact:
    """One line of `aprgen inspect`: a label and a value that reads well and stays JSON."""

    label: str
    value: str | int | float | bool | tuple[float, ...] | tuple[int, ...] | tuple[str, ...] | None


class Model(Protocol):
    """A decoded model. Decoding promises the layout only; check() promises that it can predict."""

    @property
    def family(self) -> str:
        """The family in words: "random forest classifier"."""
        ...

    @property
    def n_features(self) -> int:
        """Columns of an input row; 0 for text models and for models that were never fitted."""
        ...

    @property
    def struct(self) -> str:
        """The Rust name of the payload's struct."""
        ...

    @property
    def wider_rows(self) -> bool:
        """Whether the original library ignores columns beyond n_features, instead of refusing the row."""
        ...

    @property
    def outputs(self) -> str:
        """What the scores are, for the comment in the C: "one score per class"."""
        ...

    def facts(self) -> tuple[Fact, ...]:
        """Structure for people: parameters, trees, nodes, depth, classes, importances."""
        ...

    def check(self) -> None:
        """Raise UnsupportedError when unfitted or layout-only, PayloadError when the parameters make no sense."""
        ...

    def predict(self, rows: Array) -> Floats:
        """Scores [rows, n_outputs] as the original library computes them; exp, log and pow correctly rounded."""
        ...

    def classify(self, rows: Array) -> Labels | None:
        """Original labels [rows]; None when the model does not classify."""
        ...

    def lower(self) -> Program:
        """The same computation as a Program."""
        ...

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        """Promise: |Program.run() - predict()| is at most this for these rows, whose scores predict() gave.

        Broadcasts to [rows, n_outputs]; 0 promises equality, infinity nothing. Above 0 only where exp, log or pow are.
        """
        ...


Fields = dict[str, object]


@dataclass(frozen=True)
class Struct:
    """One payload layout of the original library."""

    name: str  # the Rust name
    model_types: tuple[int, ...]  # ids of the header under which it is found
    codec: Codec[dict[str, object]]
    build: Callable[[Fields], Model]


EQUAL = np.zeros((1, 1))  # the tolerance of families without exp, log or pow


def in_ulps(n: float, scores: Floats) -> Array:
    """n units in the last place of the largest score of each row, 0 for rows that are not finite; [rows, 1]."""
    with np.errstate(invalid="ignore"):
        ulp = np.spacing(np.abs(scores).max(axis=1, keepdims=True))
    return np.asarray(n * np.where(np.isfinite(ulp), ulp, 0))


def unfitted(name: str) -> UnsupportedError:
    return UnsupportedError(
        "model.unfitted",
        f"this {name} was never fitted: the file holds no trained parameters",
        where="the payload",
        hint="fit the model before saving it",
    )


def layout_only(name: str, why: str) -> UnsupportedError:
    return UnsupportedError(
        "model.layout_only",
        f"no code can be made for a {name}: {why}",
        where="the payload",
        hint="`aprgen inspect` shows what the file holds",
    )


def bad_parameter(what: str, *, where: str) -> PayloadError:
    hint = "the file is damaged or was edited; export it again"
    return PayloadError("payload.parameter", what, where=where, hint=hint)


def require_table_bytes(n_bytes: int, where: str, *, of_trees: bool = False) -> None:
    """More constants than aprgen writes are refused; families whose constants are costly to compute ask first."""
    most = MAX_TREE_BYTES if of_trees else MAX_TABLE_BYTES
    if n_bytes > most:
        raise UnsupportedError(
            "model.too_large",
            f"the model's constants take {n_bytes} bytes, aprgen writes at most {most} as C",
            where=where,
            hint="train a smaller model",
        )


def require_outputs(n_outputs: int, where: str) -> None:
    """More outputs than MAX_OUTPUTS are refused before any are computed."""
    if n_outputs > MAX_OUTPUTS:
        raise UnsupportedError(
            "model.outputs",
            f"the model gives {n_outputs} values per row, aprgen writes code for at most {MAX_OUTPUTS}",
            where=where,
            hint="train a smaller model",
        )


def require_finite(name: str, values: Array) -> None:
    """A NaN or infinite parameter makes every answer meaningless: refuse it."""
    finite = np.isfinite(values)
    if not bool(np.all(finite)):
        index = int(np.argmin(finite.reshape(-1)))
        raise bad_parameter(f"{name} holds {np.asarray(values).reshape(-1)[index]} at index {index}", where=name)


def require_rows(rows: Array, n_features: int) -> None:
    """Rows must be [rows, n_features]."""
    if rows.ndim != 2 or rows.shape[1] != n_features:
        raise ValueError(f"rows have shape {rows.shape}, the model takes [rows, {n_features}]")
