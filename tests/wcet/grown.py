"""Ensembles for tests of the walks: node tables of any shape, and forests grown on data as a trainer would.

The trainer is a small CART: Gini gain, a bootstrap sample per tree, a third of the features per split.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from aprgen.families.ensemble import merge_trees
from aprgen.ops.trees import Nodes
from aprgen.program import Table
from aprgen.trees import Tree, TreeBuilder
from aprgen.wcet.walk_paths import Weights

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

N_ROWS = 300
N_FEATURES = 8

# Few and unusual thresholds: they tie, and leave cells that no row reaches.
CUTS = (0.0, -0.0, 1.0, -1.0, 2.0, 1e-45, 3.4028234663852886e38, np.inf, -np.inf, np.nan)


def nodes_of(trees: list[object]) -> Nodes:
    """Node tables of trees spelled as (feature, threshold, left, right), or an int for a leaf."""
    feature: list[int] = []
    threshold: list[float] = []
    children: list[tuple[int, int]] = []

    def place(tree: object) -> int:
        if isinstance(tree, int):
            return ~tree
        assert isinstance(tree, tuple)
        at = len(feature)
        feature.append(tree[0])
        threshold.append(tree[1])
        children.append((0, 0))
        children[at] = (place(tree[2]), place(tree[3]))
        return at

    def depth(tree: object) -> int:
        return 1 + max(depth(tree[2]), depth(tree[3])) if isinstance(tree, tuple) else 0

    roots = [place(tree) for tree in trees]
    left, right = np.array(children, np.int16).reshape(-1, 2).T
    return Nodes(
        Table(feature, np.uint8),
        Table(threshold, np.float32),
        Table(left),
        Table(right),
        Table(roots, np.int16),
        max((depth(tree) for tree in trees), default=0),
    )


def trees(n_features: int, max_leaves: int) -> st.SearchStrategy[object]:
    leaf = st.integers(0, 3)
    cut = st.sampled_from(CUTS) | st.floats(-3, 3, width=32)
    return st.recursive(
        leaf, lambda child: st.tuples(st.integers(0, n_features - 1), cut, child, child), max_leaves=max_leaves
    )


@st.composite
def ensembles(draw: st.DrawFn) -> Nodes:
    """Up to five trees on up to three features; some are single leaves."""
    n_features = draw(st.integers(1, 3))
    return nodes_of(draw(st.lists(trees(n_features, 7), min_size=1, max_size=5)))


def random_weights(nodes: Nodes, seed: int) -> Weights:
    """Costs of edges that differ like those of compiled code."""
    generator = np.random.default_rng(seed)
    return Weights(generator.integers(8, 14, nodes.n_nodes), generator.integers(8, 14, nodes.n_nodes))


def grown_forest(n_trees: int, depth: int, seed: int = 0) -> Nodes:
    """The node tables of grown_trees."""
    grown = grown_trees(n_trees, depth, seed)
    return merge_trees(grown, [tree.leaf_label for tree in grown])


def grown_trees(n_trees: int, depth: int, seed: int = 0) -> list[Tree]:
    """A random forest of three classes, trained on noisy data."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(N_ROWS, N_FEATURES)).astype(np.float32)
    signal = rows[:, 0] + rows[:, 1] * rows[:, 2] + 0.7 * generator.normal(size=N_ROWS)
    labels = np.digitize(signal, [-0.6, 0.6]).astype(np.int64)
    grown = []
    for _ in range(n_trees):
        builder = TreeBuilder()
        sample = generator.integers(0, N_ROWS, N_ROWS)
        _grow(builder, generator, rows[sample], labels[sample], depth)
        grown.append(builder.build())
    return grown


def _grow(builder: TreeBuilder, generator: np.random.Generator, rows: Floats, labels: Ints, depth: int) -> int:
    split = None if depth == 0 or len(np.unique(labels)) == 1 else _best_split(generator, rows, labels)
    if split is None:
        return builder.leaf(label=int(np.bincount(labels).argmax()))
    feature, threshold = split
    left = rows[:, feature] <= np.float32(threshold)
    at = builder.add(feature, threshold)
    builder.left[at] = _grow(builder, generator, rows[left], labels[left], depth - 1)
    builder.right[at] = _grow(builder, generator, rows[~left], labels[~left], depth - 1)
    return at


def _best_split(generator: np.random.Generator, rows: Floats, labels: Ints) -> tuple[int, float] | None:
    """The feature and threshold of the purest split with two rows on either side."""
    best: tuple[float, int, float] | None = None
    n = len(labels)
    for feature in generator.choice(N_FEATURES, (N_FEATURES + 1) // 3, replace=False):
        order = np.argsort(rows[:, feature], kind="stable")
        values = rows[order, feature]
        counts = np.cumsum(np.eye(3)[labels[order]], axis=0)
        size = np.arange(1, n)
        purity = (counts[:-1] ** 2).sum(1) / size + ((counts[-1] - counts[:-1]) ** 2).sum(1) / (n - size)
        middle = (values[1:] + values[:-1]) / np.float32(2)
        purity[(middle >= values[1:]) | (middle < values[:-1]) | (size < 2) | (n - size < 2)] = -1
        at = int(np.argmax(purity)) if n > 1 else 0
        if n > 1 and purity[at] > 0 and (best is None or purity[at] > best[0]):
            best = (float(purity[at]), int(feature), float(middle[at]))
    return None if best is None else best[1:]
