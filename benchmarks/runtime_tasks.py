"""Work for other runtimes, as files that their processes read: rows, and layers, trees or points.

Knows the arrays that benchmarks/runtimes expects; knows no runtime by name.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import wide
import wide_dense
import wide_points
from convert import program_of
from numpy.typing import NDArray

from aprgen.ops.dense import Dense
from aprgen.ops.distance import Neighbours, SquaredDistance
from aprgen.ops.trees import Nodes, TreeSum
from aprgen.program import Program

_Floats = NDArray[np.float32]
_EACH = """
#include <stdint.h>
void each(void (*entry)(const double *, double *, int32_t, int32_t), const double *x, double *out, int32_t n)
{
    for (int32_t row = 0; row < n; ++row) {
        entry(x, out, row, row + 1);
    }
}
"""


@dataclass(frozen=True, eq=False)
class Task:
    """of: the work as the benchmark that it comes from has it. source: what the library that trained says of the rows,
    values or labels. classes: of points, whose nearest vote."""

    name: str
    kind: str  # layers, trees, points
    of: Any
    rows: _Floats
    source: NDArray[Any]
    labels: bool
    program: Program
    classes: NDArray[Any] | None = None


def task_of(name: str) -> Task:
    if name in wide.WORKS:
        trained = wide.train(name)
        said = np.asarray(trained.estimator.predict(trained.rows))
        return Task(name, "trees", trained, trained.rows, said, False, program_of(trained.estimator))
    if name in wide_points.MAKERS:
        points = wide_points.MAKERS[name]()
        nearest = _op(points.program, Neighbours)
        said = np.asarray(points.peers[0].of(points.rows))
        return Task(name, "points", points, points.rows, said, True, points.program, nearest.classes.data)
    dense = wide_dense.work_of(name)
    said = np.asarray(dict(dense.peers)["scikit-learn"]())
    return Task(name, "layers", dense, dense.rows, said, name.endswith("_label"), dense.program)


def write(task: Task, folder: Path) -> None:
    """All that any runtime reads of it."""
    np.save(folder / "rows.npy", task.rows)
    (folder / "rows.f32").write_bytes(task.rows.tobytes())
    told: dict[str, object] = {
        "nRows": len(task.rows), "nIn": task.rows.shape[1], "nOut": task.program.n_outputs, "labels": task.labels,
    }  # fmt: skip
    if task.kind == "layers":
        layers = _layers(task.program)
        told["relu"] = [number < len(layers) - 1 for number in range(len(layers))]
        tables: dict[str, Any] = {f"weight{i}": weight for i, (weight, _) in enumerate(layers)}
        tables |= {f"bias{i}": bias for i, (_, bias) in enumerate(layers)}
        np.savez(folder / "layers.npz", **tables)
    elif task.kind == "points":
        nearest = _op(task.program, Neighbours)
        told["k"] = nearest.k
        np.save(folder / "points.npy", nearest.points.data)
    else:
        np.savez(folder / "trees.npz", **_trees(task))
        if hasattr(task.of.estimator, "booster_"):
            task.of.estimator.booster_.save_model(folder / "model.txt")
            (folder / "each.c").write_text(_EACH)
            flags = ("-std=c99", "-O2", "-shared", "-fPIC")
            subprocess.run(["gcc", *flags, "each.c", "-o", "each.so"], cwd=folder, check=True, timeout=60)
    (folder / "task.json").write_text(json.dumps(told))


def labels_of(task: Task, found: NDArray[Any]) -> NDArray[Any]:
    """From the places of the nearest points."""
    assert task.classes is not None
    votes = task.classes[found][:, :, None] == np.arange(int(task.classes.max()) + 1)
    return np.asarray(np.argmax(votes.sum(axis=1), axis=1))


def off(task: Task, found: NDArray[Any], *, own: bool) -> float:
    """The share of labels that are others than the source's; of values the largest difference, in shares of the largest
    value. own: aprgen's answers, which are labels of points already."""
    answers = found.reshape(task.source.shape) if own or task.classes is None else labels_of(task, found)
    if task.labels:
        return float(np.mean(answers != task.source))
    return float(np.abs(answers - task.source).max() / np.abs(task.source).max())


def _op(program: Program, kind: type) -> Any:
    return next(step.op for step in program.steps if isinstance(step.op, kind))


def _layers(program: Program) -> Sequence[tuple[_Floats, _Floats]]:
    """Weights [outputs, inputs] and biases. The nearest point has the least half of its square less the product."""
    dense = [step.op for step in program.steps if isinstance(step.op, Dense)]
    if dense:
        return [(op.weight.data, op.bias.data) for op in dense if op.bias is not None]
    points = _op(program, SquaredDistance).points.data
    return [(-points, (points * points).sum(axis=1) / 2)]


def _trees(task: Task) -> dict[str, Any]:
    """A node a line: tree, its number in the tree, feature (-1: a leaf), threshold, left, right, value."""
    op = _op(task.program, TreeSum)
    share = 1.0 if task.of.boosted else 1 / len(op.nodes.root.data)  # a forest's answer is the mean
    lines = [line for number in range(op.nodes.n_trees) for line in _lines(op.nodes, number, op.values.data * share)]
    names = ("tree", "node", "feature", "threshold", "left", "right", "value")
    kinds = (np.int64, np.int64, np.int64, np.float32, np.int64, np.int64, np.float32)
    found = {
        name: np.array(column, kind) for name, kind, column in zip(names, kinds, zip(*lines, strict=True), strict=True)
    }
    return found | {"base": np.float32(op.start * share)}


def _lines(nodes: Nodes, tree: int, values: NDArray[Any]) -> Iterator[tuple[float, ...]]:
    waiting, given = [(int(nodes.root.data[tree]), 0)], 1
    while waiting:
        at, number = waiting.pop()
        if at < 0:
            yield tree, number, -1, 0.0, 0, 0, float(values[~at])
            continue
        left, right = given, given + 1
        given += 2
        yield tree, number, int(nodes.feature.data[at]), float(nodes.threshold.data[at]), left, right, 0.0
        waiting += [(int(nodes.left.data[at]), left), (int(nodes.right.data[at]), right)]
