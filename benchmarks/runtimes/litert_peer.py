"""XNNPACK, as LiteRT (TensorFlow Lite) calls it: networks in f32 and int8, whose files are written here.

Codes of int8 have a scale and a zero for each tensor and, of weights, a scale for each output; the ranges are those of
the rows. Timed is `invoke()`: rows lie in its input already, and nobody copies its output.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from served import ALONE, Floats, Form, Layers, layers_of, rows_of, serve

VERSION = 3  # of the file's schema
_KINDS = {
    "float32": schema.TensorType.FLOAT32, "int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
}  # fmt: skip


class Writer:
    """A graph of one input and one output, step by step."""

    def __init__(self) -> None:
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [schema.BufferT()]  # the first one is empty, for tensors without data
        self.steps: list[Any] = []
        self.codes: list[int] = []

    def tensor(
        self, shape: tuple[int, ...], kind: str, data: NDArray[Any] | None = None, scale: Any = None, zero: int = 0
    ) -> int:  # fmt: skip
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.name = list(shape), _KINDS[kind], f"t{len(self.tensors)}".encode()
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            known = schema.QuantizationParametersT()
            known.scale = scales
            known.zeroPoint = np.full(len(scales), zero, np.int64)
            known.quantizedDimension = 0
            tensor.quantization = known
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def step(self, code: int, inputs: list[int], output: int, options: Any = None, kind: int = 0) -> int:
        if code not in self.codes:
            self.codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self.codes.index(code), inputs, [output]
        if options is not None:
            operator.builtinOptionsType, operator.builtinOptions = kind, options
        self.steps.append(operator)
        return output

    def dense(self, inputs: list[int], output: int, *, relu: bool) -> int:
        options = schema.FullyConnectedOptionsT()
        activations = schema.ActivationFunctionType
        options.fusedActivationFunction = activations.RELU if relu else activations.NONE
        kind = schema.BuiltinOptions.FullyConnectedOptions
        return self.step(schema.BuiltinOperator.FULLY_CONNECTED, inputs, output, options, kind)

    def least(self, at: int, n_rows: int) -> int:
        axis = self.tensor((1,), "int32", np.asarray([1], np.int32))
        options = schema.ArgMinOptionsT()
        options.outputType = schema.TensorType.INT32
        found = self.tensor((n_rows,), "int32")
        kind = schema.BuiltinOptions.ArgMinOptions
        return self.step(schema.BuiltinOperator.ARG_MIN, [at, axis], found, options, kind)

    def file(self, start: int, end: int) -> bytes:
        model, graph = schema.ModelT(), schema.SubGraphT()
        model.version, model.buffers, model.subgraphs, model.operatorCodes = VERSION, self.buffers, [graph], []
        graph.tensors, graph.operators, graph.inputs, graph.outputs = self.tensors, self.steps, [start], [end]
        for code in self.codes:
            own = schema.OperatorCodeT()
            own.builtinCode, own.deprecatedBuiltinCode, own.version = code, min(code, 127), 1
            model.operatorCodes.append(own)
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def floats(layers: Layers, n_rows: int) -> bytes:
    writer = Writer()
    start = at = writer.tensor((n_rows, layers.weights[0].shape[1]), "float32")
    for weight, bias, relu in zip(layers.weights, layers.biases, layers.relu, strict=True):
        tables = [writer.tensor(table.shape, "float32", table) for table in (weight, bias)]
        at = writer.dense([at, *tables], writer.tensor((n_rows, len(bias)), "float32"), relu=relu)
    return writer.file(start, writer.least(at, n_rows) if layers.labels else at)


def _range(values: Floats) -> tuple[float, int]:
    """The scale and the zero of codes from -128 to 127."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = (high - low) / 255
    return scale, round(-128 - low / scale)


def codes(layers: Layers, rows: Floats, n_rows: int) -> bytes:
    """From floats, in codes, to floats."""
    writer = Writer()
    n_in = layers.weights[0].shape[1]
    scale, zero = _range(rows)
    start = writer.tensor((n_rows, n_in), "float32")
    at = writer.step(schema.BuiltinOperator.QUANTIZE, [start], writer.tensor((n_rows, n_in), "int8", None, scale, zero))
    found = layers.between(rows)
    for weight, bias, relu, out in zip(layers.weights, layers.biases, layers.relu, found, strict=True):
        weight_scales = np.abs(weight).max(axis=1) / 127
        coded = np.rint(weight / weight_scales[:, None]).astype(np.int8)
        sums = np.rint(bias / (scale * weight_scales)).astype(np.int32)
        tables = [
            writer.tensor(weight.shape, "int8", coded, weight_scales),
            writer.tensor(bias.shape, "int32", sums, scale * weight_scales),
        ]
        scale, zero = _range(out)
        at = writer.dense([at, *tables], writer.tensor((n_rows, len(bias)), "int8", None, scale, zero), relu=relu)
    end = writer.tensor((n_rows, len(layers.biases[-1])), "float32")
    return writer.file(start, writer.step(schema.BuiltinOperator.DEQUANTIZE, [at], end))


def ready(file: bytes, rows: Floats) -> tuple[Interpreter, bool]:
    """Allocated and filled with rows; and whether one delegate, XNNPACK's, does all of it but ARG_MIN."""
    interpreter = Interpreter(model_content=file, num_threads=1)
    interpreter.allocate_tensors()
    (start,), (end,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(start["index"], rows)
    interpreter.invoke()
    steps = interpreter._get_ops_details()
    last = next((one["inputs"][0] for one in steps if one["op_name"] == "ARG_MIN"), end["index"])
    taken = [(list(one["inputs"]), list(one["outputs"])) for one in steps if one["op_name"] == "DELEGATE"]
    return interpreter, any(start["index"] in inputs and outputs == [last] for inputs, outputs in taken)


def form(numeric: str, many: bytes, single: bytes, rows: Floats) -> Form:
    interpreter, whole = ready(many, rows)
    alone, _ = ready(single, rows[:1])
    answers = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    def one() -> int:
        for _ in range(ALONE):
            alone.invoke()
        return ALONE

    name = f"XNNPACK (LiteRT {version('ai-edge-litert')})" if whole else f"LiteRT {version('ai-edge-litert')}"
    return Form(name, numeric, interpreter.invoke, one, answers)


def make(task: Path) -> list[Form]:
    layers, rows = layers_of(task), rows_of(task)
    n = len(rows)
    found = [form("f32", floats(layers, n), floats(layers, 1), rows)]
    if not layers.labels:
        found.append(form("int8", codes(layers, rows, n), codes(layers, rows, 1), rows))
    return found


if __name__ == "__main__":
    serve(make)
