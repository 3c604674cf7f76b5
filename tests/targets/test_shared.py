"""The model loaded into this process answers as the program does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stand_in import ROUNDING, TEXT, TREE, rounding_in_numpy, rows

from aprgen.errors import ToolchainError, UsageError
from aprgen.runners.shared import SharedImage, load_shared
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain


def loaded(stand_in: object, work: Path, name: str = "host") -> SharedImage:
    target = load_target(name)
    return load_shared(target, find_toolchain(target), stand_in.sources, stand_in.facts, work)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["host", "x86-avx2", "x86-avx512"])
def test_a_loaded_model_predicts_the_same_bits(
    name: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """Scores through ctypes are those of float32 arithmetic, for every target that this machine is."""
    require_target(name)
    x = rows(2000, 4)

    assert loaded(ROUNDING, tmp_path, name).predict(x).tobytes() == rounding_in_numpy(x).tobytes()


def test_a_loaded_model_classifies(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Labels come back as int32."""
    require_target("host")
    x = np.array([[0, -2], [0, 0], [1, 0]], np.float32)
    labels = loaded(TREE, tmp_path).classify(x)

    assert labels is not None
    assert (labels.dtype, labels.tolist()) == (np.int32, [1, 2, 3])


def test_strided_and_double_rows_are_converted(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Rows that are not contiguous float32 are made so first."""
    require_target("host")
    wide = rows(50, 8).astype(np.float64)
    narrow = np.ascontiguousarray(wide[:, ::2], np.float32)
    model = loaded(ROUNDING, tmp_path)

    assert model.predict(wide[:, ::2]).tobytes() == model.predict(narrow).tobytes()  # type: ignore[arg-type]


def test_texts_go_in_too(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """A text model takes a list of texts."""
    require_target("host")

    assert loaded(TEXT, tmp_path).predict(["", "abcd"]).tolist() == [[0, 0, 0, 0], [1, 1, 1, 1]]


def test_a_wrong_shape_never_reaches_the_c(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """The shape is checked before the pointer is passed."""
    require_target("host")

    with pytest.raises(UsageError, match=r"takes \[rows, 4\]"):
        loaded(ROUNDING, tmp_path).predict(rows(3, 3))


def test_another_machines_code_is_not_loaded(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """A target that never runs natively is refused."""
    require_target("cortex-m4")

    with pytest.raises(ToolchainError, match="cannot be loaded"):
        loaded(TREE, tmp_path, "cortex-m4")
