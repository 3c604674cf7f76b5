"""`aprgen inspect`: every part of a file, in boxes and as JSON, whatever state the file is in."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from aprgen.container import write_v1
from aprgen.container.metadata import Metadata
from tests.cli.commands import DATA, Command, is_three_lines
from tests.hostile.bytesmith import fixture
from tests.recorded import fixtures

KEYS = ["file", "header", "metadata", "signature", "encryption", "tensors", "structure", "findings", "problems"]
LINREG = b"\x01" + (2).to_bytes(8, "little") + bytes(8) + bytes(4) + b"\x01"  # two coefficients, intercept, flag


@pytest.mark.parametrize("path", fixtures(), ids=lambda path: path.stem)
def test_every_fixture(aprgen: Command, path: Path) -> None:
    """Every fixture of the original library can be inspected, encrypted and unfitted ones too."""
    answer = aprgen("inspect", path)

    assert (answer.status, answer.err) == (0, "")
    assert "structure" in answer.out


@pytest.mark.parametrize("path", fixtures(), ids=lambda path: path.stem)
def test_json_of_every_fixture(aprgen: Command, path: Path) -> None:
    """JSON has the same keys for every file."""
    found = aprgen("inspect", path, "--format", "json").json

    assert list(found) == KEYS
    assert found["header"]["checksum"]["valid"] is True


def test_forest(aprgen: Command) -> None:
    """A forest's box shows its trees, nodes, depth and classes."""
    found = aprgen("inspect", DATA / "real" / "rfc.apr", "--format", "json").json

    assert found["file"]["kind"] == "APR v1"
    assert found["file"]["payload_bytes_stored"] == 1692
    assert found["file"]["payload_bytes_unpacked"] == 6457
    assert found["header"]["model_type_name"] == "RandomForest"
    assert found["header"]["compression_name"] == "zstd level 3"
    assert found["structure"]["family"] == "random forest classifier"
    assert found["structure"]["compiles"] is True
    facts = found["structure"]["facts"]
    assert (facts["trees"], facts["split nodes"], facts["depth"], facts["classes"]) == (7, 35, 4, 3)


def test_metadata(aprgen: Command) -> None:
    """All fields of the metadata are shown, and Unix seconds as a date."""
    path = DATA / "real" / "meta_full_linreg.apr"
    answer = aprgen("inspect", path)

    for word in (
        "house price β model",
        "all metadata fields filled in",
        "2026-11-20 20:32:09 UTC (1795206729)",
        "0.26.3",
        "sklearn diabetes",
        "alpha = 0.1",
        "r2 = 0.5177",
        "unicode 😀 = ok",
        "ACME GmbH",
        "diabetes-linreg-20260225",
        "Progressive",
    ):
        assert word in answer.out
    found = aprgen("inspect", path, "--format", "json").json
    assert found["metadata"]["created_at_utc"] == "2026-11-20 20:32:09 UTC"
    assert found["metadata"]["hyperparameters"]["big"] == 18446744073709551615


def test_signed(aprgen: Command) -> None:
    """A signature is shown with the signer's key and what nobody did with it."""
    path = DATA / "real" / "signed_linreg.apr"
    signature = aprgen("inspect", path, "--format", "json").json["signature"]

    assert signature["present"] is True
    assert signature["state"] == "not verified: no trust given"
    assert len(bytes.fromhex(signature["fingerprint"])) == 32
    assert signature["fingerprint"] in aprgen("inspect", path).out


def test_encrypted(aprgen: Command) -> None:
    """Of an encrypted file header and metadata are shown, and that the rest is closed."""
    found = aprgen("inspect", DATA / "real" / "encpw_kmeans.apr", "--format", "json").json

    assert found["header"]["flag_names"] == ["ENCRYPTED"]
    assert found["metadata"]["aprender_version"] == "0.26.3"
    assert found["structure"]["state"] == "encrypted"
    assert found["structure"]["compiles"] is False


def test_tensors(aprgen: Command) -> None:
    """An APR v2 file shows its tensors and the network they are."""
    found = aprgen("inspect", DATA / "v2" / "v2_mlp_f16.apr", "--format", "json").json

    assert found["file"]["kind"] == "APR v2"
    assert found["tensors"][1] == {"name": "layer0.weight", "type": "F16", "shape": [8, 4], "bytes": 64}
    assert found["structure"]["facts"]["widths"] == [4, 8, 6, 3]


