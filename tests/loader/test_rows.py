"""The device's loader computes rows as the Program does, bit for bit, and says what NAME_predict would say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aprgen.native import read_native, write_native
from aprgen.program import Program
from aprgen.rows import edge_rows, random_rows
from aprgen.verify import same_bits
from tests.differential.test_random_models import rows_for
from tests.examples import ROWS, loaded
from tests.loader.library import Loader
from tests.native.payloads import NAMES, native_file, native_payload
from tests.random_models import FAMILIES, Payload, TensorFile

EXAMPLES = 10


def agrees(loader: Loader, program: Program, rows: NDArray[np.float32]) -> None:
    scores, labels = loader.rows(rows)
    expected = program.classify(rows)

    assert (program.n_features, program.n_outputs, program.n_classes) == loader.shape
    assert np.flatnonzero(~same_bits(program.run(rows), scores).all(axis=1)).tolist() == []
    assert (np.zeros(len(rows)) if expected is None else expected).tolist() == labels.tolist()


@pytest.mark.parametrize("name", ROWS)
def test_fixtures(name: str) -> None:
    """Every fixture that takes rows, on edge rows and random ones, NaN and infinities among them; by two compilers."""
    program = loaded(name).model.lower()
    rows = np.concatenate([edge_rows(program, 200).values, random_rows(program, 50).values])
    for compiler in ("gcc", "clang-14"):
        loader = Loader(compiler=compiler)
        assert loader.load(native_file(name)) == "OK"
        agrees(loader, program, rows)


@pytest.mark.parametrize("family", FAMILIES)
def test_random_models(family: str) -> None:
    """Random models of every family."""
    loader = Loader()

    @settings(max_examples=EXAMPLES)
    @given(payload=FAMILIES[family](), seed=st.integers(0, 2**32 - 1))
    def check(payload: Payload | TensorFile, seed: int) -> None:
        program = payload.load().model.lower()

        assert loader.open(write_native(program, NAMES)) == "OK"
        agrees(loader, program, rows_for(program, seed))

    check()


@pytest.mark.parametrize("name", ROWS)
def test_the_workspace_is_what_the_tool_says(name: str) -> None:
    """The bytes of workspace that `aprgen convert` prints are those that the device needs."""
    loader = Loader()
    loader.open(native_payload(name))

    assert read_native(native_payload(name)).workspace_bytes == loader.workspace_bytes


def test_statuses_of_predict() -> None:
    """As NAME_predict: 1 a wrong number of inputs, 2 too little room, 3 not finite."""
    loader = Loader()
    loader.load(native_file("logreg_bc"))
    n, out, _ = loader.shape
    words = loader.workspace_bytes // 4
    row = np.ones(n, np.float32)
    huge = np.full(n, np.nan, np.float32)

    assert [0, 1, 1] == [loader.predict(row, size, out, words) for size in (n, n - 1, n + 1)]
    assert [2, 0] == [loader.predict(row, n, size, words) for size in (out - 1, out + 1)]
    assert [2, 0] == [loader.predict(row, n, out, size) for size in (words - 1, words + 1)]
    assert loader.predict(huge, n, out, words) == 3


def test_an_output_that_is_not_finite() -> None:
    """Large finite inputs whose sum overflows."""
    loader = Loader()
    loader.load(native_file("linreg"))
    n, out, _ = loader.shape
    weights = loaded("linreg").model.lower().steps[0].op.weight.data.reshape(-1)  # type: ignore[attr-defined]
    row = np.where(weights < 0, -3.0e38, 3.0e38).astype(np.float32) * np.float32(1)
    row[np.abs(weights) < 1e-3] = 0
    infinite = not np.isfinite(loaded("linreg").model.lower().run(row.reshape(1, -1))).all()

    assert infinite
    assert loader.predict(row, n, out, loader.workspace_bytes // 4) == 3


LEFT_OUT = (
    ("TREES", "rfc"),
    ("TREES", "iforest"),
    ("DENSE", "linreg"),
    ("DISTANCES", "kmeans"),
    ("DISTANCES", "knn_euclidean"),
    ("POWERS", "knn_minkowski"),
    ("GAUSS", "gaussian_nb"),
    ("FUNCTIONS", "logreg_bc"),
    ("FUNCTIONS", "gaussian_nb"),
    ("TEXT", "tfidf"),
)


@pytest.mark.parametrize(("option", "name"), LEFT_OUT)
def test_what_a_build_leaves_out_is_refused(option: str, name: str) -> None:
    """A sound model that needs an operation which the build leaves out is refused when it is opened."""
    assert Loader("-O0", f"-DAPR_VIEW_{option}=0").load(native_file(name)) == "PAYLOAD:LEFT_OUT"


def test_the_smallest_build_computes_trees() -> None:
    """Everything left out but trees: forests still work."""
    groups = ("DENSE", "DISTANCES", "GAUSS", "FUNCTIONS", "POWERS", "TEXT")
    loader = Loader(*(f"-DAPR_VIEW_{group}=0" for group in groups))
    program = loaded("rfc_digits").model.lower()

    assert loader.load(native_file("rfc_digits")) == "OK"
    agrees(loader, program, random_rows(program, 100).values)
