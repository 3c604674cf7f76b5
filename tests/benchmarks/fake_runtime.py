"""Stands for another runtime in tests: numpy as it is here, or one that fails as the task's folder says."""

from __future__ import annotations

import os
from pathlib import Path

from served import Form, folder, layers_of, rows_of, serve


def make(task: Path) -> list[Form]:
    if (folder() / "refuses").exists():
        print("a greeting on standard output")
        raise ValueError("no such layers")
    layers, rows = layers_of(task), rows_of(task)
    wrong = 1.5 if (folder() / "wrong").exists() else 1.0

    def batch() -> object:
        if (folder() / "stops").exists():
            os.kill(os.getpid(), 9)
        return layers.between(rows)

    print("a greeting on standard output")
    return [Form("fake 1.0", "f32", batch, lambda: len(layers.between(rows[:1])), wrong * layers.between(rows)[-1])]


if __name__ == "__main__":
    serve(make)
