"""numpy: layers as products of matrices, by the BLAS that its wheel has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from served import ALONE, Floats, Form, Layers, each, layers_of, rows_of, serve


def work(layers: Layers) -> Callable[[Floats], Floats]:
    turned = [np.ascontiguousarray(weight.T) for weight in layers.weights]

    def call(x: Floats) -> Floats:
        for weight, bias, relu in zip(turned, layers.biases, layers.relu, strict=True):
            x = x @ weight
            x += bias
            if relu:
                np.maximum(x, 0, out=x)
        return np.asarray(np.argmin(x, axis=1)) if layers.labels else x

    return call


def make(task: Path) -> list[Form]:
    rows, call = rows_of(task), work(layers_of(task))
    ones = [row[None, :].copy() for row in rows[:ALONE]]
    return [Form(f"numpy {np.__version__}", "f32", lambda: call(rows), each(call, ones), call(rows))]


if __name__ == "__main__":
    serve(make)
