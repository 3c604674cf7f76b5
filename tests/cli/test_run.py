"""`aprgen run`: results as files and as text, the same bits as the Program's, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aprgen.loaded import load_model
from tests.cli.commands import DATA, Command, is_three_lines, process

RFC = DATA / "real" / "rfc.apr"
ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3], [np.nan, -0.0, np.inf, 1e-41]], np.float32)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.npy"
    np.save(path, ROWS)
    return path


@pytest.fixture(autouse=True)
def _host(require_target: Callable[[str], None]) -> None:
    require_target("host")


def test_npz(aprgen: Command, tmp_path: Path, rows: Path) -> None:
    """OUT.npz holds float32 scores and int32 labels, bit for bit those of the Program, NaN rows included."""
    out = tmp_path / "out.npz"
    answer = aprgen("run", RFC, "--inputs", rows, "--output", out)
    program = load_model(RFC.read_bytes()).model.lower()

    assert (answer.status, answer.err) == (0, "")
    with np.load(out, allow_pickle=False) as results:
        assert sorted(results) == ["classify", "predict"]
        assert results["predict"].dtype == np.float32
        assert results["classify"].dtype == np.int32
        assert results["predict"].tobytes() == program.run(ROWS).tobytes()
        assert results["classify"].tolist() == np.asarray(program.classify(ROWS)).tolist()


def test_same_rows_same_file(aprgen: Command, tmp_path: Path, rows: Path) -> None:
    """The result file has no time in it."""
    for name in ("one.npz", "two.npz"):
        aprgen("run", RFC, "--inputs", rows, "--output", tmp_path / name)

    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_json(aprgen: Command, tmp_path: Path, rows: Path) -> None:
    """OUT.json holds the same as lists."""
    out = tmp_path / "out.json"
    aprgen("run", RFC, "--inputs", rows, "--output", out)
    results = json.loads(out.read_text())

    assert results["predict"][0] == [1.0, 0.0, 0.0]
    assert results["classify"][:2] == [0, 2]


def test_regression_has_no_labels(aprgen: Command, tmp_path: Path) -> None:
    """A model that does not classify gives `predict` alone; what JSON has no number for is a text."""
    inputs = tmp_path / "rows.csv"
    inputs.write_text(",".join(["nan"] * 10) + "\n" + ",".join(["0"] * 10) + "\n")
    out = tmp_path / "out.json"
    answer = aprgen("run", DATA / "real" / "linreg.apr", "--inputs", inputs, "--output", out)
    results = json.loads(out.read_text())

    assert answer.status == 0
    assert list(results) == ["predict"]
    assert results["predict"][0] == ["NaN"]
    assert results["predict"][1] == [pytest.approx(151.773, abs=1e-3)]


def test_printed(aprgen: Command, rows: Path) -> None:
    """Without --output results and measurements are printed; JSON has both."""
    text = aprgen("run", RFC, "--inputs", rows).out
    report = aprgen("run", RFC, "--inputs", rows, "--format", "json").json

    for word in ("predict", "classify", "min / mean / max", "stack used", "runner", "flash"):
        assert word in text
    assert report["rows"] == 3
    assert report["results"]["classify"][:2] == [0, 2]
    assert report["execution"]["stack_bytes"]["scores"] > 0
    assert report["footprint"]["flash_bytes"] > 0


def test_instructions(aprgen: Command, rows: Path, require_target: Callable[[str], None]) -> None:
    """On the Cortex-M4 instructions per inference are counted: min, mean and max over the rows."""
    require_target("cortex-m4")
    counts = aprgen("run", RFC, "--inputs", rows, "-t", "cortex-m4", "--format", "json").json["execution"]
    scores = counts["instructions"]["scores"]

    assert scores["unit"] == "instructions"
    assert scores["rows"] == 3
    assert 0 < scores["min"] <= scores["mean"] <= scores["max"]


def test_texts(aprgen: Command, tmp_path: Path) -> None:
    """A text model takes one text per line, an empty one too."""
    inputs = tmp_path / "texts.txt"
    inputs.write_text("the cat\n\nTHE dog\n")
    out = tmp_path / "out.npz"
    model = DATA / "extended" / "count_vectorizer.apr"
    answer = aprgen("run", model, "--inputs", inputs, "--output", out)
    program = load_model(model.read_bytes()).model.lower()

    assert answer.status == 0
    with np.load(out) as results:
        assert list(results) == ["predict"]
        assert results["predict"].shape == (3, program.n_outputs)
        assert not results["predict"][1].any()


def test_suggestions(aprgen: Command, tmp_path: Path) -> None:
    """A completion model gives the suggested texts beside their scores, best first."""
    inputs = tmp_path / "prefixes.txt"
    inputs.write_text("git co\nzzz\n")
    out = tmp_path / "out.npz"
    answer = aprgen("run", DATA / "real" / "ngram_shell.apr", "--inputs", inputs, "--output", out)

    assert answer.status == 0
    with np.load(out, allow_pickle=False) as results:
        assert results["suggestions"][0, 0] == "git commit"
        assert results["predict"][0, 0] == np.float32(0.2) * np.float32(0.9)  # after "git", one "co..." in five
        assert results["suggestions"][1].tolist() == [""] * 5
        assert results["predict"][1].tolist() == [0] * 5


def test_wider_rows_are_noted(aprgen: Command, tmp_path: Path) -> None:
    """Columns that a forest ignores are cut with a note."""
    inputs = tmp_path / "rows.csv"
    inputs.write_text("5.1,3.5,1.4,0.2,9\n")
    answer = aprgen("run", RFC, "--inputs", inputs)

    assert answer.status == 0
    assert "ignores those after the first 4" in answer.out


def test_wrong_shape(aprgen: Command, tmp_path: Path) -> None:
    """Rows of another width are status 2 with both shapes, and no result is written."""
    inputs = tmp_path / "rows.csv"
    inputs.write_text("1,2,3\n4,5,6\n")
    out = tmp_path / "out.npz"
    answer = aprgen("run", DATA / "real" / "linreg.apr", "--inputs", inputs, "--output", out)

    assert answer.status == 2
    assert is_three_lines(answer, "inputs.shape")
    assert "[2, 3]" in answer.error_lines[0]
    assert "[rows, 10]" in answer.error_lines[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv"]


def test_wrong_output_suffix(aprgen: Command, tmp_path: Path, rows: Path) -> None:
    """Results go to .npz or .json; anything else is refused before the work."""
    answer = aprgen("run", RFC, "--inputs", rows, "--output", tmp_path / "out.csv")

    assert answer.status == 2
    assert is_three_lines(answer, "output.format")


def test_unwritable_output(aprgen: Command, tmp_path: Path, rows: Path) -> None:
    """An output in a folder that is not there is status 2."""
    answer = aprgen("run", RFC, "--inputs", rows, "--output", tmp_path / "missing" / "out.npz")

    assert answer.status == 2
    assert is_three_lines(answer, "output.unwritable")


def test_missing_compiler(tmp_path: Path, rows: Path) -> None:
    """Without a compiler running is status 7, with what to install."""
    environment = {"PATH": str(tmp_path / "empty"), "HOME": str(tmp_path)}
    answer = process("run", RFC, "--inputs", rows, "-t", "cortex-m4", "--tools", "system", environment=environment)

    assert answer.status == 7
    assert is_three_lines(answer, "toolchain.missing")
    assert "apt-get install" in answer.error_lines[2]
