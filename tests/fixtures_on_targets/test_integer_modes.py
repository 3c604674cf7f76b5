"""Integer modes on every target: the C equals the Program in every bit, through floats and through codes."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from aprgen.accuracy import Calibration
from aprgen.build import build_artifact
from aprgen.core import INTEGER_MODES, Artifact, Options, compile_model
from aprgen.families.base import Model
from aprgen.families.gaussian import NaiveBayes
from aprgen.families.neighbours import KNearest
from aprgen.families.network import from_tensors
from aprgen.image import build_shared
from aprgen.loaded import Loaded
from aprgen.measured import model_facts
from aprgen.ops.distance import Metric
from aprgen.ops.integer import IntegerSum
from aprgen.rows import edge_rows, random_rows
from aprgen.target import load_target, target_names
from aprgen.toolchain import find_toolchain
from aprgen.verify import Trial, verify
from tests.differential.compiled import OPTIONS, compile_c, write_texts
from tests.examples import loaded

TARGETS = target_names()
MODES = tuple(INTEGER_MODES)
MODELS = (
    "gaussian_nb", "gmm", "kmeans", "knn_euclidean", "linreg", "linear_svm", "logreg_bc", "moe", "pca",
    "standard_scaler", "v2_mlp_f32",
)  # fmt: skip
WITH_CODES = tuple(name for name in MODELS if name not in ("moe", "standard_scaler"))
TYPES = {"i8": np.int8, "i16": np.int16, "i32": np.int32}


@functools.cache
def integer_artifact(name: str, target: str, mode: str) -> Artifact:
    rows = random_rows(loaded(name).model.lower(), 200).values
    return compile_model(loaded(name), load_target(target), Options(name, mode, Calibration(rows, "random rows")))


SHAPES = ((1, 1), (2, 3), (3, 4), (4, 1), (5, 33), (9, 66), (64, 32, 10), (31, 7, 5, 2))


@functools.cache
def network_artifact(
    shape: tuple[int, ...], target: str, mode: str, output: str = "softmax"
) -> tuple[Loaded, Artifact]:
    """A classifier of any shape, since kernels take rows and columns in blocks with something left over."""
    random = np.random.RandomState(9)
    tensors: dict[str, np.ndarray] = {}
    for index, (n_in, n_out) in enumerate(pairwise(shape)):
        tensors[f"layer{index}.weight"] = random.normal(size=(n_out, n_in)).astype(np.float32)
        tensors[f"layer{index}.bias"] = random.normal(size=n_out).astype(np.float32)
    model = from_tensors(tensors, {"activation": "relu", "output_activation": output})
    loaded_model = replace(loaded("v2_mlp_f32"), model=model)
    rows = random.normal(size=(100, shape[0])).astype(np.float32)
    options = Options("net", mode, Calibration(rows, "normal rows"))
    return loaded_model, compile_model(loaded_model, load_target(target), options)


@pytest.mark.parametrize("columns", [1, 7, 30, 75, 136])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m4", "cortex-m55", "host"])
def test_one_sum_of_any_length(
    columns: int, mode: str, target: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """Products written out and in loops, and those left over; each folder with kernels of its own has a target."""
    require_target(target)
    model, artifact = network_artifact((columns, 1), target, mode, "identity")
    rows = random_rows(model.model.lower(), 40).values
    trial = Trial(np.concatenate([rows, rows * 30]), ("random",) * 80)
    verdict = verify(model.model, build_artifact(artifact, work=tmp_path), trial, count=False)

    assert any(isinstance(step.op, IntegerSum) for step in artifact.program.steps)
    assert verdict.details == ()
    assert verdict.passed


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("target", TARGETS)
def test_networks_of_any_shape(
    shape: tuple[int, ...], mode: str, target: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """Blocks of rows and columns, and what is left over, give the Program's bits on every target."""
    require_target(target)
    model, artifact = network_artifact(shape, target, mode)
    rows = random_rows(model.model.lower(), 40).values
    verdict = verify(model.model, build_artifact(artifact, work=tmp_path), Trial(rows, ("random",) * 40), count=False)

    assert verdict.details == ()
    assert verdict.passed


