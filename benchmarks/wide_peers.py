"""Other libraries and generators on the forests of wide.py: each made ready, so that a call is the work alone.

Knows scikit-learn, XGBoost, LightGBM, YDF, TL2cgen and m2cgen, which are imported when asked; times nothing but where
a library times itself. (lleaves and ONNX Runtime: wide_runtimes.py.)
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from here import call_of
from numpy.typing import NDArray

COMPILE_SECONDS = 900
SELF_TIMED_SECONDS = 2.0
_Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Contender:
    """batch and one: work on all rows, and on as many rows one by one; each gives its answers. microseconds: for all
    rows, of a library that times itself. own: a model of its own, of the same shape. seconds: of its compiler."""

    tool: str
    batch: Callable[[], NDArray[Any]] | None
    one: Callable[[], NDArray[Any]] | None = None
    own: bool = False
    microseconds: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Work:
    """A fitted estimator, what it learnt from, and the rows that are timed."""

    name: str
    estimator: Any
    x: _Floats
    y: NDArray[Any]
    rows: _Floats
    depth: int

    @property
    def labelled(self) -> bool:
        return hasattr(self.estimator, "classes_")

    @property
    def boosted(self) -> bool:
        return self.name.startswith("gbt")


@dataclass(frozen=True)
class LeftOut:
    """A library that was not compared, and why."""

    work: str
    tool: str
    why: str


def peers(work: Work, wanted: tuple[str, ...]) -> Iterator[Contender | LeftOut]:
    """All of them: those that are installed and wanted, and of each other one why it is not compared."""
    makers: dict[str, tuple[str, Callable[[Work], Iterator[Contender]]]] = {
        "scikit-learn": ("sklearn", _library),
        "xgboost": ("xgboost", _xgboost),
        "lightgbm": ("lightgbm", _lightgbm),
        "ydf": ("ydf", _ydf),
        "tl2cgen": ("tl2cgen", _tl2cgen),
        "m2cgen": ("m2cgen", _m2cgen),
    }
    for name, (module, make) in makers.items():
        if name not in wanted:
            yield LeftOut(work.name, name, "not asked for")
        elif importlib.util.find_spec(module) is None:
            yield LeftOut(work.name, name, "not installed")
        else:
            try:
                yield from make(work)
            except (subprocess.SubprocessError, NotImplementedError, ValueError) as error:  # a model that it refuses
                yield LeftOut(work.name, name, f"{type(error).__name__}: {error}"[:200])


PEERS = ("scikit-learn", "xgboost", "lightgbm", "ydf", "tl2cgen", "m2cgen")


def _library(work: Work) -> Iterator[Contender]:
    if type(work.estimator).__module__.startswith("sklearn"):
        yield Contender("scikit-learn", lambda: work.estimator.predict(work.rows))


def _xgboost(work: Work) -> Iterator[Contender]:
    xgboost: Any = importlib.import_module("xgboost")
    options: dict[str, Any] = {"max_depth": work.depth, "nthread": 1, "seed": 0, "tree_method": "hist"}
    if work.labelled:  # its trees have one output: a forest of ten classes has another shape
        return
    if not work.boosted:
        options |= {"num_parallel_tree": 100, "subsample": 0.63, "learning_rate": 1.0}
    booster = xgboost.train(options, xgboost.DMatrix(work.x, label=work.y), 100 if work.boosted else 1)
    yield Contender("XGBoost", lambda: booster.inplace_predict(work.rows), own=True)


def _lightgbm(work: Work) -> Iterator[Contender]:
    if hasattr(work.estimator, "booster_"):
        booster = work.estimator.booster_
        yield Contender("LightGBM", lambda: booster.predict(work.rows, num_threads=1))


def _ydf(work: Work) -> Iterator[Contender]:
    """It counts the root as a level. Its engine is timed by itself, without Python."""
    ydf: Any = importlib.import_module("ydf")
    ydf.verbose(0)
    columns = {f"f{i}": work.x[:, i] for i in range(work.x.shape[1])}
    task = ydf.Task.CLASSIFICATION if work.labelled else ydf.Task.REGRESSION
    learner: Any
    if work.boosted:
        learner = ydf.GradientBoostedTreesLearner(
            label="y", task=task, num_trees=100, max_depth=work.depth + 1, validation_ratio=0.0,
            early_stopping="NONE", random_seed=0, num_threads=1,
        )  # fmt: skip
    else:
        learner = ydf.RandomForestLearner(
            label="y", task=task, num_trees=100, max_depth=work.depth + 1, compute_oob_performances=False,
            random_seed=0, num_threads=1,
        )  # fmt: skip
    model = learner.train(columns | {"y": work.y})
    rows = {f"f{i}": work.rows[:, i] for i in range(work.x.shape[1])}
    timed = model.benchmark(
        rows, benchmark_duration=SELF_TIMED_SECONDS, warmup_duration=0.5, batch_size=len(work.rows), num_threads=1
    )
    yield Contender("YDF", None, own=True, microseconds=float(timed.duration_per_example) * 1e6 * len(work.rows))


def _compiled(sources: dict[str, str], flags: tuple[str, ...]) -> tuple[ctypes.CDLL, float]:
    """A shared library of all .c files, by gcc, and how long that took."""
    with tempfile.TemporaryDirectory() as name:
        for file, text in sources.items():
            (Path(name) / file).write_text(text, encoding="utf-8")
        parts = [file for file in sources if file.endswith(".c")]
        began = time.perf_counter()
        subprocess.run(
            ["gcc", "-O2", *flags, "-w", "-shared", "-fPIC", *parts, "-o", "peer.so", "-lm"], cwd=name, check=True,
            timeout=COMPILE_SECONDS, capture_output=True,
        )  # fmt: skip
        return ctypes.CDLL(str(Path(name) / "peer.so")), time.perf_counter() - began


def _tl2cgen(work: Work) -> Iterator[Contender]:
    """Rows are in its own entries beforehand; with quantised thresholds it changes a row, so it gets a copy of each."""
    treelite: Any = importlib.import_module("treelite")
    booster = getattr(work.estimator, "booster_", None)
    model = (
        treelite.frontend.from_lightgbm(booster) if booster is not None
        else treelite.sklearn.import_model(work.estimator)
    )  # fmt: skip
    n = work.rows.shape[1]
    for quantise in (0, 1):
        with tempfile.TemporaryDirectory() as folder:
            options = {"quantize": quantise, "parallel_comp": 8}
            importlib.import_module("tl2cgen").generate_c_code(model, folder, options)
            files = {path.name: path.read_text() for path in Path(folder).glob("*.[ch]")}
        text = "\n".join(files.values())
        found = re.search(r"void predict\(union Entry\s?\*\s?data, int pred_margin, (\w+)\s?\*\s?result", text)
        if found is None:
            raise ValueError("TL2cgen's predict() looks different; its version is to be the pinned one")
        outputs = int((re.search(r"#define MAX_N_CLASS (\d+)", text) or ["", "1"])[1])
        row = (
            f"union Entry own[{n}]; memcpy(own, &x[r * {n}], sizeof own);" if quantise
            else f"union Entry *own = &x[r * {n}];"
        )  # fmt: skip
        files["each.c"] = (
            f'#include <string.h>\n#include <stddef.h>\n#include "header.h"\n'
            f"void each(union Entry *x, size_t n, {found[1]} *out)\n{{\n    for (size_t r = 0; r < n; ++r) {{\n"
            f"        {row}\n        predict(own, 0, &out[r * {outputs}]);\n    }}\n}}\n"
        )
        library, took = _compiled(files, ("-fno-strict-aliasing",))
        out = np.zeros((len(work.rows), outputs), np.float64 if found[1] == "double" else np.float32)
        call = call_of(library.each, work.rows.copy(), out)
        yield Contender("TL2cgen quantised" if quantise else "TL2cgen", call, call, seconds=took)


def _m2cgen(work: Work) -> Iterator[Contender]:
    m2cgen: Any = importlib.import_module("m2cgen")
    text = str(m2cgen.export_to_c(work.estimator))
    n = work.rows.shape[1]
    outputs = len(work.estimator.classes_) if work.labelled else 1
    body = f"score(&x[r * {n}], &out[r * {outputs}]);" if work.labelled else f"out[r] = score(&x[r * {n}]);"
    driver = (
        "\n#include <stddef.h>\nvoid each(double *x, size_t n, double *out)\n{\n    for (size_t r = 0; r < n; ++r) {\n"
        f"        {body}\n    }}\n}}\n"
    )
    library, took = _compiled({"each.c": text + driver}, ())
    out = np.zeros((len(work.rows), outputs), np.float64)
    call = call_of(library.each, work.rows.astype(np.float64), out)
    yield Contender("m2cgen", call, call, seconds=took)
