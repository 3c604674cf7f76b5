"""ONNX Runtime: networks in f32 and, by its own static quantisation, int8; forests. Rows and answers are bound.

Leaves the networks' files beside the task, as f32.onnx and int8.onnx, for onnxruntime-web.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime import quantization
from served import ALONE, Floats, Form, Layers, layers_of, rows_of, serve

OPSET, IR = 17, 9


class Rows(quantization.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, rows: Floats) -> None:
        self.left = iter([{"x": rows}])

    def get_next(self) -> dict[str, Floats] | None:
        return next(self.left, None)


def network(layers: Layers) -> Any:
    nodes, tables, at = [], [], "x"
    helper, kinds = onnx.helper, onnx.TensorProto
    for i, (weight, bias, relu) in enumerate(zip(layers.weights, layers.biases, layers.relu, strict=True)):
        tables.append(onnx.numpy_helper.from_array(np.ascontiguousarray(weight.T), f"w{i}"))
        tables.append(onnx.numpy_helper.from_array(bias, f"b{i}"))
        nodes.append(helper.make_node("Gemm", [at, f"w{i}", f"b{i}"], [f"h{i}"]))
        at = f"h{i}"
        if relu:
            nodes.append(helper.make_node("Relu", [at], [f"r{i}"]))
            at = f"r{i}"
    end = helper.make_tensor_value_info(at, kinds.FLOAT, [None, len(layers.biases[-1])])
    if layers.labels:
        nodes.append(helper.make_node("ArgMin", [at], ["label"], axis=1, keepdims=0))
        end = helper.make_tensor_value_info("label", kinds.INT64, [None])
    start = helper.make_tensor_value_info("x", kinds.FLOAT, [None, layers.weights[0].shape[1]])
    model = helper.make_model(
        helper.make_graph(nodes, "layers", [start], [end], tables), opset_imports=[helper.make_opsetid("", OPSET)]
    )
    model.ir_version = IR
    return model


def forest(task: Path) -> Any:
    """Of arrays, a node each: x[feature] <= threshold goes left; a leaf (feature -1) adds its value."""
    helper = onnx.helper
    with np.load(task / "trees.npz") as trees:
        feature, leaf = trees["feature"], trees["feature"] < 0
        kept = {name: trees[name].tolist() for name in ("tree", "node", "left", "right")}
        threshold, value, base = trees["threshold"], trees["value"], float(trees["base"])
    leaves = np.flatnonzero(leaf)
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1, base_values=[base],
        aggregate_function="SUM", post_transform="NONE",
        nodes_treeids=kept["tree"], nodes_nodeids=kept["node"],
        nodes_truenodeids=kept["left"], nodes_falsenodeids=kept["right"],
        nodes_featureids=np.where(leaf, 0, feature).tolist(), nodes_values=np.where(leaf, 0, threshold).tolist(),
        nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        target_treeids=[kept["tree"][i] for i in leaves], target_nodeids=[kept["node"][i] for i in leaves],
        target_ids=[0] * len(leaves), target_weights=value[leaves].tolist(),
    )  # fmt: skip
    n_in = rows_of(task).shape[1]
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, n]) for name, n in (("x", n_in), ("y", 1))
    ]
    model = helper.make_model(
        helper.make_graph([node], "forest", ends[:1], ends[1:]),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", 3)],
    )
    model.ir_version = IR
    return model


def form(path: Path, numeric: str, rows: Floats) -> Form:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def bound(own: Floats) -> Any:
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(own))
        answer = session.run(None, {"x": own})[0]
        kept = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros_like(answer))
        binding.bind_ortvalue_output(session.get_outputs()[0].name, kept)
        return binding

    many, alone = bound(rows), bound(np.ascontiguousarray(rows[:1]))

    def one() -> int:
        for _ in range(ALONE):
            session.run_with_iobinding(alone)
        return ALONE

    name = f"ONNX Runtime {onnxruntime.__version__}"
    answers = session.run(None, {"x": rows})[0]
    return Form(name, numeric, lambda: session.run_with_iobinding(many), one, answers)


def make(task: Path) -> list[Form]:
    rows, plain, coded = rows_of(task), task / "f32.onnx", task / "int8.onnx"
    if (task / "trees.npz").is_file():
        onnx.save(forest(task), str(plain))
        return [form(plain, "f32", rows)]
    layers = layers_of(task)
    onnx.save(network(layers), str(plain))
    found = [form(plain, "f32", rows)]
    if not layers.labels:
        quantization.quantize_static(str(plain), str(coded), Rows(rows), per_channel=True)
        found.append(form(coded, "int8", rows))
    return found


if __name__ == "__main__":
    serve(make)
