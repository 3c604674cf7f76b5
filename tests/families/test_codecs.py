"""Payload layouts: fixtures and random records survive decode and encode, and payloads that lie are refused."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings

from aprgen.container.bincode import decode, encode
from aprgen.errors import AprgenError, PayloadError, UnsupportedError, UsageError
from aprgen.families import STRUCTS
from aprgen.families.base import Fields, Struct
from aprgen.loaded import HINT_KEY, load_model
from aprgen.trees import Tree, TreeBuilder
from tests.examples import ENCRYPTED, NETWORKS, PATHS, loaded, plain_file
from tests.random_models import BY_NAME, FAMILIES, Payload, TensorFile

V1 = tuple(name for name in PATHS if name not in (*ENCRYPTED, *NETWORKS))


def struct_of(name: str) -> Struct:
    """The layout that a fixture's payload has, among those of its struct's name."""
    payload = loaded(name).container.payload  # type: ignore[union-attr]
    for struct in STRUCTS:
        if struct.name == loaded(name).candidates[0] or struct.name.startswith(f"{loaded(name).candidates[0]}<"):
            try:
                decode(struct.codec, payload)
            except PayloadError:
                continue
            return struct
    raise AssertionError(name)


@pytest.mark.parametrize("name", V1)
def test_fixture_payloads_come_back_byte_for_byte(name: str) -> None:
    """Decoded and encoded again, the payload of every v1 fixture is the same bytes, in every layout that fits it."""
    payload = loaded(name).container.payload  # type: ignore[union-attr]
    struct = struct_of(name)

    assert bytes(payload) == encode(struct.codec, decode(struct.codec, payload))


def same(one: object, other: object) -> bool:
    """Equal fields: arrays by their bits, floats too."""
    if isinstance(one, Tree) and isinstance(other, Tree):
        return all(
            same(getattr(one, part), getattr(other, part))
            for part in ("feature", "threshold", "left", "right", "leaf_label", "leaf_value")
        )
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.shape == other.shape and one.tobytes() == other.astype(one.dtype).tobytes()
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, float):
        return np.float32(one).tobytes() == np.float32(other).tobytes()
    return one == other


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "network"])
def test_random_records_come_back(family: str) -> None:
    """A record of any family, encoded and decoded, is the same record, and encodes to the same bytes."""

    @settings(max_examples=60)
    @given(payload=FAMILIES[family]())
    def check(payload: Payload | TensorFile) -> None:
        assert isinstance(payload, Payload)
        data = payload.data()
        back = decode(payload.struct.codec, data)
        assert data == encode(payload.struct.codec, back)
        for key, value in payload.fields.items():
            if not any(isinstance(v, Tree) for v in _parts(value)):
                assert same(value, back[key]), key

    check()


def _parts(value: object) -> list[object]:
    """A value and everything in it."""
    inner = list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, tuple) else []
    return [value, *(part for item in inner for part in _parts(item))]


# Payloads that lie ---------------------------------------------------------------------------------------------------


def leaf(label: int = 0) -> Tree:
    builder = TreeBuilder()
    builder.leaf(label=label, samples=1)
    return builder.build()


def split(feature: int, threshold: float) -> Tree:
    builder = TreeBuilder()
    root = builder.add(feature, threshold)
    builder.left[root] = builder.leaf(label=0, value=1.0, samples=1)
    builder.right[root] = builder.leaf(label=1, value=2.0, samples=1)
    return builder.build()


def classifier(tree: Tree | None, n_features: int | None = 2) -> Fields:
    return {"tree": tree, "max_depth": None, "n_features": n_features}


def forest(*members: Fields, y: list[int] | None = None) -> Payload:
    labels = None if y is None else np.array(y, np.uint64)
    fields: Fields = {
        "trees": members, "n_estimators": len(members), "max_depth": None, "random_state": None, "oob_indices": (),
        "x_train": None, "y_train": labels,
    }  # fmt: skip
    return Payload(BY_NAME["RandomForestClassifier"], fields)


def tree(root: Tree | None, n_features: int | None = 2) -> Payload:
    return Payload(BY_NAME["DecisionTreeClassifier"], classifier(root, n_features))


def linear(values: list[float] | None, intercept: float = 0.0) -> Payload:
    weights = None if values is None else np.array(values, np.float32)
    fields: Fields = {"coefficients": weights, "intercept": intercept, "fit_intercept": True}
    return Payload(BY_NAME["LinearRegression"], fields)


def k_means(n_clusters: int, centroids: list[list[float]] | None) -> Payload:
    points = None if centroids is None else np.array(centroids, np.float32).reshape(len(centroids), -1)
    fields: Fields = {
        "n_clusters": n_clusters, "max_iter": 1, "tol": 0.0, "random_state": None, "centroids": points, "labels": None,
        "inertia": 0.0, "n_iter": 1,
    }  # fmt: skip
    return Payload(BY_NAME["KMeans"], fields)


def neighbours(k: int, points: list[list[float]], labels: list[int], metric: object = ("Euclidean", None)) -> Payload:
    fields: Fields = {
        "k": k, "metric": metric, "weights": False, "x_train": np.array(points, np.float32).reshape(len(points), -1),
        "y_train": np.array(labels, np.uint64),
    }  # fmt: skip
    return Payload(BY_NAME["KNearestNeighbors"], fields)


def bayes(priors: list[float], variances: list[list[float]], classes: list[int]) -> Payload:
    fields: Fields = {
        "class_priors": np.array(priors, np.float32), "means": (np.zeros(1, np.float32), np.ones(1, np.float32)),
        "variances": tuple(np.array(v, np.float32) for v in variances), "classes": np.array(classes, np.uint64),
        "var_smoothing": 0.0,
    }  # fmt: skip
    return Payload(BY_NAME["GaussianNB"], fields)


def mixture(n: int, covariances: tuple[np.ndarray, ...], weights: list[float]) -> Payload:
    fields: Fields = {
        "n_components": n, "covariance_type": ("Full", None), "max_iter": 1, "tol": 0.0, "random_state": None,
        "means": np.zeros((2, 2), np.float32), "covariances": covariances, "weights": np.array(weights, np.float32),
        "labels": None,
    }  # fmt: skip
    return Payload(BY_NAME["GaussianMixture"], fields)


def experts(n_experts: int, n_weights: int, top_k: int = 1, temperature: float = 1.0, n_features: int = 2) -> Payload:
    member: Fields = {"coefficients": np.ones(2, np.float32), "intercept": 0.0, "fit_intercept": True}
    fields: Fields = {
        "experts": (member, member),
        "gating": {
            "n_features": n_features, "n_experts": n_experts, "temperature": temperature,
            "weights": np.ones(n_weights, np.float32),
        },
        "config": {"top_k": top_k, "capacity_factor": 1.0, "expert_dropout": 0.0, "load_balance_weight": 0.0},
    }  # fmt: skip
    return Payload(BY_NAME["MixtureOfExperts<LinearRegression>"], fields)


def components(n: int, matrix: np.ndarray) -> Payload:
    fields: Fields = {
        "n_components": n, "mean": np.zeros(2, np.float32), "components": matrix, "explained_variance": None,
        "explained_variance_ratio": None,
    }  # fmt: skip
    return Payload(BY_NAME["PCA"], fields)


def scaler(std: list[float]) -> Payload:
    values = np.array(std, np.float32)
    fields: Fields = {"mean": np.zeros(2, np.float32), "std": values, "with_mean": True, "with_std": True}
    return Payload(BY_NAME["StandardScaler"], fields)


def boosting(*members: Fields, rate: float = 0.1) -> Payload:
    fields: Fields = {
        "n_estimators": 1, "learning_rate": rate, "max_depth": 1, "init_prediction": 0.0, "estimators": members
    }  # fmt: skip
    return Payload(BY_NAME["GradientBoostingClassifier"], fields)


def isolation(root: Tree | None, n_estimators: int = 1, c_norm: float = 1.0, limit: float | None = -0.5) -> Payload:
    fields: Fields = {
        "n_estimators": n_estimators, "max_samples": None, "contamination": 0.1, "random_state": None, "max_depth": 1,
        "trees": ({"root": root, "max_depth": 1},), "threshold": limit, "c_norm": c_norm,
    }  # fmt: skip
    return Payload(BY_NAME["IsolationForest"], fields)


NAN, INF = float("nan"), float("inf")
EYE = np.eye(2, dtype=np.float32)
POINTS = [[0.0, 1.0], [2.0, 3.0]]

UNFITTED = {
    "linear without coefficients": linear(None),
    "linear with none of them": linear([]),
    "tree without root": tree(None),
    "forest without trees": forest(),
    "boosting without trees": boosting(),
    "k-means without centroids": k_means(2, None),
    "k-means without columns": k_means(2, [[], []]),
    "neighbours without columns": neighbours(1, [[]], [0]),
    "isolation forest without threshold": isolation(leaf(), limit=None),
}

LIES = {
    "an unfitted member": (forest(classifier(leaf()), classifier(None)), "tree 1 of 2 was never fitted"),
    "an unfitted isolation tree": (isolation(None), "was never fitted"),
    "a feature beyond those stated": (tree(split(2, 0.5), 2), "reads feature 2 of 2"),
    "a feature beyond those stated, in a forest": (forest(classifier(split(9, 0.5), 3)), "reads feature 9 of 3"),
    "a tree of no features": (tree(leaf(), 0), "no features"),
    "a NaN threshold": (tree(split(0, NAN)), "holds nan"),
    "an infinite threshold": (forest(classifier(split(0, INF))), "holds inf"),
    "a NaN coefficient": (linear([1.0, NAN]), "holds nan at index 1"),
    "an infinite intercept": (linear([1.0], -INF), "holds -inf"),
    "a NaN learning rate": (boosting(classifier(leaf()), rate=NAN), "holds nan"),
    "more clusters than centroids": (k_means(3, POINTS), "n_clusters is 3, but there are 2 centroids"),
    "no clusters": (k_means(0, POINTS), "n_clusters is 0"),
    "a NaN centroid": (k_means(2, [[0.0, NAN], [1.0, 1.0]]), "holds nan at index 1"),
    "k beyond the rows": (neighbours(3, POINTS, [0, 1]), "k is 3 with 2 training rows"),
    "k of none": (neighbours(0, POINTS, [0, 1]), "k is 0"),
    "labels that are too few": (neighbours(1, POINTS, [0]), "2 training rows, but 1 labels"),
    "a label beyond 2^31": (neighbours(1, POINTS, [0, 2**40]), "class label"),
    "a label that asks for too many scores": (neighbours(1, POINTS, [0, 2**20]), "class label"),
    "a metric of NaN": (neighbours(1, POINTS, [0, 1], ("Minkowski", NAN)), "holds nan"),
    "a metric of power zero": (neighbours(1, POINTS, [0, 1], ("Minkowski", 0.0)), "power of the metric is 0"),
    "priors that are too few": (bayes([1.0], [[1.0], [1.0]], [0, 1]), "do not agree in number"),
    "classes that are too few": (bayes([0.5, 0.5], [[1.0], [1.0]], [0]), "do not agree in number"),
    "a variance of zero": (bayes([0.5, 0.5], [[1.0], [0.0]], [0, 1]), "not above zero"),
    "a prior below zero": (bayes([0.5, -0.5], [[1.0], [1.0]], [0, 1]), "not above zero"),
    "rows that differ in length": (bayes([0.5, 0.5], [[1.0], [1.0, 2.0]], [0, 1]), "differ in length"),
    "a class beyond 2^31": (bayes([0.5, 0.5], [[1.0], [1.0]], [0, 2**31]), "does not fit int32"),
    "components that are too few": (mixture(3, (EYE, EYE), [0.5, 0.5]), "are not 3 each"),
    "a covariance that is not square": (mixture(2, (EYE, EYE[:1]), [0.5, 0.5]), "a covariance is not 2 x 2"),
    "a NaN weight": (mixture(2, (EYE, EYE), [0.5, NAN]), "holds nan"),
    "a gate for more experts": (experts(3, 6), "chooses among 3 experts, the file holds 2"),
    "a gate with too few weights": (experts(2, 3), "has 3 weights"),
    "experts that take other rows": (experts(2, 6, n_features=3), "expert 0 takes 2 features, the gate 3"),
    "no expert per row": (experts(2, 4, top_k=0), "top_k is 0"),
    "a temperature of zero": (experts(2, 4, temperature=0.0), "temperature is 0"),
    "components of another width": (components(1, np.ones((1, 3), np.float32)), "components are 1 x 3"),
    "more components than rows": (components(3, np.ones((2, 2), np.float32)), "components are 2 x 2"),
    "scales that are too few": (scaler([1.0]), "2 centres, but 1 scales"),
    "a NaN scale": (scaler([1.0, NAN]), "holds nan at index 1"),
    "a training label that asks for too many scores": (
        forest(classifier(leaf()), y=[0, 2**30]), "1073741825 classes"
    ),
    "isolation by no trees": (isolation(leaf(), n_estimators=0), "n_estimators 0"),
    "isolation over a norm of zero": (isolation(leaf(), c_norm=0.0), "c_norm is 0"),
}  # fmt: skip


@pytest.mark.parametrize("what", UNFITTED)
def test_unfitted(what: str) -> None:
    """Without trained parameters: status 5, and the user is told to fit the model."""
    with pytest.raises(UnsupportedError) as caught:
        UNFITTED[what].load().model.check()

    assert (caught.value.code, caught.value.exit_status) == ("model.unfitted", 5)
    assert "fit the model" in caught.value.hint


@pytest.mark.parametrize("what", LIES)
def test_parameters_that_make_no_sense(what: str) -> None:
    """A file that decodes but cannot be believed is a bad file: status 3, and the message names what is wrong."""
    payload, says = LIES[what]
    with pytest.raises(PayloadError) as caught:
        payload.load().model.check()

    assert (caught.value.code, caught.value.exit_status) == ("payload.parameter", 3)
    assert says in caught.value.what
    assert caught.value.where
    assert caught.value.hint


def u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def refused(model_type: int, payload: bytes, struct: str | None = None) -> AprgenError:
    with pytest.raises(AprgenError) as caught:
        load_model(plain_file(model_type, payload), struct=struct).model.check()
    return caught.value


def test_a_label_beyond_2_31_in_a_tree() -> None:
    """A class label that does not fit int32 is refused where it stands."""
    payload = b"\1" + (1).to_bytes(4, "little") + u64(2**31) + u64(1) + b"\0" + b"\1" + u64(2)
    error = refused(0x0003, payload, "DecisionTreeClassifier")

    assert (error.code, error.exit_status) == ("payload.range", 3)
    assert "2147483648" in error.what


def test_a_matrix_that_lies_about_its_size() -> None:
    """Rows times columns must be the number of floats, also where 64 bits would wrap."""
    for rows, cols in ((3, 1), (2**32, 2**32), (2**63, 2), (0, 5)):
        centroids = b"\1" + u64(2) + bytes(8) + u64(rows) + u64(cols)
        error = refused(0x0006, u64(2) + u64(1) + bytes(4) + b"\0" + centroids + b"\0" + bytes(4) + u64(1))
        assert (error.code, error.exit_status) == ("payload.matrix", 3)


def test_a_count_beyond_the_file() -> None:
    """A count of more items than the bytes left is refused before anything is allocated."""
    for count in (2**20, 2**61, 2**64 - 1):
        error = refused(0x0001, b"\1" + u64(count) + bytes(17), "LinearRegression")
        assert error.exit_status == 3


def test_every_truncation_is_refused() -> None:
    """The payload of a small forest, cut at any byte or grown by one, is a bad file."""
    data = forest(classifier(split(0, 0.5)), classifier(leaf(1)), y=[0, 1]).data()
    for size in range(len(data)):
        assert refused(0x0004, data[:size], "RandomForestClassifier").exit_status == 3
    assert refused(0x0004, data + b"\0", "RandomForestClassifier").exit_status == 3


# Structs that share their bytes --------------------------------------------------------------------------------------


def test_standard_and_robust_scalers_are_alike() -> None:
    """The bytes fit both; the first is taken, and the file's findings say so."""
    both = load_model(plain_file(0x00FF, scaler([1.0, 2.0]).data()))

    assert both.candidates == ("StandardScaler", "RobustScaler")
    assert both.findings[-1] == "the bytes fit StandardScaler and RobustScaler alike; taken as StandardScaler"


