"""Every fixture with numeric answers: predict() and the Program give what the original library gave."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from aprgen.errors import SecurityError, UnsupportedError
from tests.examples import (
    ANSWERED,
    COMPILE,
    ENCRYPTED,
    EXACT,
    INEXACT,
    LAYOUT_ONLY,
    NETWORKS,
    PATHS,
    UNFITTED,
    artifact,
    loaded,
    opened,
    recorded,
    rows_of,
)
from tests.recorded import floats

ULPS = 4  # between two C libraries; on these rows there are none today
PANICKING = ("gaussian_nb", "knn_euclidean", "knn_manhattan_weighted", "knn_minkowski")
RANDOM = {"knn_euclidean": 4, "knn_manhattan_weighted": 4, "knn_minkowski": 8}  # tied votes of aprender


def recorded_scores(name: str) -> NDArray[np.float32] | None:
    """The method that gives floats, if there is one."""
    for answers in recorded(name).outputs.values():
        if all(isinstance(answer, str) for answer in answers):
            return np.stack([floats(str(answer)) for answer in answers])
    return None


def recorded_labels(name: str) -> list[int | None] | None:
    """The method that gives integers, if there is one; None where aprender's own answer is random."""
    for answers in recorded(name).outputs.values():
        if not any(isinstance(answer, str) for answer in answers):
            return [None if answer is None else int(str(answer)) for answer in answers]
    return None


def scores_of(name: str, side: str) -> NDArray[np.float32]:
    rows = rows_of(name)
    return loaded(name).model.predict(rows) if side == "predict" else loaded(name).model.lower().run(rows)


def labels_of(name: str, side: str) -> NDArray[np.int32] | None:
    rows = rows_of(name)
    return loaded(name).model.classify(rows) if side == "predict" else loaded(name).model.lower().classify(rows)


def bits(values: NDArray[np.float32]) -> list[list[str]]:
    """Each float as hex, NaNs alike; a difference reads well."""
    return [["nan" if np.isnan(v) else f"{w:08x}" for v, w in zip(r, r.view(np.uint32), strict=True)] for r in values]


def ulps_apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> int:
    """Floats between two values; NaNs must stand in the same places."""
    assert np.isnan(one).tolist() == np.isnan(other).tolist()
    keys = [np.where(v.view(np.int32) < 0, -(v.view(np.int32) & 0x7FFFFFFF), v.view(np.int32)) for v in (one, other)]
    return int(np.abs(keys[0].astype(np.int64) - keys[1]).max(where=~np.isnan(one), initial=0))


WITH_SCORES = tuple(name for name in ANSWERED if recorded_scores(name) is not None)
WITH_LABELS = tuple(name for name in ANSWERED if recorded_labels(name) is not None)


def test_every_fixture_is_accounted_for() -> None:
    """A fixture compiles, or it is encrypted, unfitted, or has a layout only."""
    assert sorted([*COMPILE, *ENCRYPTED, *UNFITTED, *LAYOUT_ONLY]) == sorted(PATHS)
    assert sorted({*EXACT, *INEXACT}) == sorted(ANSWERED)
    assert sorted({*WITH_SCORES, *WITH_LABELS}) == sorted(ANSWERED)
    assert sum(len(rows_of(name)) for name in ANSWERED) == 1893


@pytest.mark.parametrize("side", ["predict", "program"])
@pytest.mark.parametrize("name", sorted({*WITH_SCORES} & {*EXACT}))
def test_scores_of_exact_families(name: str, side: str) -> None:
    """Without exp, log and pow, the recorded scores come back bit for bit."""
    expected = recorded_scores(name)
    assert expected is not None
    assert bits(expected) == bits(scores_of(name, side))


@pytest.mark.parametrize("side", ["predict", "program"])
@pytest.mark.parametrize("name", sorted({*WITH_SCORES} & {*INEXACT}))
def test_scores_with_exp_log_or_pow(name: str, side: str) -> None:
    """With exp, log or pow the scores lie within 4 ulp of those of glibc, and NaNs stand in the same places."""
    expected = recorded_scores(name)
    assert expected is not None
    assert ulps_apart(expected, scores_of(name, side)) <= ULPS


@pytest.mark.parametrize("side", ["predict", "program"])
@pytest.mark.parametrize("name", WITH_LABELS)
def test_labels(name: str, side: str) -> None:
    """Every recorded label comes back; where aprender's vote is random, the smallest of the tied labels."""
    expected = recorded_labels(name)
    assert expected is not None
    actual = labels_of(name, side)
    if actual is None:
        actual = scores_of(name, side)[:, 0].astype(np.int32)
    known = [i for i, label in enumerate(expected) if label is not None]

    assert [expected[i] for i in known] == actual[known].tolist()
    assert len(expected) - len(known) == RANDOM.get(name, 0)