def test_unfitted(aprgen: Command) -> None:
    """An unfitted model is shown with the reason why it does not compile."""
    found = aprgen("inspect", DATA / "real" / "unfitted_kmeans.apr", "--format", "json").json

    assert found["structure"]["compiles"] is False
    assert "never fitted" in found["structure"]["reason"]


def test_damaged(aprgen: Command, tmp_path: Path) -> None:
    """Of a damaged file everything that can still be read is shown; the status is 3."""
    data = bytearray(fixture("real/linreg"))
    data[-10] ^= 1
    path = tmp_path / "damaged.apr"
    path.write_bytes(data)
    answer = aprgen("inspect", path)

    assert answer.status == 3
    assert is_three_lines(answer, "container.crc")
    assert "linear regression" in answer.out
    assert "invalid: the file says" in answer.out
    assert "problems" in answer.out


def test_no_apr_file(aprgen: Command, tmp_path: Path) -> None:
    """Any other file is status 3, and JSON keeps its keys."""
    path = tmp_path / "notes.apr"
    path.write_text("milk, eggs")
    answer = aprgen("inspect", path, "--format", "json")

    assert answer.status == 3
    assert is_three_lines(answer, "container.magic")
    assert list(answer.json) == KEYS
    assert answer.json["file"]["kind"] == "no .apr file"


def test_no_file(aprgen: Command, tmp_path: Path) -> None:
    """A path without a file is status 2."""
    answer = aprgen("inspect", tmp_path / "missing.apr")

    assert answer.status == 2
    assert is_three_lines(answer, "file.unreadable")


def test_unknown_struct(aprgen: Command) -> None:
    """--as with a struct that does not exist is status 2 and names those that do."""
    answer = aprgen("inspect", DATA / "real" / "linreg.apr", "--as", "Perceptron")

    assert answer.status == 2
    assert is_three_lines(answer, "usage.struct")


HOSTILE_TEXT = "\x1b[2J\x1b]0;owned\x07[bold red]x[/]\u202e\u2066\r\n\x9b31m" + "y" * 5000


def hostile_file(path: Path) -> Path:
    metadata = Metadata(
        "1795206729",
        HOSTILE_TEXT,
        model_name=HOSTILE_TEXT,
        description=HOSTILE_TEXT,
        hyperparameters={HOSTILE_TEXT: HOSTILE_TEXT},
        unknown={HOSTILE_TEXT: (HOSTILE_TEXT, {HOSTILE_TEXT: HOSTILE_TEXT})},
    )
    path.write_bytes(write_v1(1, LINREG, metadata))
    return path


@pytest.mark.parametrize("verb", ["inspect", "validate"])
def test_escapes_are_not_obeyed(aprgen: Command, tmp_path: Path, verb: str) -> None:
    """No control character of a file reaches the terminal, in text or in JSON, and markup stays text."""
    path = hostile_file(tmp_path / "hostile.apr")

    for form in ("text", "json"):
        answer = aprgen(verb, path, "--format", form)
        assert answer.status == 0
        assert {char for char in answer.out if not char.isprintable()} == {"\n"}
    text = aprgen("inspect", path).out
    assert "[bold red]x[/]" in text
    assert "\\x1b[2J" in text


def test_long_values_are_cut(aprgen: Command, tmp_path: Path) -> None:
    """Boxes stay boxes when a file brings a megabyte of name; JSON has all of it."""
    path = tmp_path / "long.apr"
    path.write_bytes(write_v1(1, LINREG, Metadata("1", "0", model_name="n" * 1_000_000)))

    assert len(aprgen("inspect", path).out) < 10_000
    assert len(aprgen("inspect", path, "--format", "json").json["metadata"]["model_name"]) == 1_000_000


def test_error_lines_stay_three(aprgen: Command, tmp_path: Path) -> None:
    """A line break in a file's name or text cannot add a fourth line."""
    path = tmp_path / "two\nlines\x1b[31m.apr"
    path.write_bytes(b"no model")
    answer = aprgen("compile", path)

    assert answer.status == 3
    assert len(answer.error_lines) == 3
    assert "\x1b" not in answer.err


def test_crc_is_of_all_but_the_last_four_bytes(aprgen: Command) -> None:
    """The computed checksum is zlib's."""
    checksum = aprgen("inspect", DATA / "real" / "linreg.apr", "--format", "json").json["header"]["checksum"]

    assert checksum["computed"] == f"{zlib.crc32(fixture('real/linreg')[:-4]):#010x}"
