"""Forests that scikit-learn trains on its own data sets, with one vote a tree, and emlearn's code for them.

Knows scikit-learn and emlearn, which only this benchmark needs and imports when asked; measures nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aprgen.trees import Tree, TreeBuilder

TRAINED: Mapping[str, tuple[str, int, int | None, float]] = {  # data set, trees, depth, what makes features integers
    "rf_iris": ("load_iris", 10, None, 20.0),
    "rf_digits": ("load_digits", 100, 10, 2.0),
    "rf_cancer": ("load_breast_cancer", 100, None, 1.0),
}


@dataclass(frozen=True, eq=False)
class Trained:
    """trees: one vote each, for the class of most training samples in the leaf. rows: those kept from training."""

    trees: tuple[Tree, ...]
    n_features: int
    n_classes: int
    rows: NDArray[np.float32]
    scale: float  # what emlearn's features are multiplied with
    integer_model: Any


def train(name: str) -> Trained:
    """The forest of that name, and the same on features that are integers, for emlearn."""
    loader, n_trees, depth, scale = TRAINED[name]
    forests = importlib.import_module("sklearn.ensemble")
    data = getattr(importlib.import_module("sklearn.datasets"), loader)
    split = importlib.import_module("sklearn.model_selection").train_test_split
    x, y = data(return_X_y=True)
    x = x.astype(np.float32)
    x_train, x_kept, y_train, _ = split(x, y, test_size=0.2, random_state=0, stratify=y)

    def fitted(features: NDArray[np.float32]) -> Any:
        return forests.RandomForestClassifier(n_trees, max_depth=depth, random_state=0).fit(features, y_train)

    model = fitted(x_train)
    return Trained(
        tuple(_tree(one.tree_) for one in model.estimators_), x.shape[1], len(np.unique(y)), x_kept, scale,
        fitted(np.rint(x_train * scale)),
    )  # fmt: skip


def _tree(tree: Any) -> Tree:
    """scikit-learn's arrays in pre-order. Its thresholds are float64: the largest float32 below splits floats alike."""
    rounded = tree.threshold.astype(np.float32)
    below = np.nextafter(rounded, np.float32(-np.inf))
    threshold = np.where(rounded.astype(np.float64) > tree.threshold, below, rounded)
    labels = tree.value[:, 0].argmax(axis=1)
    builder = TreeBuilder()
    waiting = [(0, -1, False)]  # node, parent, is this its right child
    while waiting:
        node, parent, is_right = waiting.pop()
        if tree.children_left[node] >= 0:
            at = builder.add(int(tree.feature[node]), float(threshold[node]))
            waiting += [(int(tree.children_right[node]), at, True), (int(tree.children_left[node]), at, False)]
        else:
            at = builder.leaf(label=int(labels[node]), samples=1)
        if parent >= 0:
            (builder.right if is_right else builder.left)[parent] = at
    return builder.build()


def emlearn_source(trained: Trained, method: str, leaf_bits: int = 0) -> dict[str, str]:
    """emlearn's code behind the functions that the harness calls; the row's bytes are its 16-bit integers.

    leaf_bits: of each share of a class that a tree adds; 0: a tree has one vote.
    """
    emlearn = importlib.import_module("emlearn")
    made = emlearn.convert(trained.integer_model, method=method, dtype="int16_t", leaf_bits=leaf_bits)
    code = made.save(name="peer")
    headers = {path.name: path.read_text() for path in Path(emlearn.includedir).glob("eml_*.h")}
    source = f"""{code}
#include <stddef.h>
#include <stdint.h>
int32_t m_classify(const float *x);
void m_scores(const float *x, float *out);
int32_t m_classify(const float *x)
{{
    return peer_predict((const int16_t *)(const void *)x, {trained.n_features});
}}
void m_scores(const float *x, float *out)
{{
    out[0] = (float)m_classify(x);
}}
"""
    own = {  # emlearn's headers include those of a C library, which trees do not use
        "m.c": source,
        "m.h": "#include <stdint.h>\nint32_t m_classify(const float *x);\nvoid m_scores(const float *x, float *out);\n",
        "math.h": 'float roundf(float x);\n#define NAN (__builtin_nanf(""))\n',
        "string.h": "#include <stddef.h>\nvoid *memset(void *to, int byte, size_t n);\n",
        "stdio.h": "",
        "assert.h": "",
        "stdlib.h": "",
    }
    return headers | own
