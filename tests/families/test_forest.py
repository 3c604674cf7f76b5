"""Forests: what the members and the training data state about the rows must agree."""

from __future__ import annotations

import numpy as np
import pytest

from aprgen.errors import PayloadError
from aprgen.families.boosting import GradientBoosting
from aprgen.families.forest import ForestClassifier
from aprgen.families.tree import DecisionTree
from aprgen.trees import TreeBuilder


def member(n_features: int | None) -> DecisionTree:
    """A fitted tree that reads feature 0 and states `n_features`."""
    builder = TreeBuilder()
    root = builder.add(0, 1.0)
    builder.left[root] = builder.leaf(label=0)
    builder.right[root] = builder.leaf(label=1)
    return DecisionTree(builder.build(), True, n_features, ())


def voting(widths: tuple[int | None, ...], x_train_columns: int | None = None) -> ForestClassifier:
    return ForestClassifier(tuple(member(width) for width in widths), x_train_columns, 2, ())


def boosted(widths: tuple[int | None, ...]) -> GradientBoosting:
    return GradientBoosting(tuple(member(width) for width in widths), 0.0, 0.1, ())


@pytest.mark.parametrize(
    ("forest", "what", "place"),
    [
        (voting((2, 3)), "tree 1 has 3 features, tree 0 2", "RandomForestClassifier, tree 1"),
        (voting((None, 5, 4)), "tree 2 has 4 features, tree 1 5", "RandomForestClassifier, tree 2"),
        (voting((2, 2), 3), "the training data has 3 features", "RandomForestClassifier, the training data"),
        (boosted((4, 4, 3)), "tree 2 has 3 features", "GradientBoostingClassifier, tree 2"),
    ],
)
def test_different_widths_are_refused(forest: ForestClassifier | GradientBoosting, what: str, place: str) -> None:
    """Members that were fitted on rows of different widths are no forest."""
    with pytest.raises(PayloadError) as caught:
        forest.check()

    assert 3 == caught.value.exit_status
    assert what in caught.value.what
    assert place == caught.value.where
    assert caught.value.hint


@pytest.mark.parametrize(
    "forest", [voting((2, None, 2), 2), voting((None, None), 7), boosted((3, 3)), boosted((None,))]
)
def test_equal_widths_are_accepted(forest: ForestClassifier | GradientBoosting) -> None:
    """Equal widths pass, and a member that states none agrees with all; rows of that width predict."""
    forest.check()

    assert 1 == len(forest.predict(np.zeros((1, forest.n_features), np.float32)))
