"""The recorded answers of the original library: fixtures, their rows and what aprender said, for several tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DATA = Path(__file__).parent / "data" / "apr"


@dataclass(frozen=True, eq=False)
class Recorded:
    """One fixture. outputs: per method one entry per row, None where aprender's own answer is random."""

    path: Path
    rust_type: str
    rows: NDArray[np.float32]
    outputs: dict[str, list[object]]
    panics: NDArray[np.float32]  # rows for which aprender panics; it has no answer to record

    @property
    def name(self) -> str:
        return self.path.stem


def floats(words: str) -> NDArray[np.float32]:
    """Hexadecimal float32 words, separated by spaces."""
    return np.array([int(word, 16) for word in words.split()], np.uint32).view(np.float32)


def read(path: Path) -> Recorded:
    facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    inputs = facts.get("inputs") or []
    numeric = bool(inputs) and "transform_f64" not in (facts.get("outputs") or {})
    rows = np.stack([floats(row) for row in inputs]) if numeric else np.zeros((0, 0), np.float32)
    outputs = facts.get("outputs") or {}
    panics = [floats(row["input"]) for row in facts.get("rows_where_aprender_panics") or []]
    return Recorded(path, facts["rust_type"], rows, outputs, np.array(panics, np.float32))


def fixtures(*folders: str) -> list[Path]:
    """The .apr files, sorted; of all folders when none is named."""
    chosen = folders or ("real", "extended", "v2")
    return sorted(path for folder in chosen for path in (DATA / folder).glob("*.apr"))
