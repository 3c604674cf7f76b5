"""Functions of codes of trees, compiled: the C equals the Program in every bit, on this machine and on Cortex-M."""

from __future__ import annotations

import ctypes
import functools
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aprgen import spell
from aprgen.accuracy import Calibration
from aprgen.build import build_artifact
from aprgen.core import Artifact, Options, artifact_of, compile_model
from aprgen.image import ModelFacts, build_image
from aprgen.ops.trees import TreeOp
from aprgen.passes.strategy import with_trees
from aprgen.passes.tree_codes import over_codes
from aprgen.passes.tree_costs import ways
from aprgen.passes.tree_shapes import coded_trees
from aprgen.program import Exact, Op, Program
from aprgen.rows import edge_codes, random_rows
from aprgen.runners.choose import runner_for
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain
from aprgen.verify import make_trial, verify
from tests.differential.compiled import load
from tests.examples import loaded

NAMES = ("dtc_bc_depth", "dtc_single_leaf", "dtr", "rfc", "rfr", "gbm", "iforest")
WAYS = (None, "packed", "branches", "mixed", "compact", "calls")
FORMS = [
    *zip(NAMES, itertools.cycle(("s16", "s8")), itertools.cycle(WAYS[:-2])),
    ("rfc", "s8", "branches"), ("rfc", "s8", "packed"),
    ("rfc", "s16", "compact"), ("rfc", "s8", "calls"),  # votes only, no single values
]  # fmt: skip
NEEDS_SPLITS = "dtc_single_leaf"


@functools.cache
def coded(name: str, target: str, mode: str, way: str | None) -> Artifact:
    rows = random_rows(loaded(name).model.lower(), 200).values
    way = None if name == NEEDS_SPLITS else way
    options = Options(name, mode, Calibration(rows, "random rows"), optimise=way)
    return compile_model(loaded(name), load_target(target), options)


def rows_of_codes(program: Program) -> np.ndarray:
    """On both sides of splits where trees are tables, the ends of the type, small ones, and anywhere."""
    edges = edge_codes(program, 200)
    info = np.iinfo(edges.dtype)
    anywhere = np.random.RandomState(4).randint(info.min, info.max + 1, size=(100, edges.shape[1]))
    small = np.random.RandomState(5).randint(-3, 4, size=(50, edges.shape[1]))
    return np.concatenate([edges, anywhere.astype(edges.dtype), small.astype(edges.dtype)])


