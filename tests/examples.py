"""The fixtures as models: which of them compile, and each one loaded and compiled at most once per process."""

from __future__ import annotations

import functools
import json

import numpy as np

from aprgen.container import Access, Secrets, write_v1
from aprgen.container.keys import SecretKey
from aprgen.container.messagepack import Value
from aprgen.container.metadata import Metadata
from aprgen.container.suites import STANDARD
from aprgen.core import Artifact, Options, compile_model
from aprgen.loaded import Loaded, load_model
from aprgen.target import load_target
from tests.recorded import Recorded, fixtures, read

ENCRYPTED = ("encpw_kmeans", "encpw_logreg", "encrecip_dtr", "encrecip_rfr")
UNFITTED = ("unfitted_gmm", "unfitted_kmeans", "unfitted_linreg", "unfitted_rfc")
LAYOUT_ONLY = ("agglomerative", "dbscan", "lof", "qblock_list", "qblock_q4_0", "qblock_q8_0", "spectral")
TEXTS = ("count_vectorizer", "tfidf")
PREFIXES = ("ngram_shell",)

PATHS = {path.stem: path for path in fixtures()}
COMPILE = tuple(sorted(set(PATHS) - {*ENCRYPTED, *UNFITTED, *LAYOUT_ONLY}))
ROWS = tuple(name for name in COMPILE if name not in (*TEXTS, *PREFIXES))  # take rows of numbers
NETWORKS = tuple(name for name in ROWS if name.startswith("v2_"))  # no recorded answers
ANSWERED = tuple(name for name in ROWS if name not in NETWORKS)

# Models that use exp, log or pow: a few ulp may lie between two C libraries (apr-format.md, section 12).
INEXACT = (
    "gaussian_nb",
    "gbm",
    "gbm_single_class",
    "gmm",
    "iforest",
    "knn_minkowski",
    "logreg_bc",
    "logreg_iris01",
    "logreg_newlayout",
    "moe",
)
EXACT = tuple(name for name in ANSWERED if name not in INEXACT)
TREES = (
    "dtc_bc_depth",
    "dtc_single_leaf",
    "dtc_unlimited",
    "dtr",
    "gbm",
    "gbm_single_class",
    "iforest",
    "rfc",
    "rfc_digits",
    "rfc_even_ties",
    "rfr",
    "signed_dtc",
)


@functools.cache
def recorded(name: str) -> Recorded:
    return read(PATHS[name])


@functools.cache
def loaded(name: str) -> Loaded:
    return load_model(PATHS[name].read_bytes())


@functools.cache
def opened(name: str) -> Loaded:
    """An encrypted one, with its secret."""
    given = json.loads(PATHS[name].with_suffix(".json").read_text(encoding="utf-8"))["security"]
    password = given.get("password")
    key = SecretKey(STANDARD, "encrypt", bytes.fromhex(given["x25519_secret_hex"])) if password is None else None
    secrets = Secrets(None if password is None else password.encode(), key)
    return load_model(PATHS[name].read_bytes(), access=Access(secrets=secrets))


@functools.cache
def artifact(name: str, target: str = "host") -> Artifact:
    return compile_model(loaded(name), load_target(target), Options(name))


def rows_of(name: str) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """The recorded rows, cut to what the model reads where it ignores the rest."""
    model = loaded(name).model
    rows = recorded(name).rows
    return np.ascontiguousarray(rows[:, : model.n_features] if model.wider_rows else rows)


def plain_file(model_type: int, payload: bytes, custom: dict[str, Value] | None = None) -> bytes:
    """A v1 file as aprender saves it, around any payload."""
    return write_v1(model_type, payload, Metadata("1", "0.26.3", custom=custom or {}))


