"""Models that strategies for blocks of rows are measured on, made from a seed: forests, boosted trees, sums of floats.

Knows sizes and shapes; measures nothing.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import models
import numpy as np

from aprgen.families.programmed import Programmed
from aprgen.loaded import Loaded, load_model
from aprgen.native import Names
from aprgen.ops.decide import Argmin
from aprgen.ops.dense import Dense
from aprgen.ops.distance import SquaredDistance
from aprgen.ops.elementwise import Map, Stage
from aprgen.ops.trees import Nodes, TreeSum
from aprgen.program import Builder, Program, Table, row_type

SPLITS = {6: 36, 8: 80, 10: 150, 12: 250, 14: 350}  # of a tree that is grown, by its depth
FULL = (  # classifiers of full trees: trees, depth, features, classes
    (10, 4, 4, 2), (10, 6, 20, 3), (30, 5, 10, 10), (100, 4, 16, 2), (100, 6, 20, 4), (300, 6, 50, 4), (100, 6, 200, 2),
    (30, 8, 20, 4), (60, 8, 64, 10), (10, 10, 10, 2), (60, 10, 20, 4), (20, 10, 100, 3), (15, 12, 20, 4),
    (100, 6, 20, 32), (100, 8, 20, 16), (20, 10, 300, 10),
)  # fmt: skip
GROWN = ((300, 6, 40, 2), (100, 8, 64, 10), (100, 10, 120, 3), (100, 12, 20, 2))  # the same, of any shape
SUMMED = (  # trees, depth, features; the last ones are wide or deep
    (100, 3, 10), (300, 4, 30), (100, 6, 20), (100, 6, 100), (30, 8, 20), (30, 10, 60), (50, 7, 20), (100, 6, 300),
    (10, 6, 1000), (50, 8, 300), (50, 9, 100), (20, 9, 384), (30, 11, 20), (20, 12, 64), (10, 12, 300), (10, 14, 20),
)  # fmt: skip
LINEAR = (4, 30, 200, 1000)  # features
POINTS = ((3, 4), (10, 20), (10, 100), (16, 64), (50, 100), (200, 32))  # points, features
NETWORKS = (
    (8, 16, 3), (32, 12, 12, 4), (20, 64, 64, 5), (64, 9), (64, 16), (50, 10), (64, 128, 128, 1), (100, 256, 10),
    (200, 512, 8), (784, 100, 10),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    name: str
    make: Callable[[], Loaded]


def cases(*, quick: bool = False) -> Iterator[Case]:
    """quick: three small ones."""
    full, grown, summed = (FULL[:1], (), SUMMED[:1]) if quick else (FULL, GROWN, SUMMED)
    for trees, depth, features, classes in full:
        yield Case(
            f"votes_{trees}x{depth}_f{features}_c{classes}",
            lambda args=(trees, depth, features, classes): load_model(models.forest(*args)),  # type: ignore[misc]
        )
    for trees, depth, features, classes in grown:
        name = f"grown_{trees}x{depth}_f{features}_c{classes}"
        yield Case(name, lambda args=(trees, depth, features, classes): load_model(_grown(*args)))  # type: ignore[misc]
    for trees, depth, features in summed:
        name = f"sum_{trees}x{depth}_f{features}"
        yield Case(name, lambda n=name, args=(trees, depth, features): programmed(n, summed_trees(*args)))  # type: ignore[misc]
    for features in () if quick else LINEAR:
        yield Case(f"linear_{features}", lambda n=features: load_model(models.linear(n)))  # type: ignore[misc]
    for count, features in POINTS[:1] if quick else POINTS:
        name = f"points_{count}_f{features}"
        yield Case(name, lambda n=name, args=(count, features): programmed(n, nearest(*args)))  # type: ignore[misc]
    for widths in () if quick else NETWORKS:
        name = f"network_{'_'.join(map(str, widths))}"
        yield Case(name, lambda n=name, own=widths: programmed(n, network(own)))  # type: ignore[misc]


def summed_trees(n_trees: int, depth: int, n_features: int) -> Program:
    """Full trees whose leaves are added."""
    chance = np.random.default_rng(models.SEED)
    inner = 2**depth - 1
    own = np.arange(inner)
    child = 2 * own + 1
    leaf = -1 - (child - inner)  # of a tree; those of the next follow
    left, right = np.where(child < inner, child, leaf), np.where(child + 1 < inner, child + 1, leaf - 1)
    shift = np.arange(n_trees)[:, None]

    def moved(side: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Table:
        return Table(np.where(side >= 0, side + shift * inner, side - shift * (inner + 1)).reshape(-1), np.int32)

    nodes = Nodes(
        Table(chance.integers(n_features, size=n_trees * inner).astype(np.uint16)),
        Table(chance.standard_normal(n_trees * inner).astype(np.float32)), moved(left), moved(right),
        Table(np.arange(n_trees) * inner, np.int32), depth,
    )  # fmt: skip
    values = Table(chance.standard_normal(n_trees * (inner + 1)).astype(np.float32))
    builder = Builder(row_type(n_features))
    return builder.build(builder.add(TreeSum(nodes, n_features, "f32", values, 0.0), 0))


def nearest(n_points: int, n_features: int) -> Program:
    """Distances, and the nearest point."""
    chance = np.random.default_rng(models.SEED)
    builder = Builder(row_type(n_features))
    points = Table(chance.standard_normal((n_points, n_features)).astype(np.float32))
    scores = builder.add(SquaredDistance(points), 0)
    return builder.build(scores, builder.add(Argmin(n_points), scores), n_points)


def network(widths: tuple[int, ...]) -> Program:
    """Layers with a ReLU between each and the next."""
    chance = np.random.default_rng(models.SEED)
    builder = Builder(row_type(widths[0]))
    at = 0
    for n_in, n_out in itertools.pairwise(widths):
        if at:
            at = builder.add(Map(n_in, (Stage("relu"),)), at)
        weight = Table((chance.standard_normal((n_out, n_in)) / n_in).astype(np.float32))
        at = builder.add(Dense(weight, Table(chance.standard_normal(n_out).astype(np.float32)), "last"), at)
    return builder.build(at)


def programmed(name: str, program: Program) -> Loaded:
    """As out of a file; name: says all that the program is made of."""
    model = Programmed(program, Names("Program", name.partition("_")[0], "values"))
    digest = hashlib.sha256(f"{models.SEED} {name}".encode()).hexdigest()
    return replace(load_model(models.linear(1)), model=model, sha256=digest)


def _grown(n_trees: int, depth: int, n_features: int, n_classes: int) -> bytes:
    chance = np.random.default_rng(models.SEED)
    trees = tuple(models.grown_tree(chance, SPLITS[depth], depth, n_features, n_classes) for _ in range(n_trees))
    return models.forest_of(trees, n_features, n_classes)