def test_a_hint_in_the_metadata_decides() -> None:
    """`aprgen.struct` in the metadata names the struct."""
    data = plain_file(0x00FF, scaler([1.0, 2.0]).data(), {HINT_KEY: "RobustScaler"})

    assert load_model(data).candidates == ("RobustScaler",)
    assert load_model(data).model.struct == "RobustScaler"


def test_the_command_line_decides_over_the_hint() -> None:
    """--as is stronger than the metadata, and writes names in any case."""
    data = plain_file(0x00FF, scaler([1.0, 2.0]).data(), {HINT_KEY: "RobustScaler"})

    assert load_model(data, struct="standardscaler").model.struct == "StandardScaler"


def test_an_unknown_struct() -> None:
    """A name that no struct has is a usage error that lists the known ones."""
    with pytest.raises(UsageError) as caught:
        load_model(plain_file(0x00FF, scaler([1.0, 2.0]).data()), struct="Perceptron")

    assert (caught.value.code, caught.value.exit_status) == ("usage.struct", 2)
    assert "StandardScaler" in caught.value.hint


def test_the_wrong_struct() -> None:
    """A named struct that does not fit the bytes is a bad file, not a guess at another."""
    error = refused(0x00FF, scaler([1.0, 2.0]).data(), "KMeans")

    assert error.exit_status == 3


def test_a_type_without_layout() -> None:
    """Model types that no struct has are unsupported, and --as may still name one."""
    error = refused(0x0030, linear([1.0]).data())

    assert (error.code, error.exit_status) == ("model.type", 5)
    assert load_model(plain_file(0x0030, linear([1.0]).data()), struct="LinearRegression").model.n_features == 1


@pytest.mark.parametrize("name", ["LinearRegression", "Ridge", "Lasso", "ElasticNet"])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 64])
def test_linear_structs_are_told_apart_by_length(name: str, n: int) -> None:
    """Of the four structs under type 1 exactly one uses every byte."""
    values: Fields = {
        "alpha": 1.0, "l1_ratio": 0.5, "coefficients": np.ones(n, np.float32), "intercept": 0.5, "fit_intercept": True,
        "max_iter": 1000, "tol": 1e-4,
    }  # fmt: skip
    keys = [key for key, _ in BY_NAME[name].codec.fields]  # type: ignore[attr-defined]
    data = encode(BY_NAME[name].codec, {key: values[key] for key in keys})

    assert load_model(plain_file(0x0001, data)).candidates == (name,)
