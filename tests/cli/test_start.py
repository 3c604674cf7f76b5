"""How the program starts: help, version, what it imports, and what every mistake of ours looks like."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import aprgen as package
from aprgen import cli
from aprgen.cli.arguments import VERBS
from tests.cli.commands import DATA, ROOT, Answer, Command, cost, is_three_lines, process

HEAVY = ("numpy", "rich", "jinja2", "zstandard", "lz4", "elftools", "nacl", "cryptography")


def imported_by(statement: str) -> set[str]:
    """The heavy modules that are there after a statement, in a fresh interpreter."""
    code = f"import sys\ntry:\n {statement}\nexcept SystemExit:\n pass\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(done.stderr.split()) & set(HEAVY)


def test_help_names_every_command() -> None:
    """--help exits with 0 and lists all verbs."""
    answer = process("--help")

    assert answer.status == 0
    assert all(verb in answer.out for verb in VERBS)
    assert answer.err == ""


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_help(verb: str) -> None:
    """COMMAND --help exits with 0 and shows its usage."""
    answer = process(verb, "--help")

    assert answer.status == 0
    assert answer.out.startswith(f"usage: aprgen {verb}")


def test_version() -> None:
    """--version prints the package's version."""
    answer = process("--version")

    assert answer == Answer(0, f"aprgen {package.__version__}\n", "")


def test_help_imports_nothing_heavy() -> None:
    """Help answers at once because it imports no numpy, rich or jinja2."""
    assert imported_by("from aprgen.cli import main; main(['--help'])") == set()


def test_compile_does_without_rich(tmp_path: Path) -> None:
    """A small compile has no time to import rich, nor, of a plain file, what protected ones need."""
    words = ["compile", str(DATA / "real" / "linreg.apr"), "-o", str(tmp_path / "out")]

    assert not {"rich", "nacl", "cryptography"} & imported_by(f"from aprgen.cli import main; main({words!r})")


def seconds_of(*words: object) -> float:
    """Processor seconds of a command, the least of three."""
    return min(cost(*words).processor_seconds for _ in range(3))


def numpy_seconds() -> float:
    """What importing numpy takes: a measure of how fast the machine is just now, 0.08 s on a quiet one."""
    words = [sys.executable, "-c", "import numpy"]
    found = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(words, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


def test_help_is_quick() -> None:
    """Help takes less processor time than importing numpy: 0.08 s on a quiet machine."""
    assert seconds_of("--help") < numpy_seconds()


def test_small_compile_is_quick(tmp_path: Path) -> None:
    """A small compile takes less processor time than five imports of numpy: 0.4 s on a quiet machine."""
    words = ("compile", DATA / "real" / "linreg.apr", "--no-measure", "-o", tmp_path / "out")

    assert seconds_of(*words) < 5 * numpy_seconds()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), "usage.arguments"),
        (("compil", "x.apr"), "usage.verb"),
        (("frobnicate",), "usage.verb"),
        (("compile",), "usage.arguments"),
        (("compile", "x.apr", "--frob"), "usage.arguments"),
        (("run", "x.apr"), "usage.arguments"),
        (("test", "x.apr", "--rows", "many"), "usage.arguments"),
        (("inspect", "x.apr", "--format", "xml"), "usage.arguments"),
    ],
)
def test_wrong_words(aprgen: Command, words: tuple[str, ...], code: str) -> None:
    """Wrong words are status 2 in three lines, like any other error."""
    answer = aprgen(*words)

    assert answer.status == 2
    assert is_three_lines(answer, code)
    assert answer.out == ""


def test_near_miss_of_a_command(aprgen: Command) -> None:
    """A typing error is met with the command that was meant."""
    assert "did you mean compile?" in aprgen("compil", "x.apr").err


