"""Models that fill vectors: every family that has kernels for many rows, at sizes that reach all of their parts.

Made from a seed with the package's own families and codecs. Knows sizes and shapes; measures nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import numpy as np
from models import FOREST, file_of, forest, forest_of, full_tree, grown_tree, linear
from numpy.typing import NDArray

from aprgen.container import Metadata, write_v1
from aprgen.families.base import Model
from aprgen.families.gaussian import Mixture, NaiveBayes
from aprgen.families.neighbours import KMeans, KNearest
from aprgen.families.network import from_tensors
from aprgen.native import Names, write_native
from aprgen.trees import Tree, TreeBuilder

SEED = 20261129
BOOSTING, CUSTOM = 0x0005, 0x00FF

_Floats = NDArray[np.float32]


def _chance() -> np.random.Generator:
    return np.random.default_rng(SEED)


def normal(*shape: int, chance: np.random.Generator | None = None) -> _Floats:
    """Normal numbers, one in ten of them -0, which shows how a sum starts."""
    source = _chance() if chance is None else chance
    values = source.normal(size=shape).astype(np.float32)
    values[source.random(shape) < 0.1] = -0.0
    return values


def native(model: Model) -> bytes:
    """A file that says what the model computes."""
    names = Names(model.struct, model.family, model.outputs)
    stated = Metadata(created_at="1768608000", aprender_version="0.7.1")
    return write_v1(CUSTOM, write_native(model.lower(), names), stated, native=True)


def network(widths: tuple[int, ...], activations: list[str]) -> bytes:
    chance = _chance()
    tensors: dict[str, _Floats] = {}
    for number, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
        tensors[f"layer{number}.weight"] = normal(n_out, n_in, chance=chance) / np.float32(np.sqrt(n_in))
        tensors[f"layer{number}.bias"] = normal(n_out, chance=chance)
    return native(from_tensors(tensors, {"activation": activations}))


def points(metric: str, n_points: int, n_features: int, k: int, *, weighted: bool = False) -> bytes:
    """k nearest neighbours; coordinates are quarters, so that distances tie."""
    chance = _chance()
    train = (np.rint(4 * chance.normal(size=(n_points, n_features))) / 4).astype(np.float32)
    labels = chance.integers(0, 5, n_points).astype(np.int64)
    return native(KNearest(k, metric, 3.0, weighted, train, labels))  # type: ignore[arg-type]


def k_means(n_clusters: int, n_features: int) -> bytes:
    centroids = normal(n_clusters, n_features)
    centroids[-1] = centroids[0]  # two that are always equally near
    return native(KMeans(n_clusters, centroids, 0.0, 1))


def naive_bayes(n_classes: int, n_features: int) -> bytes:
    chance = _chance()
    priors = chance.random(n_classes).astype(np.float32) + np.float32(0.1)
    variances = chance.random((n_classes, n_features)).astype(np.float32) + np.float32(0.05)
    means = normal(n_classes, n_features, chance=chance)
    return native(NaiveBayes(priors, means, variances, np.arange(n_classes, dtype=np.int32), 1e-9))


def mixture(n_components: int, n_features: int) -> bytes:
    chance = _chance()
    weights = np.full(n_components, 1 / n_components, np.float32)
    variances = chance.random((n_components, n_features)).astype(np.float32) + np.float32(0.5)
    means = normal(n_components, n_features, chance=chance)
    return native(Mixture(n_components, "Diag", means, variances, weights, None))


def scaler(n_features: int) -> bytes:
    fields: dict[str, object] = {
        "mean": normal(n_features), "std": np.abs(normal(n_features)) + np.float32(0.1), "with_mean": True,
        "with_std": True,
    }  # fmt: skip
    return file_of("StandardScaler", CUSTOM, fields)


def logistic(n_features: int) -> bytes:
    return network((n_features, 1), ["sigmoid"])


def regressors(n_trees: int, depth: int, n_features: int) -> bytes:
    """A random forest regressor of full trees."""
    chance = _chance()
    members = tuple(
        {
            "tree": _valued(chance, depth, n_features), "max_depth": depth, "min_samples_split": 2,
            "min_samples_leaf": 1,
        }
        for _ in range(n_trees)
    )  # fmt: skip
    fields: dict[str, object] = {
        "trees": members, "n_estimators": n_trees, "max_depth": depth, "random_state": SEED, "oob_indices": (),
        "x_train": None, "y_train": None,
    }  # fmt: skip
    return file_of("RandomForestRegressor", FOREST, fields)


def _valued(chance: np.random.Generator, depth: int, n_features: int) -> Tree:
    builder = TreeBuilder()
    waiting = [(-1, False, 0)]  # parent, is this its right child, level
    while waiting:
        parent, is_right, level = waiting.pop()
        if level < depth:
            at = builder.add(int(chance.integers(n_features)), float(np.float32(chance.normal())))
            waiting += [(at, True, level + 1), (at, False, level + 1)]
        else:
            at = builder.leaf(label=0, value=float(np.float32(chance.normal())), samples=1)
        if parent >= 0:
            (builder.right if is_right else builder.left)[parent] = at
    return builder.build()


def boosted(n_trees: int, depth: int, n_features: int) -> bytes:
    """Gradient boosting of full trees."""
    chance = _chance()
    members = tuple(
        {"tree": full_tree(chance, depth, n_features, 2), "max_depth": depth, "n_features": n_features}
        for _ in range(n_trees)
    )
    fields: dict[str, object] = {
        "n_estimators": n_trees, "learning_rate": 0.1, "max_depth": depth, "init_prediction": 0.25,
        "estimators": members,
    }  # fmt: skip
    return file_of("GradientBoostingClassifier", BOOSTING, fields)


def grown(n_trees: int, splits: int, depth: int, n_features: int, n_classes: int) -> bytes:
    """A forest of trees of random shape, whose features have 16 thresholds."""
    chance = _chance()
    trees = tuple(grown_tree(chance, splits, depth, n_features, n_classes) for _ in range(n_trees))
    return forest_of(trees, n_features, n_classes)


MODELS: Mapping[str, Callable[[], bytes]] = {
    "forest_shallow": lambda: forest(100, 6, 20),
    "forest_deep": lambda: forest(40, 10, 20, 10),
    "forest_digits": lambda: grown(60, 150, 10, 64, 10),
    "forest_unbalanced": lambda: grown(20, 300, 40, 12, 3),
    "forest_wide": lambda: grown(50, 60, 8, 300, 4),
    "regressor_shallow": lambda: regressors(70, 5, 20),
    "regressor_deep": lambda: regressors(25, 10, 30),
    "boosted": lambda: boosted(100, 6, 20),
    "boosted_wide": lambda: boosted(100, 5, 400),
    "network": lambda: network((100, 256, 256, 10), ["relu", "relu", "softmax"]),
    "network_odd": lambda: network((7, 99, 37, 3), ["relu", "sigmoid", "identity"]),
    "network_curved": lambda: network((12, 33, 20, 5), ["tanh", "gelu", "softmax"]),
    "linear": lambda: linear(100),
    "linear_long": lambda: linear(4000),
    "logistic": lambda: logistic(30),
    "k_means": lambda: k_means(10, 100),
    "k_means_many": lambda: k_means(70, 9),
    "neighbours_euclidean": lambda: points("euclidean", 1000, 16, 5),
    "neighbours_manhattan": lambda: points("manhattan", 700, 9, 3, weighted=True),
    "neighbours_listed": lambda: points("manhattan", 300, 12, 20),  # a list too long to be written out
    "naive_bayes": lambda: naive_bayes(5, 20),
    "mixture": lambda: mixture(4, 12),
    "scaler": lambda: scaler(50),
}