@pytest.mark.parametrize("side", ["predict", "program"])
@pytest.mark.parametrize("name", RANDOM)
def test_a_tied_vote_goes_to_the_smallest_label(name: str, side: str) -> None:
    """On the rows whose vote aprender decides at random, the label is the first of those with the highest score.

    Far out, every weight 1/distance is 0: all votes tie at 0, and their shares are NaN.
    """
    expected = recorded_labels(name)
    assert expected is not None
    tied = [i for i, label in enumerate(expected) if label is None]
    scores, labels = scores_of(name, side)[tied], labels_of(name, side)
    highest = (scores == scores.max(axis=1, keepdims=True)) | np.isnan(scores)

    assert labels is not None
    assert highest.sum(axis=1).min() >= 2
    assert np.argmax(highest, axis=1).tolist() == labels[tied].tolist()


@pytest.mark.parametrize("side", ["predict", "program"])
@pytest.mark.parametrize("name", PANICKING)
def test_rows_on_which_aprender_panics(name: str, side: str) -> None:
    """A NaN distance or probability gives NaN scores and label 0."""
    model, rows = loaded(name).model, recorded(name).panics
    runs = model.predict(rows) if side == "predict" else model.lower().run(rows)
    labels = model.classify(rows) if side == "predict" else model.lower().classify(rows)

    assert len(rows) > 0
    assert labels is not None
    assert np.isnan(runs).all()
    assert labels.tolist() == [0] * len(rows)


def test_only_those_fixtures_have_rows_that_panic() -> None:
    """The list above is complete."""
    assert sorted(name for name in ANSWERED if len(recorded(name).panics)) == sorted(PANICKING)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_compute_what_their_tensors_say(name: str) -> None:
    """iris, 4-8-6-3: relu after each layer but the last, products from left to right, the bias last."""
    model = loaded(name).model
    rows = rows_of("rfc")[:20]
    x = rows
    tensors = {t.name: t.values for t in loaded(name).container.tensors}  # type: ignore[union-attr]
    for index in range(3):
        weight, bias = tensors[f"layer{index}.weight"], tensors[f"layer{index}.bias"]
        total = np.zeros((len(x), len(weight)), np.float32)
        for row in range(len(x)):
            for out in range(len(weight)):
                acc = np.float32(weight[out, 0] * x[row, 0])
                for col in range(1, weight.shape[1]):
                    acc = np.float32(acc + np.float32(weight[out, col] * x[row, col]))
                total[row, out] = np.float32(acc + bias[out])
        x = total if index == 2 else np.maximum(total, np.float32(0))

    assert bits(x) == bits(model.predict(rows))
    assert bits(x) == bits(model.lower().run(rows))


@pytest.mark.parametrize("name", UNFITTED)
def test_unfitted_models_are_refused(name: str) -> None:
    """A model that was never fitted opens and describes itself, and compiling says why it cannot be."""
    assert loaded(name).model.facts()
    with pytest.raises(UnsupportedError, match="was never fitted") as caught:
        artifact(name)

    assert caught.value.code == "model.unfitted"
    assert caught.value.exit_status == 5


@pytest.mark.parametrize("name", LAYOUT_ONLY)
def test_layouts_without_prediction_are_refused(name: str) -> None:
    """Clusterings of a training set and quantized blocks decode, and compiling says what they are."""
    assert loaded(name).model.facts()
    with pytest.raises(UnsupportedError, match="no code can be made") as caught:
        artifact(name)

    assert caught.value.code == "model.layout_only"
    assert caught.value.exit_status == 5


@pytest.mark.parametrize("name", ENCRYPTED)
def test_encrypted_files_are_never_opened_as_plain(name: str) -> None:
    """Without a key an encrypted file is refused for security."""
    with pytest.raises(SecurityError) as caught:
        loaded(name)

    assert caught.value.code == "security.encrypted"
    assert caught.value.exit_status == 4


@pytest.mark.parametrize("side", ["predict", "program"])
@pytest.mark.parametrize("name", ENCRYPTED)
def test_encrypted_models_answer_as_recorded(name: str, side: str) -> None:
    """Opened with its secret, an encrypted fixture gives the recorded scores and labels, those of expf within 4 ulp."""
    model, rows = opened(name).model, recorded(name).rows
    program = model.lower()
    scores = model.predict(rows) if side == "predict" else program.run(rows)
    labels = model.classify(rows) if side == "predict" else program.classify(rows)
    expected, expected_labels = recorded_scores(name), recorded_labels(name)

    assert len(rows) > 0
    assert expected is not None or expected_labels is not None
    if expected is not None:
        assert ulps_apart(expected, scores) <= (ULPS if name == "encpw_logreg" else 0)
    if expected_labels is not None:
        assert labels is not None
        assert expected_labels == labels.tolist()