def test_own_fault(aprgen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody expected is status 70, three lines, and a request to report it."""

    def broken(_: object) -> int:
        raise KeyError("surprise")

    monkeypatch.setattr(cli, "execute", broken)
    answer = aprgen("targets")

    assert answer.status == 70
    assert is_three_lines(answer, "internal")
    assert "KeyError: 'surprise'" in answer.error_lines[0]
    assert "report" in answer.error_lines[2]


def test_own_fault_with_debug(aprgen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """--debug adds the traceback."""

    def broken(_: object) -> int:
        raise KeyError("surprise")

    monkeypatch.setattr(cli, "execute", broken)

    assert "Traceback (most recent call last)" in aprgen("targets", "--debug").err


@pytest.mark.parametrize(
    ("exception", "status", "code"),
    [
        (MemoryError(), 5, "limit.memory"),
        (RecursionError(), 5, "limit.depth"),
        (OSError(28, "No space left on device", "out/brake.c"), 2, "file.system"),
    ],
)
def test_machine_at_its_end(
    aprgen: Command, monkeypatch: pytest.MonkeyPatch, exception: Exception, status: int, code: str
) -> None:
    """What the machine lacks is an ordinary error."""

    def broken(_: object) -> int:
        raise exception

    monkeypatch.setattr(cli, "execute", broken)
    answer = aprgen("targets")

    assert answer.status == status
    assert is_three_lines(answer, code)


def test_interrupt(aprgen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is status 130 and one word."""

    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "execute", interrupted)

    assert aprgen("targets") == Answer(130, "", "interrupted\n")


@pytest.mark.parametrize("words", [("inspect", DATA / "real" / "rfc.apr"), ("targets", "--format", "json")])
def test_reader_that_goes_away(words: tuple[str | Path, ...]) -> None:
    """`aprgen ... | true` complains about nothing, and says by its status that it did not finish."""
    command = f"({sys.executable} -m aprgen {' '.join(map(str, words))}; echo $? >&2) | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=ROOT, check=False)

    assert done.stderr == "141\n"


def test_reader_that_goes_away_before_an_error() -> None:
    """The three lines come when the output went into a buffer, and no complaint about the pipe."""
    command = f"{sys.executable} -m aprgen validate {DATA / 'real' / 'encpw_kmeans.apr'} --format json | true"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, cwd=ROOT, env=environment, check=False
    )

    assert is_three_lines(Answer(0, "", done.stderr), "security.encrypted")


@pytest.mark.parametrize(("redirection", "status"), [(">&-", 0), ("> /dev/full", 2)])
def test_output_that_goes_nowhere(redirection: str, status: int) -> None:
    """A closed output is the user's wish; a full disk is status 2 in three lines."""
    command = f"{sys.executable} -m aprgen targets --format json {redirection}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=ROOT, check=False)

    assert done.returncode == status
    assert len(done.stderr.splitlines()) == (3 if status else 0)


@pytest.mark.parametrize(
    "words",
    [
        ("explore", "--html"),
        ("explore", "--json"),
        ("wcet", "-t", "host", "--html"),
        ("wcet", "-t", "host", "--json"),
        ("wcet", "-t", "host", "--header"),
        ("wcet", "-t", "host", "--object"),
        ("run", "-t", "host", "--inputs", "rows.npy", "--output"),
        ("tune", "--target", "x86-avx2", "--records"),
    ],
)
@pytest.mark.parametrize("place", ["nowhere/out.json", "file/out.json", "folder.json"])
def test_where_no_file_can_be_is_said_before_the_work(
    aprgen: Command, tmp_path: Path, words: tuple[str, ...], place: str
) -> None:
    """Before the model is read, which is not even there; nothing is written."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.json").mkdir()
    verb, *options = words
    answer = aprgen(verb, tmp_path / "missing.apr", *options, tmp_path / place)

    assert answer.status == 2
    assert is_three_lines(answer, "output.unwritable")
    assert str(tmp_path / place) in answer.error_lines[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.json"]


def test_a_folder_that_lets_nobody_look(
    aprgen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system refuses to say what is there, that is the reason. (Root is never refused.)"""

    def refuses(path: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "is_dir", refuses)
    answer = aprgen("explore", tmp_path / "missing.apr", "--html", tmp_path / "out.html")

    assert is_three_lines(answer, "output.unwritable")
    assert "Permission denied" in answer.error_lines[0]


def test_where_no_folder_can_be_is_said_before_the_work(aprgen: Command, tmp_path: Path) -> None:
    """Of `compile`, before the model is read."""
    (tmp_path / "file").write_text("mine")
    answer = aprgen("compile", tmp_path / "missing.apr", "-o", tmp_path / "file" / "out")

    assert is_three_lines(answer, "output.no_folder")
