"""Models that outgrow the small table types: many features, many leaves, many classes, large labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aprgen.core import Options, compile_model
from aprgen.families.base import Fields
from aprgen.rows import random_rows
from aprgen.target import load_target
from aprgen.trees import LEAF, Tree
from tests.differential.compiled import load
from tests.differential.test_random_models import agree
from tests.random_models import BY_NAME, Payload


def full_tree(depth: int, n_features: int, labels: np.ndarray, seed: int) -> Tree:
    """A complete tree in pre-order, with random features and thresholds."""
    chance = np.random.RandomState(seed)
    n = 2 ** (depth + 1) - 1
    feature, left, right = (np.full(n, LEAF, np.int64) for _ in range(3))
    waiting = [(0, depth)]
    while waiting:
        node, levels = waiting.pop()
        if levels:
            feature[node] = chance.randint(n_features)
            left[node], right[node] = node + 1, node + 2**levels
            waiting += [(int(left[node]), levels - 1), (int(right[node]), levels - 1)]
    is_leaf = feature == LEAF
    return Tree(
        feature=feature,
        threshold=np.where(is_leaf, 0, chance.standard_normal(n)).astype(np.float32),
        left=left,
        right=right,
        leaf_label=np.where(is_leaf, labels[chance.randint(len(labels), size=n)], 0),
        leaf_value=np.where(is_leaf, chance.standard_normal(n), 0).astype(np.float32),
        n_samples=np.ones(n, np.int64),
    )


def forest(n_trees: int, depth: int, n_features: int, labels: list[int]) -> Payload:
    trees = [full_tree(depth, n_features, np.array(labels), seed) for seed in range(n_trees)]
    members = tuple({"tree": tree, "max_depth": None, "n_features": n_features} for tree in trees)
    fields: Fields = {
        "trees": members, "n_estimators": n_trees, "max_depth": None, "random_state": None, "oob_indices": (),
        "x_train": None, "y_train": np.array([max(label for label in labels if label < 1000)], np.uint64),
    }  # fmt: skip
    return Payload(BY_NAME["RandomForestClassifier"], fields)


def regressor(depth: int, n_features: int) -> Payload:
    tree = full_tree(depth, n_features, np.array([0]), 5)
    fields: Fields = {"tree": tree, "max_depth": None, "min_samples_split": 2, "min_samples_leaf": 1}
    return Payload(BY_NAME["DecisionTreeRegressor"], fields)


MODELS = {
    "300 features": (forest(5, 6, 300, [0, 1, 2]), "uint16_t m_0_nodes_feature"),
    "40,000 features": (forest(3, 5, 40_000, [0, 1]), "uint16_t m_0_nodes_feature"),
    "300 classes": (forest(9, 7, 8, list(range(300))), "int16_t m_0_nodes_left"),
    "labels of 31 bits": (forest(9, 3, 8, [0, 5, 2**31 - 1]), "int32_t m_2_labels"),
    "32,768 leaves of a regressor": (regressor(15, 8), "int16_t m_0_nodes_left"),
    "70,000 splits of a forest": (forest(3, 14, 8, [0, 1]), "int32_t m_0_nodes_left"),
    "300 trees": (forest(300, 2, 8, [0, 1, 2]), "uint16_t y[3]"),
}


@pytest.mark.parametrize("what", MODELS)
@pytest.mark.parametrize("target", ["host", "cortex-m0plus"])
def test_large_models_agree(what: str, target: str, tmp_path: Path) -> None:
    """C, Program and predict() agree, and the tables have the type that the sizes need."""
    payload, holds = MODELS[what]
    loaded = payload.load()
    host = replace(load_target("host"), cost=load_target(target).cost)
    artifact = compile_model(loaded, host, Options("m"))
    compiled = load("m", artifact.texts, artifact.program, tmp_path)
    rows = random_rows(loaded.model.lower(), 30).values
    rows[::7] = np.nan
    agree(loaded.model, compiled, rows)

    expected = loaded.model.predict(rows)
    assert expected.tobytes() == compiled.batch(rows)[0].tobytes()
    if target == "host":
        assert holds in artifact.texts["m.c"]
