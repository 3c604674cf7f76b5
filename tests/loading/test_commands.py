"""--verify, --mode, --memory and --ring-buffer of the commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from aprgen.cli import reading
from aprgen.cli.reading import Reading
from aprgen.container.loading import LEAST_RING_BYTES, LEVELS, MODES
from tests.cli.commands import DATA, Command, is_three_lines
from tests.loading.files import file_of, written


@pytest.fixture
def aprgen(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


DIGITS = DATA / "real" / "rfc.apr"


def test_words_are_those_of_the_reader() -> None:
    """The command line names the levels, modes and least ring buffer of container/loading.py."""
    assert (reading.LEVELS, reading.MODES) == (tuple(LEVELS), MODES)
    assert reading.LEAST_RING_BYTES == LEAST_RING_BYTES == Reading().ring


@pytest.mark.parametrize("mode", MODES[1:])
def test_the_c_is_the_same_in_every_mode(aprgen: Command, mode: str, tmp_path: Path) -> None:
    """compile writes the same bytes, whichever way the model was read; the command in the banner does not name it."""
    out = tmp_path / "out"
    assert aprgen("compile", DIGITS, "-o", tmp_path / "plain", "--no-measure").status == 0
    answer = aprgen("compile", DIGITS, "-o", out, "--no-measure", "--mode", mode, "--memory", "10M")

    assert answer.status == 0, answer.err
    for file in sorted((tmp_path / "plain").iterdir()):
        assert file.read_bytes() == (out / file.name).read_bytes(), file.name


def test_the_banner_names_a_level(aprgen: Command, tmp_path: Path) -> None:
    """What was not verified stands in the C and in the manifest, with the level that says why."""
    signed = DATA / "real" / "signed_dtc.apr"
    words = ("compile", signed, "-o", tmp_path, "--name", "m", "--no-measure", "--verify", "checksum-only")

    assert aprgen(*words).status == 0
    text = (tmp_path / "m.c").read_text()
    assert "--verify checksum-only" in text
    assert "not verified: the verification level skips it" in text


@pytest.mark.parametrize("mode", MODES)
def test_inspect_and_validate(aprgen: Command, mode: str, tmp_path: Path) -> None:
    """Both say the same of a sound file in every mode."""
    path = written(tmp_path, "forest_zstd")
    for words in (("inspect", path), ("validate", path)):
        plain = aprgen(*words, "--format", "json")
        other = aprgen(*words, "--format", "json", "--mode", mode, "--memory", "64M", "--ring-buffer", "512K")

        assert (0, plain.json) == (other.status, other.json)


def test_validate_says_what_was_not_checked(aprgen: Command, tmp_path: Path) -> None:
    """With a wrong checksum, unsafe-skip passes and says that it did not look; inspect says so, too."""
    path = tmp_path / "m.apr"
    data = file_of("knn")
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    skipped = aprgen("validate", path, "--verify", "unsafe-skip", "--format", "json")
    shown = aprgen("inspect", path, "--verify", "unsafe-skip")

    assert aprgen("validate", path).status == 3
    assert skipped.status == 0
    assert "not checked" == next(c["state"] for c in skipped.json["files"][0]["checks"] if c["name"] == "checksum")
    assert "not computed" in shown.out
    assert aprgen("validate", path, "--verify", "checksum-only").status == 3


def test_validate_paranoid(aprgen: Command) -> None:
    """A file that fits two structs is refused until --as says which one it is."""
    path = DATA / "real" / "standard_scaler.apr"

    assert aprgen("validate", path).status == 0
    assert aprgen("validate", path, "--verify", "paranoid").status == 3
    assert aprgen("validate", path, "--verify", "paranoid", "--as", "StandardScaler").status == 0
    assert aprgen("validate", DIGITS, "--verify", "paranoid").status == 0


@pytest.mark.parametrize("verb", ["compile", "inspect", "validate", "convert"])
def test_budget(aprgen: Command, verb: str, tmp_path: Path) -> None:
    """Status 6 in three lines, nothing written, and the number that is said to be enough is enough."""
    path = written(tmp_path, "knn_zstd")
    out = tmp_path / "out.apr"
    words: tuple[str | Path, ...] = (verb, path)
    words += ("-o", out, "--native") if verb == "convert" else ("-o", tmp_path / "c", "--no-measure") * (
        verb == "compile"
    )
    budget = "300K"
    for _ in range(9):
        answer = aprgen(*words, "--memory", budget)
        if answer.status != 6 or "memory.budget" not in answer.err:
            break
        assert is_three_lines(answer, "memory.budget")
        assert not out.exists()
        budget = answer.err.partition("--memory ")[2].partition(",")[0]

    assert budget != "300K"
    assert answer.status == (0 if verb != "compile" else answer.status), answer.err
    assert "memory.budget" not in answer.err


@pytest.mark.parametrize(
    "words",
    [
        ("--verify", "none"),
        ("--mode", "fast"),
        ("--memory", "lots"),
        ("--memory", "-5"),
        ("--memory", "10T"),
        ("--mode", "streaming", "--ring-buffer", "1K"),
    ],
)
def test_wrong_words(aprgen: Command, words: tuple[str, ...]) -> None:
    """Status 2 in three lines."""
    answer = aprgen("inspect", DIGITS, *words)

    assert answer.status == 2
    assert len(answer.error_lines) == 3


def test_commands_that_take_the_whole_file(aprgen: Command, tmp_path: Path) -> None:
    """bundle and decrypt have no such options."""
    for words in (("bundle", DIGITS), ("decrypt", DIGITS, "-o", tmp_path / "o", "--password-env", "X")):
        assert aprgen(*words, "--mode", "mapped").status == 2