def expected(artifact: Artifact, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    codes = artifact.program.codes
    assert codes is not None
    wanted = [codes.scores] if codes.label is None else [codes.scores, codes.label]
    found = artifact.program.evaluate(x, wanted, given=codes.x)
    return found[codes.scores], None if codes.label is None else found[codes.label].reshape(-1)


@pytest.mark.parametrize(("name", "mode", "way"), FORMS)
def test_functions_of_codes_of_trees(name: str, mode: str, way: str | None, tmp_path: Path) -> None:
    """NAME_scores_q, NAME_predict_q and NAME_classify_q, without a warning, give what the Program gives."""
    same_answers(coded(name, "host", mode, way), tmp_path, coded(name, "host", mode, None).program)


def test_codes_without_a_sign_compiled(tmp_path: Path) -> None:
    """Copies without a sign, which small models do not choose: codes below 0 are answered like the Program's."""
    lowered = loaded("rfc").model.lower()
    n = lowered.n_features
    program = over_codes(lowered, Exact((20.0,) * n, (-40,) * n), "i8")

    def chosen(op: TreeOp) -> tuple[Op, ...]:
        coded_op = coded_trees(op) if op.compare == "code" else None
        found = [] if coded_op is None else [way.ops for way in ways(op, coded_op) if len(way.ops) == 2]
        return found[0] if found else (op,)

    shaped = with_trees(program, chosen)
    artifact = artifact_of(loaded("rfc"), program, shaped, load_target("host"), Options("rfc", "s8"))

    assert "without_sign" in artifact.manifest["steps"]  # type: ignore[operator]
    same_answers(artifact, tmp_path, program)


def same_answers(artifact: Artifact, tmp_path: Path, plain: Program) -> None:
    """plain: the same with trees in tables, which show the codes on both sides of splits."""
    name = artifact.name
    library = load(name, artifact.texts, artifact.program, tmp_path).library
    x = rows_of_codes(plain)
    scores, label = expected(artifact, x)
    out, checked = np.zeros_like(scores), np.zeros_like(scores)
    for row in range(len(x)):
        at = ctypes.c_void_p(x[row].ctypes.data)
        library[f"{name}_scores_q"](at, ctypes.c_void_p(out[row].ctypes.data))
        n_x, n_out = ctypes.c_size_t(x.shape[1]), ctypes.c_size_t(out.shape[1])
        assert library[f"{name}_predict_q"](at, n_x, ctypes.c_void_p(checked[row].ctypes.data), n_out) == 0
        assert library[f"{name}_predict_q"](at, ctypes.c_size_t(x.shape[1] + 1), None, n_out) == 1
        if label is not None:
            assert library[f"{name}_classify_q"](at) == label[row]

    assert out.tobytes() == checked.tobytes() == scores.tobytes()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m4"])
def test_labels_of_codes_on_a_core(
    target: str, way: str | None, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """The emulated core gives the Program's labels for every row of codes."""
    require_target(target)
    mode = "s8" if target == "cortex-m4" else "s16"
    artifact = coded("rfc", target, mode, way)
    plain = coded("rfc", "host", mode, None).program  # in tables, which no core's costs change
    x = rows_of_codes(plain)
    words = -(-x.shape[1] * x.itemsize // 4)
    padded = np.zeros((len(x), words * 4 // x.itemsize), x.dtype)
    padded[:, : x.shape[1]] = x
    kind = spell.C_TYPES[x.dtype.name]
    call = f"int32_t p_classify(const float *x)\n{{\n    return rfc_classify_q((const {kind} *)(const void *)x);\n}}\n"
    sources = dict(artifact.texts) | {
        "p.h": "#include <stdint.h>\nint32_t p_classify(const float *x);\nvoid p_scores(const float *x, float *out);\n",
        "p.c": '#include "rfc.c"\n#include "p.h"\nvoid p_scores(const float *x, float *out)\n'
        f"{{\n    out[0] = x[0];\n}}\n{call}",
    }
    facts = ModelFacts("p", "row", words, 1, True)
    image = build_image(artifact.target, find_toolchain(artifact.target), sources, facts, tmp_path)
    run = runner_for(artifact.target, "auto").run(image, padded.view(np.float32), count=False, seconds=60)

    assert run.labels is not None
    assert run.labels.tolist() == expected(artifact, x)[1].tolist()  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["rfc", "gbm"])
def test_floats_keep_their_promise(name: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Codes beside them do not loosen what `aprgen test` asks of functions of floats; their C is what it is without.

    Votes stay what they are in floats, sums of leaves are bounded in this mode.
    """
    require_target("host")
    artifact = coded(name, "host", "s8", None)
    verdict = verify(loaded(name).model, build_artifact(artifact, work=tmp_path), make_trial(loaded(name).model, 50))
    plain = compile_model(loaded(name), load_target("host"), Options(name, "s8")).texts[f"{name}.c"]
    functions = plain.partition(f"void {name}_scores(")[2]

    assert artifact.accuracy is not None
    assert artifact.accuracy.exact_floats == (name == "rfc")
    assert verdict.passed
    assert (verdict.unbounded_rows == 0) == (name == "rfc")
    assert functions.rstrip() in artifact.texts[f"{name}.c"]


def test_what_both_ways_share_stands_once() -> None:
    """Values of leaves, and the decision over votes, are one table and one function for floats and codes."""
    sums, votes = coded("rfr", "host", "s16", "branches"), coded("rfc", "host", "s16", "branches")
    source = sums.texts["rfr.c"]

    assert source.count("static const float rfr_") == 1
    assert votes.texts["rfc.c"].count("_argmax(const uint16_t") == 1
    floats = compile_model(loaded("rfr"), load_target("host"), Options("rfr", "s16", optimise="branches"))
    assert sums.table_bytes == floats.table_bytes