def neighbours_of(metric: Metric, n_points: int, n_features: int, k: int) -> Model:
    """Points of whole numbers, so that many distances are equal."""
    random = np.random.RandomState(11)
    points = random.randint(-6, 7, size=(n_points, n_features)).astype(np.float32)
    return KNearest(k, metric, 2.0, False, points, random.randint(0, 4, size=n_points).astype(np.int32))


def bayes_of(n_classes: int, n_features: int, spread: float) -> Model:
    """Classes whose variances differ by a factor, so that they share a shift or have one each."""
    random = np.random.RandomState(12)
    shape = (n_classes, n_features)
    variances = np.exp(random.normal(size=shape) * spread).astype(np.float32)
    priors = np.full(n_classes, 1 / n_classes, np.float32)
    means = random.normal(size=shape).astype(np.float32)
    return NaiveBayes(priors, means, variances, np.arange(n_classes, dtype=np.int32) * 7, 1e-9)


COMPARED: dict[str, Model] = {
    "few_points": neighbours_of("euclidean", 3, 1, 3),
    "nearest": neighbours_of("euclidean", 40, 4, 1),
    "squares": neighbours_of("euclidean", 70, 9, 7),
    "sizes": neighbours_of("manhattan", 70, 9, 7),
    "few_sizes": neighbours_of("manhattan", 33, 3, 4),
    "alike": bayes_of(3, 5, 0.1),
    "unlike": bayes_of(4, 7, 4.0),
    "wide": bayes_of(2, 150, 1.0),
    "one": bayes_of(1, 1, 1.0),
}


