"""The C of a few tiny models, as files to read. `pytest tests/emission --update-golden` writes them anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aprgen.emit import Names, emit_model
from aprgen.families.base import Fields
from aprgen.passes.strategy import choose_strategies
from aprgen.target import load_target
from aprgen.trees import Tree, TreeBuilder
from tests.random_models import BY_NAME, Payload

GOLDEN = Path(__file__).parent / "golden"


def one_leaf_tree() -> Tree:
    builder = TreeBuilder()
    builder.leaf(label=7, samples=10)
    return builder.build()


def one_split_tree(label_left: int = 0, label_right: int = 1) -> Tree:
    builder = TreeBuilder()
    root = builder.add(2, 0.5, samples=10)
    builder.left[root] = builder.leaf(label=label_left, value=-1.5, samples=4)
    builder.right[root] = builder.leaf(label=label_right, value=2.25, samples=6)
    return builder.build()


def classifier(tree: Tree, n_features: int) -> Fields:
    return {"tree": tree, "max_depth": None, "n_features": n_features}


def one_leaf() -> Payload:
    return Payload(BY_NAME["DecisionTreeClassifier"], classifier(one_leaf_tree(), 4))


def two_trees_with_keys() -> Payload:
    members = (classifier(one_split_tree(), 3), classifier(one_split_tree(1, 5), 3))
    fields: Fields = {
        "trees": members, "n_estimators": 2, "max_depth": None, "random_state": None, "oob_indices": (),
        "x_train": None, "y_train": np.array([0, 1, 1], np.uint64),
    }  # fmt: skip
    return Payload(BY_NAME["RandomForestClassifier"], fields)


def two_class_linear() -> Payload:
    fields: Fields = {
        "weights": np.array([0.5, -1.25], np.float32), "bias": 0.1, "c": 1.0, "learning_rate": 0.1,
        "max_iter": 10, "tol": 0.0,
    }  # fmt: skip
    return Payload(BY_NAME["LinearSVM"], fields)


def two_centroids() -> Payload:
    fields: Fields = {
        "n_clusters": 2, "max_iter": 10, "tol": 0.0, "random_state": None,
        "centroids": np.array([[0, 1], [4, -0.0]], np.float32), "labels": None, "inertia": 0.0, "n_iter": 1,
    }  # fmt: skip
    return Payload(BY_NAME["KMeans"], fields)


def constant_column() -> Payload:
    fields: Fields = {
        "mean": np.array([1, 2, 3], np.float32), "std": np.array([0.5, 0, 2], np.float32), "with_mean": True,
        "with_std": True,
    }  # fmt: skip
    return Payload(BY_NAME["StandardScaler"], fields)


def regression_stump() -> Payload:
    fields: Fields = {"tree": one_split_tree(), "max_depth": None, "min_samples_split": 2, "min_samples_leaf": 1}
    return Payload(BY_NAME["DecisionTreeRegressor"], fields)


CASES: dict[str, tuple[Callable[[], Payload], str]] = {
    "one_leaf": (one_leaf, "host"),
    "regression_stump": (regression_stump, "host"),
    "two_trees_with_keys": (two_trees_with_keys, "cortex-m0plus"),
    "two_class_linear": (two_class_linear, "host"),
    "two_centroids": (two_centroids, "host"),
    "constant_column": (constant_column, "host"),
}


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, update_golden: bool) -> None:
    """Header and source are those that were read and accepted."""
    make, target_name = CASES[case]
    model = make().load().model
    target = load_target(target_name)
    names = Names(
        name=case,
        summary=f"{model.family} ({model.struct})",
        outputs=model.outputs,
        command=f"aprgen compile {case}.apr",
        model_sha256="0" * 64,
        target=target.name,
        target_sha256="0" * 64,
        signer="none",
        numeric="f32",
        flags="-O2",
        version="0.0.0",
    )
    texts = emit_model(choose_strategies(model.lower(), target.cost), names, target.templates)
    for file, text in texts.items():
        path = GOLDEN / file
        if update_golden:
            GOLDEN.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if not path.is_file():
            pytest.fail(f"golden {file} is missing; write it with: pytest tests/emission --update-golden")
        assert path.read_text(encoding="utf-8") == text
