"""What every benchmark is: a script, started where aprgen is installed and the checkout is not on the path."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
OF_THE_CHECKOUT = re.compile(r"(?:^\s*(?:from|import) |import_module\(\")(?:benchmarks|tests)\b", re.MULTILINE)
WITHOUT_OTHERS = {"compiler", "inside", "models"}  # nothing beyond Python, or what another script starts


def test_scripts_import_no_folder_of_the_checkout() -> None:
    """Modules beside a script have plain names; the folders are packages in a checkout alone."""
    found = [path.name for path in sorted(BENCHMARKS.glob("*.py")) if OF_THE_CHECKOUT.search(path.read_text())]

    assert found == []


def test_scripts_end_in_one_way() -> None:
    """`here.finish` turns an error into three lines and its status."""
    scripts = {path.stem: path.read_text() for path in BENCHMARKS.glob("*.py") if "__main__" in path.read_text()}
    found = {name for name, text in scripts.items() if "    sys.exit(finish(" not in text}

    assert found == WITHOUT_OTHERS


def test_a_library_that_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the extra `benchmarks` a script says what to install: three lines, status 7, no traceback."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    monkeypatch.setattr("os.sched_setaffinity", lambda process, cores: None)  # not of the other tests
    monkeypatch.setattr(sys, "argv", ["wide.py", "--work", "gbt20"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(BENCHMARKS / "wide.py"), run_name="__main__")
    said = capsys.readouterr().err.splitlines()

    assert ended.value.code == 7
    assert said == [
        "error[benchmark.library]: the Python module lightgbm is not installed",
        "  where: this machine",
        "  to do: pip install 'aprgen[benchmarks,wcet]'",
    ]
