"""The models that the benchmark compiles, made from a seed with the package's own codecs.

Knows sizes and shapes; measures nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from aprgen.container import Metadata, write_v1
from aprgen.container.bincode import encode
from aprgen.families import STRUCTS
from aprgen.trees import Tree, TreeBuilder

SEED = 20260117
LINEAR, FOREST = 0x0001, 0x0004


def linear(n_features: int, seed: int = SEED) -> bytes:
    """A linear regression."""
    generator = np.random.default_rng(seed)
    fields: dict[str, object] = {
        "coefficients": generator.standard_normal(n_features).astype(np.float32),
        "intercept": float(np.float32(generator.standard_normal())),
        "fit_intercept": True,
    }
    return file_of("LinearRegression", LINEAR, fields)


def forest(n_trees: int, depth: int, n_features: int, n_classes: int = 4, seed: int = SEED) -> bytes:
    """A random forest classifier of full trees: 2^depth - 1 splits and 2^depth leaves each."""
    generator = np.random.default_rng(seed)
    trees = tuple(full_tree(generator, depth, n_features, n_classes) for _ in range(n_trees))
    return forest_of(trees, n_features, n_classes, depth, seed)


def forest_of(
    trees: tuple[Tree, ...], n_features: int, n_classes: int, depth: int | None = None, seed: int = SEED
) -> bytes:
    """A random forest classifier of the given trees."""
    fields: dict[str, object] = {
        "trees": tuple({"tree": tree, "max_depth": depth, "n_features": n_features} for tree in trees),
        "n_estimators": len(trees),
        "max_depth": depth,
        "random_state": seed,
        "oob_indices": (),
        "x_train": None,
        "y_train": np.arange(n_classes, dtype=np.uint64),
    }
    return file_of("RandomForestClassifier", FOREST, fields)


def grown_tree(generator: np.random.Generator, splits: int, depth: int, n_features: int, n_classes: int) -> Tree:
    """A tree of random shape with thresholds 0.5 to 15.5: at every step a leaf above `depth` becomes a split."""
    children: list[tuple[int, int] | None] = [None]
    levels, open_leaves = [0], [0]
    for _ in range(splits):
        if not open_leaves:
            break
        at = open_leaves.pop(int(generator.integers(len(open_leaves))))
        children[at] = (len(children), len(children) + 1)
        for _ in range(2):
            levels.append(levels[at] + 1)
            children.append(None)
            if levels[-1] < depth:
                open_leaves.append(len(children) - 1)
    builder = TreeBuilder()
    waiting: list[tuple[int, int, bool]] = [(0, -1, False)]  # place, parent, is this its right child
    while waiting:
        place, parent, is_right = waiting.pop()
        below = children[place]
        if below is None:
            at = builder.leaf(label=int(generator.integers(n_classes)), samples=1)
        else:
            at = builder.add(int(generator.integers(n_features)), float(generator.integers(16)) + 0.5)
            waiting += [(below[1], at, True), (below[0], at, False)]
        if parent >= 0:
            (builder.right if is_right else builder.left)[parent] = at
    return builder.build()


def full_tree(generator: np.random.Generator, depth: int, n_features: int, n_classes: int) -> Tree:
    """2^depth - 1 splits and 2^depth leaves."""
    n_splits = 2**depth - 1
    features = iter(generator.integers(n_features, size=n_splits).tolist())
    thresholds = iter(generator.standard_normal(n_splits).astype(np.float32).tolist())
    labels = iter(generator.integers(n_classes, size=n_splits + 1).tolist())
    builder = TreeBuilder()
    waiting: list[tuple[int, bool, int]] = [(-1, False, 0)]  # parent, is this its right child, level
    while waiting:
        parent, is_right, level = waiting.pop()
        if level < depth:
            at = builder.add(next(features), next(thresholds))
            waiting += [(at, True, level + 1), (at, False, level + 1)]
        else:
            at = builder.leaf(label=next(labels), samples=1)
        if parent >= 0:
            (builder.right if is_right else builder.left)[parent] = at
    return builder.build()


def file_of(struct_name: str, model_type: int, fields: dict[str, object]) -> bytes:
    """A file of that struct, with these fields in its payload."""
    struct = next(struct for struct in STRUCTS if struct.name == struct_name and model_type in struct.model_types)
    return write_v1(
        model_type, encode(struct.codec, fields), Metadata(created_at="1768608000", aprender_version="0.7.1")
    )


def write_all(folder: Path, *, quick: bool) -> None:
    """The three models of the benchmark; `quick` has a smaller large one."""
    (folder / "small.apr").write_bytes(linear(10))
    (folder / "medium.apr").write_bytes(forest(20, 6, 16))
    (folder / "large.apr").write_bytes(forest(100, 5 if quick else 10, 32))


if __name__ == "__main__":
    write_all(Path(sys.argv[1]), quick=sys.argv[2:] == ["quick"])
