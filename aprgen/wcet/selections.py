"""Selection of the nearest by insertion: how often entries shift in one call at most, and rows that make them shift.

Knows which loop of the generated C belongs to which step of the Program; knows no code and no cycles.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from aprgen.core import Artifact
from aprgen.ops.distance import Neighbours
from aprgen.ops.integer_distance import IntegerNeighbours
from aprgen.ops.wide_code_steps import RowCodeNeighbours

ROUNDS = 25
CANDIDATES = 200
KEPT = 20
MOST_DISTANCES = 60_000  # of one round
SEED = 0

_Floats = NDArray[np.float32]


def selection_totals(artifact: Artifact) -> Mapping[str, int]:
    """By the id of the loop that shifts: its repetitions in one call when each point is nearer than all before it."""
    found = {}
    for index, step in enumerate(artifact.program.steps):
        if isinstance(step.op, Neighbours | IntegerNeighbours | RowCodeNeighbours):
            function = f"{artifact.name}_{index}_{step.op.kernel.rsplit('_', 1)[0]}"
            found[f"{function}_shift"] = shifts(step.op.n_points, step.op.k)
    return found


def shifts(n_points: int, k: int) -> int:
    """Of an insertion into the k nearest, sorted: the first k points pass all before them, the others k - 1."""
    return k * (k - 1) // 2 + (n_points - k) * (k - 1)


def dear_rows(artifact: Artifact) -> _Floats:
    """One row for each selection by the model's own features: climbed to, and not proved to be the worst."""
    found = [
        _climbed(step.op)
        for step in artifact.program.steps
        if isinstance(step.op, Neighbours) and step.inputs == (0,) and step.op.n_points * CANDIDATES <= MOST_DISTANCES
    ]
    return np.array(found, np.float32).reshape(len(found), artifact.program.n_features)


def insertions(distances: _Floats, k: int) -> NDArray[np.int64]:
    """Of each row of distances: entries that shift, and once more for each point that is kept."""
    near = np.sort(distances[:, :k], axis=1)
    work = np.array([shifted(row) for row in distances[:, :k]], np.int64)
    for point in range(k, distances.shape[1]):
        value = distances[:, point : point + 1]
        rank = np.sum(near <= value, axis=1)
        work += np.maximum(0, k - rank)
        near = np.sort(np.concatenate([near, value], axis=1), axis=1)[:, :k]
    return work


def shifted(first: _Floats) -> int:
    """Entries that shift until the first k points are sorted."""
    return int(np.sum(np.triu(first[:, None] > first[None, :])))


def _climbed(op: Neighbours) -> _Floats:
    generator = np.random.default_rng(SEED)
    points = op.points.data
    spread = points.std(axis=0) + np.float32(1e-3)
    kept = points[generator.integers(len(points), size=KEPT)]
    for round_ in range(ROUNDS):
        size = spread * 10.0 ** (1 - 3 * round_ / ROUNDS)
        moves = generator.normal(size=(CANDIDATES - len(kept), points.shape[1])) * size
        tried = kept[generator.integers(len(kept), size=len(moves))] + moves
        rows = np.concatenate([kept, tried]).astype(np.float32)
        work = insertions(op.distances(rows), op.k)
        kept = rows[np.argsort(-work, kind="stable")[:KEPT]]
    return np.asarray(kept[0], np.float32)
