"""`aprgen convert`: to the native form and back, and what is said on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from aprgen import load
from aprgen.loaded import load_model
from tests.cli.commands import DATA, Command, is_three_lines
from tests.examples import loaded


def test_there_and_back(aprgen: Command, tmp_path: Path) -> None:
    """The native file is valid, compiles like the original, and gives the original payload back."""
    native, back = tmp_path / "rfc.apr", tmp_path / "back.apr"
    there = aprgen("convert", DATA / "real" / "rfc.apr", "-o", native, "--native", "--format", "json")

    assert (there.status, there.json["record"]) == (0, 6457)
    assert there.json["workspace"] == 4 * (3 + 3 + 1)
    assert aprgen("validate", native).status == 0
    assert aprgen("convert", native, "-o", back, "--payload", "bincode").status == 0
    assert load_model(back.read_bytes()).container.payload == loaded("rfc").record  # type: ignore[union-attr]
    assert aprgen("compile", native, "-o", tmp_path / "c", "--no-measure").status == 0


def test_without_the_record(aprgen: Command, tmp_path: Path) -> None:
    """The file is smaller and says so; it cannot be converted back."""
    lean = tmp_path / "lean.apr"
    answer = aprgen("convert", DATA / "real" / "rfc.apr", "-o", lean, "--native", "--no-record")
    back = aprgen("convert", lean, "-o", tmp_path / "back.apr", "--payload", "bincode")

    assert answer.status == 0
    assert "not kept" in answer.out
    assert lean.stat().st_size < 2_000
    assert aprgen("inspect", lean).status == 0
    assert back.status == 5
    assert is_three_lines(back, "native.record")
    assert not (tmp_path / "back.apr").exists()


def test_the_same_from_python(aprgen: Command, tmp_path: Path) -> None:
    """A loaded model gives the bytes that the command writes, in either form."""
    path, native = DATA / "real" / "gmm.apr", tmp_path / "gmm.apr"
    aprgen("convert", path, "-o", native, "--native")
    model = load(path)

    assert native.read_bytes() == model.in_form("native")
    assert len(model.in_form("native", keep_record=False)) < native.stat().st_size
    assert load(native).in_form("bincode") == model.in_form("bincode")


def test_a_signature_stays_behind(aprgen: Command, tmp_path: Path) -> None:
    """The signature is one of other bytes, and that is said."""
    answer = aprgen("convert", DATA / "real" / "signed_dtc.apr", "-o", tmp_path / "d.apr", "--native")

    assert answer.status == 0
    assert "not carried over" in answer.out


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("real/linreg.apr",), 2),
        (("real/linreg.apr", "--payload", "bincode", "--no-record"), 2),
        (("real/linreg.apr", "--payload", "other"), 2),
        (("real/unfitted_kmeans.apr", "--native"), 5),
        (("real/dbscan.apr", "--native"), 5),
        (("real/encpw_kmeans.apr", "--native"), 4),
    ],
)
def test_refusals(aprgen: Command, tmp_path: Path, words: tuple[str, ...], status: int) -> None:
    """Without a form, with words that contradict each other, and of models that cannot predict: nothing is written."""
    out = tmp_path / "out.apr"
    answer = aprgen("convert", DATA / words[0], *words[1:], "-o", out)

    assert answer.status == status
    assert len(answer.error_lines) == 3
    assert not out.exists()
