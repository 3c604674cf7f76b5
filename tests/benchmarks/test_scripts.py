"""What every benchmark is: a script, started where aprgen is installed and the checkout is not on the path."""

from __future__ import annotations

import re
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
OF_THE_CHECKOUT = re.compile(r"^\s*(?:from|import) (?:benchmarks|tests)\b", re.MULTILINE)


def test_scripts_import_no_folder_of_the_checkout() -> None:
    """Modules beside a script have plain names; the folders are packages in a checkout alone."""
    found = [path.name for path in sorted(BENCHMARKS.glob("*.py")) if OF_THE_CHECKOUT.search(path.read_text())]

    assert found == []
