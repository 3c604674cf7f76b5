"""OpenVINO: networks in f32, in bf16 where it says that the processor has it, and in int8, by nodes that quantise.

One stream, one thread, rows in its own input already. Codes of int8 have the ranges of the rows (values) and of each
output (weights), which its own passes for low precision turn into sums of bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops
from served import ALONE, Floats, Form, Layers, layers_of, rows_of, serve


def _quantised(at: Any, low: Any, high: Any, levels: int) -> Any:
    ends = [ops.constant(np.asarray(end, np.float32)) for end in (low, high)]
    return ops.fake_quantize(at, *ends, *ends, levels)


def graph(layers: Layers, rows: Floats, n_rows: int, *, coded: bool) -> Any:
    start = at = ops.parameter([n_rows, rows.shape[1]], np.float32)
    values, between = rows, layers.between(rows)
    for weight, bias, relu, out in zip(layers.weights, layers.biases, layers.relu, between, strict=True):
        table = ops.constant(weight)
        if coded:
            low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
            at = _quantised(at, low, high, 256)
            most = np.abs(weight).max(axis=1, keepdims=True)
            table = _quantised(table, -most, most, 255)
        at = ops.add(ops.matmul(at, table, False, True), ops.constant(bias[None, :]))
        at = ops.relu(at) if relu else at
        values = out
    if layers.labels:
        at = ops.topk(at, ops.constant(np.int64(1)), 1, "min", "value").output(1)
    return openvino.Model([at], [start], "layers")


def make(task: Path) -> list[Form]:
    layers, rows = layers_of(task), rows_of(task)
    core = openvino.Core()
    has = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    kinds = [("f32", "f32", False)]
    if not layers.labels:
        kinds += [("bf16", "bf16", False)] if "BF16" in has else []
        kinds.append(("int8", "f32", True))
    found = []
    for numeric, hint, coded in kinds:
        options = {
            "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": hint,
        }  # fmt: skip
        many, alone = (
            core.compile_model(graph(layers, rows, n, coded=coded), "CPU", options).create_infer_request()
            for n in (len(rows), 1)
        )
        many.get_input_tensor().data[:] = rows
        alone.get_input_tensor().data[:] = rows[:1]
        many.infer()
        answers = np.array(many.get_output_tensor().data)
        found.append(Form(_name(), numeric, many.infer, _one(alone), answers))
    return found


def _name() -> str:
    return "OpenVINO " + openvino.__version__.split("-")[0]


def _one(request: Any) -> Any:
    def one() -> int:
        for _ in range(ALONE):
            request.infer()
        return ALONE

    return one


if __name__ == "__main__":
    serve(make)
