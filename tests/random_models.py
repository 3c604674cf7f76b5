"""Random payloads of every family, as the fields that a payload decodes to. Shared by codec and differential tests.

A model here is a Payload: its type, its struct and its fields. Parameters mix plain numbers, which make ties, with
extreme ones.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from aprgen.container.bincode import encode
from aprgen.families import STRUCTS
from aprgen.families.base import Fields, Struct
from aprgen.families.network import ACTIVATIONS
from aprgen.loaded import Loaded, load_model
from aprgen.program import Array
from aprgen.trees import Tree, TreeBuilder
from tests.examples import plain_file
from tests.hostile.v2files import Entry, built

Draw = st.DrawFn
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

BY_NAME: Mapping[str, Struct] = {struct.name: struct for struct in STRUCTS}  # the later layout where there are two


@dataclass(frozen=True, eq=False)
class Payload:
    """What a file of the original library would hold."""

    struct: Struct
    fields: Fields

    def data(self) -> bytes:
        return encode(self.struct.codec, self.fields)

    def load(self) -> Loaded:
        """The model, through a file and back."""
        return load_model(plain_file(self.struct.model_types[0], self.data()), struct=self.struct.name)

    def __repr__(self) -> str:
        return f"{self.struct.name}({self.fields})"


# Numbers -------------------------------------------------------------------------------------------------------------

EXTREME = (0.0, -0.0, 1e-45, -1e-45, 1.1754942e-38, 1.1754944e-38, 1e-10, 1e10, -1e18, 1e30, 3.4e38, -3.4e38)
f32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
plain = st.sampled_from((0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 3.0, 0.25))
usual = st.floats(-8, 8, width=32)
numbers = st.one_of(plain, usual, usual, f32, st.sampled_from(EXTREME).map(lambda v: float(np.float32(v))))
mild = st.one_of(plain, usual)  # where extremes would only overflow everything
positive = st.one_of(st.sampled_from((1.0, 0.5, 2.0, 1e-10, 1e-6)), st.floats(2.0**-20, 64, width=32))
counts = st.integers(0, 2**40)
maybe_count = st.none() | st.integers(0, 2**64 - 1)


def vector(draw: Draw, size: int, elements: st.SearchStrategy[float] = numbers) -> Floats:
    return np.array(draw(st.lists(elements, min_size=size, max_size=size)), np.float32)


def matrix(draw: Draw, rows: int, cols: int, elements: st.SearchStrategy[float] = numbers) -> Floats:
    return vector(draw, rows * cols, elements).reshape(rows, cols)


def labels(draw: Draw, size: int, largest: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array(draw(st.lists(st.integers(0, largest), min_size=size, max_size=size)), np.uint64)


# Trees ---------------------------------------------------------------------------------------------------------------


def tree(draw: Draw, n_features: int, label: st.SearchStrategy[int], max_depth: int = 5) -> Tree:
    """A tree of any shape, one leaf included; thresholds repeat, so some leaves are never reached."""
    builder = TreeBuilder()
    cuts = st.one_of(plain, numbers)

    def grow(depth: int) -> int:
        if depth >= max_depth or draw(st.integers(0, 3)) == 0:
            value = draw(numbers)
            return builder.leaf(label=draw(label), value=value, samples=draw(st.integers(0, 40)))
        at = builder.add(draw(st.integers(0, n_features - 1)), draw(cuts), samples=draw(st.integers(2, 99)))
        builder.left[at] = grow(depth + 1)
        builder.right[at] = grow(depth + 1)
        return at

    grow(0)
    return builder.build()


def classifier_tree(draw: Draw, n_features: int, label: st.SearchStrategy[int], *, stated: bool = True) -> Fields:
    return {
        "tree": tree(draw, n_features, label),
        "max_depth": draw(maybe_count),
        "n_features": n_features if stated else None,
    }


def regressor_tree(draw: Draw, n_features: int) -> Fields:
    return {
        "tree": tree(draw, n_features, st.just(0)),
        "max_depth": draw(maybe_count),
        "min_samples_split": draw(counts),
        "min_samples_leaf": draw(counts),
    }


class_sets = st.one_of(
    st.just([0]),
    st.just([0, 1]),
    st.just([0, 1, 2]),
    st.lists(st.integers(0, 40), min_size=1, max_size=6, unique=True),
    st.just([7, 100_000, 2**31 - 1]),
)


@st.composite
def decision_trees(draw: Draw) -> Payload:
    n = draw(st.integers(1, 6))
    label = st.sampled_from(draw(class_sets))
    return Payload(BY_NAME["DecisionTreeClassifier"], classifier_tree(draw, n, label, stated=draw(st.booleans())))


@st.composite
def regression_trees(draw: Draw) -> Payload:
    return Payload(BY_NAME["DecisionTreeRegressor"], regressor_tree(draw, draw(st.integers(1, 6))))


def forest_fields(draw: Draw, members: tuple[Fields, ...], n_features: int, y: Array | None) -> Fields:
    x = None if draw(st.booleans()) else matrix(draw, 2, n_features, mild)
    return {
        "trees": members,
        "n_estimators": draw(counts),
        "max_depth": draw(maybe_count),
        "random_state": draw(maybe_count),
        "oob_indices": tuple(labels(draw, draw(st.integers(0, 3)), 9) for _ in range(draw(st.integers(0, 2)))),
        "x_train": x,
        "y_train": y,
    }


@st.composite
def forest_classifiers(draw: Draw) -> Payload:
    """Some leaves say labels beyond max(y_train), which win votes but have no score."""
    n = draw(st.integers(1, 6))
    classes = draw(class_sets.filter(lambda c: max(c) < 99))
    n_trees = draw(st.integers(1, 7))
    members = tuple(classifier_tree(draw, n, st.sampled_from(classes)) for _ in range(n_trees))
    y = None if draw(st.integers(0, 3)) == 0 else labels(draw, 4, draw(st.sampled_from((1, 2, max(classes)))))
    return Payload(BY_NAME["RandomForestClassifier"], forest_fields(draw, members, n, y))


@st.composite
def forest_regressors(draw: Draw) -> Payload:
    n = draw(st.integers(1, 6))
    members = tuple(regressor_tree(draw, n) for _ in range(draw(st.integers(1, 6))))
    y = None if draw(st.booleans()) else vector(draw, 2)
    return Payload(BY_NAME["RandomForestRegressor"], forest_fields(draw, members, n, y))


@st.composite
def boosted_trees(draw: Draw) -> Payload:
    n = draw(st.integers(1, 6))
    members = tuple(classifier_tree(draw, n, st.sampled_from([0, 1])) for _ in range(draw(st.integers(1, 6))))
    fields: Fields = {
        "n_estimators": draw(counts),
        "learning_rate": draw(st.one_of(st.sampled_from((0.1, 1.0, 0.0, -0.5)), mild)),
        "max_depth": draw(counts),
        "init_prediction": draw(st.one_of(st.sampled_from((5.0, -5.0, 0.0)), numbers)),
        "estimators": members,
    }
    return Payload(BY_NAME["GradientBoostingClassifier"], fields)


@st.composite
def isolation_forests(draw: Draw) -> Payload:
    n = draw(st.integers(1, 6))
    n_trees = draw(st.integers(1, 5))
    trees = tuple({"root": tree(draw, n, st.just(0)), "max_depth": draw(counts)} for _ in range(n_trees))
    fields: Fields = {
        "n_estimators": draw(st.sampled_from((n_trees, n_trees + 1, 100))),
        "max_samples": draw(maybe_count),
        "contamination": draw(mild),
        "random_state": draw(maybe_count),
        "max_depth": draw(counts),
        "trees": trees,
        "threshold": draw(st.sampled_from((-0.5, -0.55, 0.0, -1.0))),
        "c_norm": draw(st.one_of(st.sampled_from((1.0, 10.24, -3.0)), positive)),
    }
    return Payload(BY_NAME["IsolationForest"], fields)


# Sums and distances --------------------------------------------------------------------------------------------------


@st.composite
def linear_models(draw: Draw) -> Payload:
    """All seven layouts that end in one weighted sum."""
    n = draw(st.integers(1, 9))
    struct = draw(st.sampled_from([s for s in STRUCTS if s.model_types in ((1,), (2,), (10,))]))
    fields: Fields = {
        "coefficients": vector(draw, n),
        "weights": vector(draw, n),
        "intercept": draw(numbers),
        "bias": draw(numbers),
        "class_weight": draw(
            st.sampled_from((("Uniform", None), ("Balanced", None)))
            | st.integers(0, 3).map(lambda size: ("Manual", np.ones(size, np.float32)))
        ),
        "fit_intercept": draw(st.booleans()),
        "max_iter": draw(counts),
    }
    fields |= {key: draw(mild) for key in ("alpha", "l1_ratio", "tol", "learning_rate", "l2_penalty", "c")}
    return Payload(struct, {key: fields[key] for key, _ in struct.codec.fields})  # type: ignore[attr-defined]


@st.composite
def k_means(draw: Draw) -> Payload:
    n = draw(st.integers(1, 5))
    rows = draw(st.integers(1, 5))
    fields: Fields = {
        "n_clusters": draw(st.integers(1, rows)),
        "max_iter": draw(counts),
        "tol": draw(mild),
        "random_state": draw(maybe_count),
        "centroids": matrix(draw, rows, n, draw(st.sampled_from((plain, mild, numbers)))),
        "labels": None if draw(st.booleans()) else labels(draw, 3, rows),
        "inertia": draw(f32),
        "n_iter": draw(counts),
    }
    return Payload(BY_NAME["KMeans"], fields)


@st.composite
def nearest_neighbours(draw: Draw) -> Payload:
    """Many points are equal, so distances tie; k goes up to all of them."""
    n = draw(st.integers(1, 4))
    points = draw(st.integers(1, 8))
    power = draw(st.sampled_from((1.0, 2.0, 3.0, 1.5, 0.5)))
    metric = draw(st.sampled_from((("Euclidean", None), ("Manhattan", None), ("Minkowski", power))))
    fields: Fields = {
        "k": draw(st.integers(1, points)),
        "metric": metric,
        "weights": draw(st.booleans()),
        "x_train": matrix(draw, points, n, draw(st.sampled_from((plain, mild)))),
        "y_train": labels(draw, points, draw(st.sampled_from((0, 1, 2, 5, 300)))),
    }
    return Payload(BY_NAME["KNearestNeighbors"], fields)


# Densities -----------------------------------------------------------------------------------------------------------


@st.composite
def naive_bayes(draw: Draw) -> Payload:
    n = draw(st.integers(1, 5))
    classes = draw(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=4, unique=True))
    same = draw(st.booleans())  # classes alike: their probabilities tie
    means = [vector(draw, n, mild) for _ in classes]
    variances = [vector(draw, n, positive) for _ in classes]
    fields: Fields = {
        "class_priors": np.full(len(classes), 0.25, np.float32) if same else vector(draw, len(classes), positive),
        "means": tuple(means[0] if same else mean for mean in means),
        "variances": tuple(variances[0] if same else variance for variance in variances),
        "classes": np.array(classes, np.uint64),
        "var_smoothing": draw(mild),
    }
    return Payload(BY_NAME["GaussianNB"], fields)


@st.composite
def mixtures(draw: Draw) -> Payload:
    n = draw(st.integers(1, 4))
    k = draw(st.integers(1, 4))
    fields: Fields = {
        "n_components": k,
        "covariance_type": (draw(st.sampled_from(("Full", "Tied", "Diag", "Spherical"))), None),
        "max_iter": draw(counts),
        "tol": draw(mild),
        "random_state": draw(maybe_count),
        "means": matrix(draw, k, n, mild),
        "covariances": tuple(matrix(draw, n, n, st.one_of(positive, plain)) for _ in range(k)),
        "weights": vector(draw, k, st.floats(0, 1, width=32)),
        "labels": None,
    }
    return Payload(BY_NAME["GaussianMixture"], fields)


# Transforms ----------------------------------------------------------------------------------------------------------


@st.composite
def scalers(draw: Draw) -> Payload:
    """Some columns are constant: their scale is 0, tiny, or just above tiny."""
    n = draw(st.integers(1, 6))
    scale = st.one_of(st.sampled_from((0.0, 1.0, 1e-10, 1.0000001e-10, 9e-11, -2.0)), positive, numbers)
    scale = scale.map(lambda v: float(np.float32(v)))
    if draw(st.booleans()):
        name = draw(st.sampled_from(("StandardScaler", "RobustScaler")))
        keys = [key for key, _ in BY_NAME[name].codec.fields]  # type: ignore[attr-defined]
        values = (vector(draw, n), vector(draw, n, scale), draw(st.booleans()), draw(st.booleans()))
        return Payload(BY_NAME[name], dict(zip(keys, values, strict=True)))
    low = vector(draw, n, numbers)
    high = np.where(vector(draw, n, st.sampled_from((0.0, 1.0))) > 0, vector(draw, n, numbers), low)
    fields: Fields = {
        "data_min": low,
        "data_max": high.astype(np.float32),
        "feature_min": draw(mild),
        "feature_max": draw(mild),
    }
    return Payload(BY_NAME["MinMaxScaler"], fields)


@st.composite
def principal_components(draw: Draw) -> Payload:
    n = draw(st.integers(1, 6))
    rows = draw(st.integers(1, n))
    fields: Fields = {
        "n_components": draw(st.integers(1, rows)),
        "mean": vector(draw, n),
        "components": matrix(draw, rows, n),
        "explained_variance": None,
        "explained_variance_ratio": vector(draw, rows, positive),
    }
    return Payload(BY_NAME["PCA"], fields)


# Mixtures of experts -------------------------------------------------------------------------------------------------


def expert(draw: Draw, name: str, n: int) -> Fields:
    match name:
        case "DecisionTreeRegressor":
            return regressor_tree(draw, n)
        case "RandomForestRegressor":
            members = tuple(regressor_tree(draw, n) for _ in range(draw(st.integers(1, 3))))
            return forest_fields(draw, members, n, None)
        case _:
            fields: Fields = {"coefficients": vector(draw, n, mild), "intercept": draw(mild), "fit_intercept": True}
            if name == "Ridge":
                return {"alpha": 1.0, **fields}
            return fields


@st.composite
def mixtures_of_experts(draw: Draw) -> Payload:
    n = draw(st.integers(1, 4))
    k = draw(st.integers(1, 4))
    name = draw(st.sampled_from(("LinearRegression", "Ridge", "DecisionTreeRegressor", "RandomForestRegressor")))
    fields: Fields = {
        "experts": tuple(expert(draw, name, n) for _ in range(k)),
        "gating": {
            "n_features": n,
            "n_experts": k,
            "temperature": draw(st.sampled_from((1.0, 0.5, 2.0, 0.1))),
            "weights": vector(draw, n * k, mild),
        },
        "config": {
            "top_k": draw(st.integers(1, k + 1)),
            "capacity_factor": 1.25,
            "expert_dropout": 0.0,
            "load_balance_weight": 0.01,
        },
    }
    return Payload(BY_NAME[f"MixtureOfExperts<{name}>"], fields)


# Networks ------------------------------------------------------------------------------------------------------------

F32_TENSOR = 0


@dataclass(frozen=True, eq=False)
class TensorFile:
    """A v2 file of float32 tensors."""

    tensors: Mapping[str, Floats]
    metadata: Mapping[str, object]

    def load(self) -> Loaded:
        entries: list[Entry] = []
        data = b""
        for name, tensor in sorted(self.tensors.items()):
            entries.append((name.encode(), F32_TENSOR, tensor.shape, len(data), tensor.nbytes))
            data += tensor.tobytes() + bytes(-tensor.nbytes % 64)
        return load_model(built(entries, data, metadata=json.dumps(self.metadata).encode()))

    def __repr__(self) -> str:
        return f"TensorFile({dict(self.tensors)}, {self.metadata})"


@st.composite
def networks(draw: Draw) -> TensorFile:
    """Up to three layers, each with its own activation, with or without a bias."""
    widths = draw(st.lists(st.integers(1, 5), min_size=2, max_size=4))
    tensors: dict[str, Floats] = {}
    for index, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
        tensors[f"layer{index}.weight"] = matrix(draw, n_out, n_in, mild)
        if draw(st.integers(0, 3)):
            tensors[f"layer{index}.bias"] = vector(draw, n_out, mild)
    chosen = [draw(st.sampled_from(ACTIVATIONS)) for _ in widths[1:]]
    slope = draw(st.sampled_from((0.01, 0.5, 0.0, -0.25)))
    return TensorFile(tensors, {"model_type": "x", "activation": chosen, "negative_slope": slope})


FAMILIES: Mapping[str, Callable[[], st.SearchStrategy[Payload | TensorFile]]] = {
    "linear": linear_models,
    "decision tree": decision_trees,
    "regression tree": regression_trees,
    "forest classifier": forest_classifiers,
    "forest regressor": forest_regressors,
    "gradient boosting": boosted_trees,
    "isolation forest": isolation_forests,
    "k-means": k_means,
    "k-nearest neighbours": nearest_neighbours,
    "naive Bayes": naive_bayes,
    "Gaussian mixture": mixtures,
    "scaler": scalers,
    "PCA": principal_components,
    "mixture of experts": mixtures_of_experts,
    "network": networks,
}
