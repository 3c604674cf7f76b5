"""Every target runs, and all give the same bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stand_in import ELEMENTWISE, PREFIX, ROUNDING, TARGETS, TEXT, TREE, rounding_in_numpy, rows

from aprgen.errors import UsageError
from aprgen.runners.choose import runner_for
from aprgen.runners.execution import Suggestion
from aprgen.target import load_target


@pytest.mark.parametrize("name", TARGETS)
def test_rounding_is_the_same_everywhere(name: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """2,000 rows that round at every step give the bits of float32 arithmetic without fusing, on every target."""
    require_target(name)
    x = rows(2000, 4)
    expected = rounding_in_numpy(x)
    actual = runner_for(load_target(name)).run(ROUNDING.build_for(name, tmp_path), x)

    assert actual.scores.tobytes() == expected.tobytes()
    assert actual.labels is not None
    labels = np.where(
        expected[:, 0] > expected[:, 1],
        np.where(expected[:, 0] > expected[:, 2], 10, 30),
        np.where(expected[:, 1] > expected[:, 2], -20, 30),
    )
    assert actual.labels.tolist() == labels.tolist()


@pytest.mark.parametrize("name", TARGETS)
def test_subnormal_numbers_are_kept(name: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """No target flushes subnormal inputs or results to zero, even where the compiler could use vectors that do."""
    require_target(name)
    x = (np.random.default_rng(2).standard_normal((100, 64)) * 1e-39).astype(np.float32)
    expected = (x - np.float32(1e-39)) * np.float32(0.5)
    actual = runner_for(load_target(name)).run(ELEMENTWISE.build_for(name, tmp_path), x).scores

    assert np.count_nonzero(expected) == expected.size
    assert actual.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", ["host", "x86-avx2", "x86-avx512"])
def test_a_second_compiler_gives_the_same_bits(
    name: str, tmp_path: Path, require_target: Callable[[str], None], require_tool: Callable[[str], None]
) -> None:
    """clang, which fuses multiplications unless told not to, agrees with gcc and with NumPy."""
    require_target(name)
    require_tool("clang-14")
    x = rows(2000, 4)
    image = ROUNDING.build_for(name, tmp_path, "clang")

    assert image.toolchain.name in ("clang", "clang-14")
    assert runner_for(image.target).run(image, x).scores.tobytes() == rounding_in_numpy(x).tobytes()


@pytest.mark.parametrize("name", TARGETS)
def test_special_values_pass_through(name: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Comparisons with NaN, infinities, zeros of both signs and subnormals decide alike on every target."""
    require_target(name)
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 0.5, np.nextafter(np.float32(0.5), 1), -1.0])
    x = np.array([[a, b] for a in values for b in values], np.float32)
    actual = runner_for(load_target(name)).run(TREE.build_for(name, tmp_path), x)
    with np.errstate(invalid="ignore"):
        expected = np.where(x[:, 0] <= 0.5, np.where(x[:, 1] <= -1, 1, 2), 3)

    assert actual.labels is not None
    assert actual.labels.tolist() == expected.tolist()
    assert actual.scores[:, 0].tolist() == expected.tolist()


@pytest.mark.parametrize("name", TARGETS)
def test_texts_of_every_length(name: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Text models get every byte of texts of 0 to 40 bytes, invalid UTF-8 included."""
    require_target(name)
    texts = [bytes((7 * i + n) % 256 for i in range(n)) for n in range(41)] * 20
    expected = [[sum(1 for byte in text if byte & 3 == k) for k in range(4)] for text in texts]
    actual = runner_for(load_target(name)).run(TEXT.build_for(name, tmp_path), texts)

    assert actual.scores.tolist() == expected
    assert actual.labels is None


@pytest.mark.parametrize("name", TARGETS)
def test_suggestions_come_back(name: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """A model that completes prefixes gives texts and scores; none for the empty prefix, five at most."""
    require_target(name)
    prefixes = ["", "a", "git", "日本"]
    expected = tuple(
        tuple(
            Suggestion(prefix + "!" * (i + 1), float(np.float32(1) / np.float32(i + 1)))
            for i in range(min(5, len(prefix.encode())))
        )
        for prefix in prefixes
    )
    actual = runner_for(load_target(name)).run(PREFIX.build_for(name, tmp_path), prefixes)

    assert actual.suggestions == expected


def test_more_rows_than_the_buffer_holds(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """On the smallest board 5,000 rows go through in many blocks, in order."""
    require_target("cortex-m0plus")
    x = rows(5000, 4)
    image = ROUNDING.build_for("cortex-m0plus", tmp_path)
    actual = runner_for(image.target).run(image, x)

    assert image.in_words < 4 * 5000
    assert actual.scores.tobytes() == rounding_in_numpy(x).tobytes()
    assert len(actual.instructions["scores"].values) == 5000


def test_no_rows_at_all(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """An empty input gives empty outputs."""
    require_target("host")
    image = ROUNDING.build_for("host", tmp_path)
    actual = runner_for(image.target).run(image, rows(0, 4))

    assert actual.scores.shape == (0, 3)


def test_a_wrong_shape_is_refused_before_anything_runs(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Rows with another number of features are a usage error."""
    require_target("host")
    image = ROUNDING.build_for("host", tmp_path)

    with pytest.raises(UsageError, match=r"takes \[rows, 4\], not \[10, 5\]"):
        runner_for(image.target).run(image, rows(10, 5))


def test_a_text_too_long_for_the_board_is_refused(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """A text that does not fit the input buffer names itself."""
    require_target("cortex-m0plus")
    image = TEXT.build_for("cortex-m0plus", tmp_path)

    with pytest.raises(UsageError, match="does not fit") as caught:
        runner_for(image.target).run(image, ["short", "x" * 100_000])
    assert caught.value.where == "text 1"


def test_a_relative_build_folder_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, require_target: Callable[[str], None]
) -> None:
    """The build folder may be given relative to where one stands."""
    require_target("cortex-m4")
    monkeypatch.chdir(tmp_path)
    image = TREE.build_for("cortex-m4", Path("out"))

    assert runner_for(image.target).run(image, rows(3, 2)).scores.shape == (3, 1)
