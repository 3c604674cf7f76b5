"""The script `run` in a copy of the checkout, with stand-ins for Python and the compilers. Nothing is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAIN_TOOLS = ("cat", "chmod", "cksum", "cp", "dirname", "env", "id", "mkdir", "sh", "tail")
COMPILERS = ("arm-none-eabi-gcc", "qemu-system-arm", "gcc")

# Says that it is some version, makes an environment of itself, and writes down every other call.
PYTHON = """#!/bin/sh
case "$*" in
    *version_info\\[:2\\]*) echo {version} ;;
    *"version_info <"*) exit {too_old} ;;
    *ensurepip*) exit 0 ;;
    "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python && cp "$0" .venv/bin/pip ;;
    *) echo "$*" >>calls.txt ;;
esac
"""


class Machine:
    """A folder with the script, and a PATH that holds what is named and nothing else: no apt, no sudo."""

    def __init__(self, folder: Path, programs: tuple[str, ...], version: str = "3.11") -> None:
        self.folder = folder
        self.path = folder / "bin"
        self.path.mkdir()
        for name in PLAIN_TOOLS:
            found = shutil.which(name)
            assert found is not None
            (self.path / name).symlink_to(found)
        too_old = int(tuple(map(int, version.split("."))) < (3, 11))
        self.program("python3", PYTHON.format(version=version, too_old=too_old))
        for name in programs:
            self.program(name, "#!/bin/sh\n")
        for name in ("run", "pyproject.toml"):
            shutil.copy(ROOT / name, folder / name)

    def program(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)
        (self.path / name).chmod(0o755)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["./run", *words], cwd=self.folder, env={"PATH": str(self.path)}, capture_output=True, text=True, timeout=60
        )

    def calls(self) -> list[str]:
        """What Python was asked to do."""
        path = self.folder / "calls.txt"
        return path.read_text().splitlines() if path.exists() else []


PIP = "-m pip install --disable-pip-version-check -e"


def need_headers() -> None:
    if not Path("/usr/include/stdlib.h").exists():
        pytest.skip("the script looks for /usr/include/stdlib.h, which is not here")


def test_second_demo_installs_nothing(tmp_path: Path) -> None:
    """The first `./run demo` installs the package and starts the demo, the second only starts the demo."""
    need_headers()
    machine = Machine(tmp_path, COMPILERS)

    statuses = [machine.run("demo").returncode for _ in range(2)]

    assert statuses == [0, 0]
    assert machine.calls() == [f"{PIP} .", "examples/demo.py", "examples/demo.py"]


def test_changed_pyproject_installs_again(tmp_path: Path) -> None:
    """When pyproject.toml changes, the package is installed again."""
    need_headers()
    machine = Machine(tmp_path, COMPILERS)
    machine.run("demo")
    with (tmp_path / "pyproject.toml").open("a") as file:
        file.write("\n# changed\n")

    machine.run("demo")

    assert machine.calls().count(f"{PIP} .") == 2


def test_without_root_compilers_come_from_pypi(tmp_path: Path) -> None:
    """Where nothing can be installed with apt, the extras bring compilers and emulators, and the script says so."""
    machine = Machine(tmp_path, ())

    done = machine.run("demo")

    assert machine.calls() == [f"{PIP} .[compilers,emulators]", "examples/demo.py"]
    assert "not installed: gcc-arm-none-eabi qemu-system-arm gcc" in done.stderr


def test_old_python_is_refused(tmp_path: Path) -> None:
    """A Python before 3.11 is named, and nothing is installed."""
    machine = Machine(tmp_path, COMPILERS, version="3.9")

    done = machine.run("demo")

    assert (done.returncode, machine.calls()) == (7, [])
    assert "Python 3.11 or later is needed; python3 here is 3.9" in done.stderr


def test_failure_shows_the_log(tmp_path: Path) -> None:
    """When pip fails, its last lines are shown, with the path of the log."""
    machine = Machine(tmp_path, COMPILERS)
    text = (machine.path / "python3").read_text()
    machine.program("python3", text.replace("calls.txt ;;", "calls.txt; echo no such index; exit 1 ;;"))

    done = machine.run("demo")

    assert done.returncode == 7
    assert "no such index" in done.stderr
    assert ".venv/setup.log" in done.stderr


def test_unknown_command_is_usage(tmp_path: Path) -> None:
    """An unknown command prints the usage and ends with status 2."""
    done = Machine(tmp_path, COMPILERS).run("tset")

    assert done.returncode == 2
    assert "unknown command: tset" in done.stderr
    assert "usage: ./run demo" in done.stderr


def test_ci_calls_run_test() -> None:
    """`.ci/run` calls `./run test`, with CI set so that a missing toolchain fails."""
    assert 'CI=true exec ./run test "$@"' in (ROOT / ".ci" / "run").read_text().splitlines()