@pytest.mark.parametrize("name", COMPARED)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("target", ["host", "cortex-m0plus", "cortex-m4"])
def test_points_and_gaussians_of_any_shape(
    name: str, mode: str, target: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """Distances written out and in loops, with ties, shifts of one kind and of many, saturated: the Program's bits."""
    require_target(target)
    model = COMPARED[name]
    rows = random_rows(model.lower(), 120).values
    options = Options(name, mode, Calibration(rows, "random rows"))
    artifact = compile_model(replace(loaded("knn_euclidean"), model=model), load_target(target), options)
    trial = Trial(np.concatenate([rows, rows * 30]), ("random",) * 240)
    verdict = verify(model, build_artifact(artifact, work=tmp_path), trial, count=False)

    assert artifact.program.codes is not None
    assert verdict.details == ()
    assert verdict.passed


def library_of(artifact: Artifact, folder: Path) -> ctypes.CDLL:
    toolchain = find_toolchain(artifact.target)
    return ctypes.CDLL(str(build_shared(artifact.target, toolchain, artifact.texts, model_facts(artifact), folder)))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("target", TARGETS)
def test_integer_mode_on_target(
    name: str, mode: str, target: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """Edge rows with NaN and infinities among them, and random rows far beyond the calibrated range."""
    require_target(target)
    program = loaded(name).model.lower()
    parts = (edge_rows(program, 100), random_rows(program, 100))
    trial = Trial(
        np.concatenate([part.values for part in parts]), tuple(kind for part in parts for kind in part.kinds)
    )
    built = build_artifact(integer_artifact(name, target, mode), work=tmp_path)
    verdict = verify(loaded(name).model, built, trial, count=False)

    assert verdict.details == ()
    assert verdict.passed
    assert verdict.n_rows == len(trial.inputs)


@pytest.mark.parametrize("name", WITH_CODES)
@pytest.mark.parametrize("mode", MODES)
def test_functions_of_codes(name: str, mode: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """NAME_scores_q, NAME_classify_q and NAME_predict_q give the Program's codes for any codes of the input type."""
    require_target("host")
    artifact = integer_artifact(name, "host", mode)
    program, codes = artifact.program, artifact.program.codes
    assert codes is not None
    types = program.types()
    x_type, out_type = TYPES[types[codes.x].element], TYPES[types[codes.scores].element]
    info = np.iinfo(x_type)
    x = np.random.RandomState(7).randint(info.min, info.max + 1, size=(300, program.n_features)).astype(x_type)
    x[0], x[1] = info.min, info.max
    library = library_of(artifact, tmp_path)
    wanted = [codes.scores] if program.label is None else [codes.scores, program.label]
    expected = program.evaluate(x, wanted, given=codes.x)

    out = np.zeros((len(x), program.n_outputs), out_type)
    checked = np.zeros_like(out)
    for row in range(len(x)):
        library[f"{name}_scores_q"](ctypes.c_void_p(x[row].ctypes.data), ctypes.c_void_p(out[row].ctypes.data))
        status = library[f"{name}_predict_q"](
            ctypes.c_void_p(x[row].ctypes.data), ctypes.c_size_t(x.shape[1]), ctypes.c_void_p(checked[row].ctypes.data),
            ctypes.c_size_t(out.shape[1]),
        )  # fmt: skip
        assert status == 0
        if program.label is not None:
            label = library[f"{name}_classify_q"](ctypes.c_void_p(x[row].ctypes.data))
            assert label == expected[program.label][row, 0]

    assert expected[codes.scores].tolist() == out.tolist() == checked.tolist()


def test_codes_and_floats_agree(tmp_path: Path) -> None:
    """A row in floats gives what its codes give: the scores are the codes of the result, scaled."""
    artifact = integer_artifact("linreg", "host", "s16")
    program, codes = artifact.program, artifact.program.codes
    assert codes is not None
    rows = random_rows(loaded("linreg").model.lower(), 50).values
    values = program.evaluate(rows, [codes.x, codes.scores, program.scores])
    real = values[codes.x] * np.array(codes.x_scale) + np.array(codes.x_offset)

    assert np.abs(values[program.scores] - values[codes.scores] * np.array(codes.scores_scale)).max() < 1e-3
    assert np.abs(np.clip(rows, real.min(axis=0), real.max(axis=0)) - real).max() <= max(codes.x_scale)


def test_wrong_sizes_are_refused(tmp_path: Path) -> None:
    """NAME_predict_q checks pointers and sizes."""
    artifact = integer_artifact("linreg", "host", "s8")
    library = library_of(artifact, tmp_path)
    n = artifact.program.n_features
    x, out = (ctypes.c_int8 * n)(), (ctypes.c_int32 * 1)()
    size = ctypes.c_size_t

    assert [0, 1, 1, 2, 2] == [
        library.linreg_predict_q(x, size(n), out, size(1)),
        library.linreg_predict_q(x, size(n + 1), out, size(1)),
        library.linreg_predict_q(None, size(n), out, size(1)),
        library.linreg_predict_q(x, size(n), None, size(1)),
        library.linreg_predict_q(x, size(n), out, size(0)),
    ]


@pytest.mark.parametrize("compiler", ["gcc", "clang-14", "arm-none-eabi-gcc"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("mode", MODES)
def test_no_compiler_warns(compiler: str, name: str, mode: str, tmp_path: Path) -> None:
    """The C of the integer modes is quiet with every warning turned on, for this machine and for a Cortex-M0+."""
    cross = compiler.startswith("arm")
    artifact = integer_artifact(name, "cortex-m0plus" if cross else "host", mode)
    write_texts(artifact.texts, tmp_path)
    core = ("-mcpu=cortex-m0plus", "-mthumb") if cross else ()

    compile_c(compiler, (*OPTIONS, *core, "-c", f"{name}.c", f"{name}_selftest.c"), tmp_path)
