"""What all models made of decision trees share: checks, facts, and the node tables of their trees.

Knows trees and their leaves; knows no particular model, no files and no C.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from aprgen.errors import UnsupportedError
from aprgen.families.base import Fact, Fields, Floats, bad_parameter, require_finite, unfitted
from aprgen.ops.trees import Nodes
from aprgen.program import Array, Table
from aprgen.trees import Tree

MAX_SHOWN_FEATURES = 4096  # of a list that a person reads
MAX_TREES = 65_535  # votes are counted in 16 bits


def check_tree(tree: Tree, n_features: int | None, *, where: str) -> None:
    """Features in range and thresholds and values finite."""
    if n_features is not None and tree.max_feature >= n_features:
        raise bad_parameter(f"a split reads feature {tree.max_feature} of {n_features}", where=where)
    require_finite(f"{where}: thresholds", tree.threshold)
    require_finite(f"{where}: leaf values", tree.leaf_value)


def tree_facts(trees: Sequence[Tree]) -> tuple[Fact, ...]:
    """Sizes, and which features the splits use most (by the share of training samples that pass them)."""
    inner = sum(tree.n_nodes - tree.n_leaves for tree in trees)
    return (
        Fact("trees", len(trees)),
        Fact("split nodes", inner),
        Fact("leaves", sum(tree.n_leaves for tree in trees)),
        Fact("depth", max((tree.depth for tree in trees), default=0)),
    )


def split_counts(trees: Sequence[Tree], n_features: int) -> tuple[int, ...]:
    """How many splits read each feature: an importance that follows from the structure alone. Empty for wide rows."""
    if n_features > MAX_SHOWN_FEATURES:
        return ()
    counts = np.zeros(n_features, np.int64)
    for tree in trees:
        used = tree.feature[~tree.is_leaf]
        counts += np.bincount(used, minlength=n_features)[:n_features]
    return tuple(int(count) for count in counts)


def merge_trees(
    trees: Sequence[Tree],
    leaf_of: Sequence[Array],
    *,
    strict: bool = False,
    missing_left: Sequence[Array] | None = None,
) -> Nodes:
    """Node tables of all trees; leaf_of[t][node] is the leaf index of a leaf node.

    With `strict` the trees go left when x < threshold, which for floats is x <= the next value below.
    missing_left[t][node]: whether a NaN goes left there; None: nowhere.
    """
    features: list[Array] = []
    thresholds: list[Array] = []
    lefts: list[Array] = []
    rights: list[Array] = []
    roots: list[int] = []
    base = 0
    depth = 0
    for tree, leaves in zip(trees, leaf_of, strict=True):
        inner = ~tree.is_leaf
        reference = np.where(inner, base + np.cumsum(inner) - 1, ~np.asarray(leaves, np.int64))
        features.append(tree.feature[inner])
        thresholds.append(tree.threshold[inner])
        lefts.append(reference[tree.left[inner]])
        rights.append(reference[tree.right[inner]])
        roots.append(int(reference[0]))
        base += int(np.count_nonzero(inner))
        depth = max(depth, tree.depth)
    missing: Table | None = None
    if missing_left is not None and base > 0:
        goes = [left[~tree.is_leaf] for tree, left in zip(trees, missing_left, strict=True)]
        missing = Table(np.concatenate(goes).astype(np.uint8))
    feature = np.concatenate(features) if features else np.zeros(0, np.int64)
    threshold = np.concatenate(thresholds).astype(np.float32)
    if strict:
        with np.errstate(over="ignore"):  # below the smallest float is minus infinity
            threshold = np.nextafter(threshold, np.float32(-np.inf), dtype=np.float32)
    references = np.concatenate([*lefts, *rights, np.array(roots, np.int64)])
    fits = len(references) == 0 or (references.min() >= -(2**15) and references.max() < 2**15)
    kind = np.int16 if fits else np.int32
    return Nodes(
        feature=Table(feature.astype(np.min_scalar_type(int(feature.max(initial=0))))),
        threshold=Table(threshold),
        left=Table(np.concatenate(lefts).astype(kind)),
        right=Table(np.concatenate(rights).astype(kind)),
        root=Table(np.array(roots).astype(kind)),
        depth=depth,
        missing_left=missing,
    )


def check_trees(trees: tuple[Tree | None, ...], n_features: int | None, struct: str) -> None:
    """A forest must have trees, not too many, and every one of them fitted and sound."""
    if not trees:
        raise unfitted(struct)
    if len(trees) > MAX_TREES:
        raise UnsupportedError(
            "model.trees",
            f"{len(trees)} trees are more than the {MAX_TREES} that aprgen counts",
            where=struct,
            hint="train fewer trees",
        )
    for index, tree in enumerate(trees):
        if tree is None:
            raise bad_parameter(f"tree {index} of {len(trees)} was never fitted", where=struct)
        check_tree(tree, n_features, where=f"tree {index}")


def widest(trees: tuple[Tree, ...]) -> int:
    """As many features as the splits read, at least one."""
    return max(1, max((tree.max_feature for tree in trees), default=0) + 1)


def leaf_positions(trees: tuple[Tree, ...], answers: tuple[Array, ...]) -> tuple[Array, list[Array]]:
    """The distinct answers of all leaves (sorted), and per tree the position of each node's answer among them.

    answers[t][node] counts only at leaves; inner nodes get an arbitrary position.
    """
    at_leaves = np.concatenate([answer[tree.is_leaf] for tree, answer in zip(trees, answers, strict=True)])
    distinct = np.unique(at_leaves)
    return distinct, [
        np.searchsorted(distinct, np.where(tree.is_leaf, answer, distinct[0]))
        for tree, answer in zip(trees, answers, strict=True)
    ]


def value_positions(trees: tuple[Tree, ...], values: tuple[Floats, ...]) -> tuple[Table, list[Array]]:
    """leaf_positions for float32 answers: distinct by their bits, so that both zeros survive."""
    bits, positions = leaf_positions(trees, tuple(np.asarray(v, np.float32).view(np.int32) for v in values))
    return Table(bits.astype(np.int32).view(np.float32)), positions


def hyperparameters(fields: Fields, *names: str) -> tuple[Fact, ...]:
    return tuple(Fact(name, cast("int | float | None", fields[name])) for name in names)
