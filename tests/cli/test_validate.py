"""`aprgen validate`: each check with its state, and an exit status for every kind of failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import DATA, Command, is_three_lines
from tests.hostile.bytesmith import fixture, patched
from tests.recorded import fixtures

CHECKS = ["framing", "checksum", "header", "security", "metadata", "compression", "payload", "model"]


def states(report: dict[str, object]) -> dict[str, str]:
    files = report["files"]
    assert isinstance(files, list)
    return {check["name"]: check["state"] for check in files[0]["checks"]}


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("path", fixtures(), ids=lambda path: path.stem)
def test_status_of_every_fixture(aprgen: Command, path: Path) -> None:
    """0 for models, 4 for encrypted ones, 5 for unfitted ones and for those that no code can be made of."""
    layout_only = path.stem in ("agglomerative", "dbscan", "lof", "spectral") or path.stem.startswith("qblock")
    expected = 4 if path.stem.startswith("enc") else 5 if path.stem.startswith("unfitted") or layout_only else 0

    assert aprgen("validate", path).status == expected


def test_sound_file(aprgen: Command) -> None:
    """Every check of a sound file is listed as ok."""
    answer = aprgen("validate", DATA / "real" / "rfc.apr", "--format", "json")

    assert answer.json["valid"] is True
    assert states(answer.json) == dict.fromkeys(CHECKS, "ok")


def test_signed_file(aprgen: Command) -> None:
    """A signed file is valid, with the note that nobody was trusted."""
    answer = aprgen("validate", DATA / "real" / "signed_linreg.apr")

    assert answer.status == 0
    assert "not verified: no trust given" in answer.out


def test_encrypted_file(aprgen: Command) -> None:
    """Of an encrypted file the payload is not checked, and that is said."""
    answer = aprgen("validate", DATA / "real" / "encpw_kmeans.apr", "--format", "json")

    assert answer.status == 4
    assert is_three_lines(answer, "security.encrypted")
    assert states(answer.json) == {
        "framing": "ok",
        "checksum": "ok",
        "header": "ok",
        "security": "failed",
        "metadata": "ok",
        "compression": "not checked",
        "payload": "not checked",
        "model": "not checked",
    }


@pytest.mark.parametrize(
    ("name", "data", "failed", "code"),
    [
        ("checksum", patched(fixture("real/linreg"), 100, b"\xff", repair=False), "checksum", "container.crc"),
        ("version", patched(fixture("real/linreg"), 4, b"\x02"), "header", "container.version"),
        ("type", patched(fixture("real/linreg"), 6, b"\x99\x99"), "header", "container.model_type"),
        ("bounds", patched(fixture("real/linreg"), 12, b"\xff\xff"), "framing", "container.bounds"),
        ("size", patched(fixture("real/linreg"), 16, b"\x35"), "compression", "container.size"),
        ("metadata", patched(fixture("real/linreg"), 32, b"\xc1"), "metadata", "container.metadata"),
        ("payload", patched(fixture("real/linreg"), 79, b"\x07"), "payload", "payload.bool"),
        ("model", patched(fixture("real/linreg"), 88, b"\x00\x00\xc0\x7f"), "model", "payload.parameter"),
        ("zstd", patched(fixture("real/rfc"), 90, b"\xff\xff\xff\xff"), "compression", "container.decompress"),
    ],
)
def test_failing_check(aprgen: Command, tmp_path: Path, name: str, data: bytes, failed: str, code: str) -> None:
    """A fault is listed under the check that found it, and is the one that the exit status speaks of."""
    answer = aprgen("validate", written(tmp_path / f"{name}.apr", data), "--format", "json")

    assert answer.status == 3
    assert is_three_lines(answer, code)
    assert states(answer.json)[failed] == "failed"
    assert answer.json["files"][0]["problems"][0]["code"] == code


def test_all_failures_are_listed(aprgen: Command, tmp_path: Path) -> None:
    """A file with several faults shows all of them, each with where and what to do."""
    data = patched(fixture("real/linreg"), 6, b"\x99\x99\xff\xff\xff\xff", repair=False)
    answer = aprgen("validate", written(tmp_path / "broken.apr", data))

    assert answer.status == 3
    for code in ("container.crc", "container.model_type", "container.bounds"):
        assert code in answer.out
    assert answer.out.count("where:") >= 3
    assert answer.out.count("to do:") >= 3


def test_several_files(aprgen: Command, tmp_path: Path) -> None:
    """Every file is checked; the status is that of the first that fails, and the error names it."""
    bad = written(tmp_path / "bad.apr", b"no model at all, and it is long enough to be one")
    good = DATA / "real" / "rfc.apr"
    answer = aprgen("validate", good, bad, DATA / "real" / "kmeans.apr", "--format", "json")

    assert answer.status == 3
    assert [file["valid"] for file in answer.json["files"]] == [True, False, True]
    assert is_three_lines(answer, "container.magic")
    assert "bad.apr" in answer.error_lines[1]


def test_one_of_several_is_missing(aprgen: Command, tmp_path: Path) -> None:
    """A file that is not there is one failure among the others."""
    answer = aprgen("validate", tmp_path / "none.apr", DATA / "real" / "rfc.apr", "--format", "json")

    assert answer.status == 2
    assert is_three_lines(answer, "file.unreadable")
    assert [file["valid"] for file in answer.json["files"]] == [False, True]
