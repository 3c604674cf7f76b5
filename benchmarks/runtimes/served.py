"""What a runtime's own process does: it makes its forms ready, says so, and then times what it is asked for.

A line of JSON comes in, {"form": 0, "call": "batch" or "one", "times": 3}; a line goes out, {"microseconds": [...]}, of
all rows or of one. Answers lie beside the task, one array a form. Needs numpy and the standard library alone, as each
runtime has an environment of its own. What else is printed goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALONE = 200  # rows one by one in a call, where the runtime is called from Python

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Form:
    """batch: works on all rows. one: works on some rows one by one, and says how many. answers: of all rows.
    inside: `one` is a loop of C; else each row is a call from Python."""

    tool: str
    numeric: str
    batch: Callable[[], Any]
    one: Callable[[], int] | None
    answers: NDArray[Any]
    inside: bool = False


@dataclass(frozen=True, eq=False)
class Layers:
    """y = x W^T + b, ReLU or not, layer by layer; labels: the place of the least output is the answer."""

    weights: tuple[Floats, ...]  # [outputs, inputs]
    biases: tuple[Floats, ...]
    relu: tuple[bool, ...]
    labels: bool

    def between(self, rows: Floats) -> list[Floats]:
        """The outputs of each layer."""
        found = []
        for weight, bias, relu in zip(self.weights, self.biases, self.relu, strict=True):
            rows = rows @ weight.T + bias
            rows = np.maximum(rows, 0) if relu else rows
            found.append(rows)
        return found


def folder() -> Path:
    return Path(sys.argv[1])


def rows_of(task: Path) -> Floats:
    return np.ascontiguousarray(np.load(task / "rows.npy"))


def layers_of(task: Path) -> Layers:
    told = json.loads((task / "task.json").read_text())
    with np.load(task / "layers.npz") as found:
        n = len(told["relu"])
        weights = tuple(np.ascontiguousarray(found[f"weight{i}"]) for i in range(n))
        biases = tuple(found[f"bias{i}"] for i in range(n))
    return Layers(weights, biases, tuple(told["relu"]), told["labels"])


def each(call: Callable[[Any], Any], rows: Sequence[Any]) -> Callable[[], int]:
    """One row after the other."""

    def one() -> int:
        for row in rows:
            call(row)
        return len(rows)

    return one


def serve(make: Callable[[Path], Sequence[Form]]) -> None:
    """Until there are no more lines."""
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries greet
    task = folder()
    forms = make(task)
    facts = []
    for number, form in enumerate(forms):
        name = f"answers{number}.npy"
        np.save(task / name, np.asarray(form.answers))
        facts.append(
            {"tool": form.tool, "numeric": form.numeric, "one": form.one is not None, "inside": form.inside,
             "answers": name}
        )  # fmt: skip
    print(json.dumps({"forms": facts}), file=said, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        form = forms[asked["form"]]
        times = _batch(form, asked["times"]) if asked["call"] == "batch" else _one(form, asked["times"])
        print(json.dumps({"microseconds": times}), file=said, flush=True)


def _batch(form: Form, times: int) -> list[float]:
    form.batch()  # warm again after the others
    found = []
    for _ in range(times):
        began = time.perf_counter()
        form.batch()
        found.append((time.perf_counter() - began) * 1e6)
    return found


def _one(form: Form, times: int) -> list[float]:
    assert form.one is not None
    form.one()
    found = []
    for _ in range(times):
        began = time.perf_counter()
        rows = form.one()
        found.append((time.perf_counter() - began) * 1e6 / rows)
    return found
