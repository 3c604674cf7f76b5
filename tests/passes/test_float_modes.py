"""f32-fast and bf16: their C gives the bits of their Programs, and these stay within the bound of f32."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from aprgen.accuracy import Calibration
from aprgen.build import build_artifact
from aprgen.core import Options, compile_model
from aprgen.errors import ComparisonError, UnsupportedError, UsageError
from aprgen.float_modes import FLOAT_MODES, float_modes_of, in_float_mode
from aprgen.ops.column_sums import ColumnSums
from aprgen.ops.decide import Argmax, Threshold
from aprgen.ops.dense import Dense
from aprgen.ops.distance import SquaredDistance
from aprgen.ops.elementwise import Map, Stage, Verb
from aprgen.ops.half_sums import HalfSums
from aprgen.ops.normalise import Softmax
from aprgen.ops.wide_floats import PanelSums
from aprgen.passes import error_bound
from aprgen.passes.wide_floats import with_float_blocks
from aprgen.program import Array, Builder, Program, Table, row_type
from aprgen.rows import random_rows
from aprgen.target import Target, load_target, target_names
from aprgen.verify import make_trial, same_bits, verify
from tests.differential.compiled import Compiled, compile_c, load, write_texts
from tests.examples import loaded
from tests.passes.sanitized import require_clean
from tests.passes.test_wide_floats import components, dense, nearest, network, rows_of, small_network
from tests.passes.test_wide_trees import agree, texts_of

RELU = Stage("relu")
SIZES = (1, 2, 5, 6, 7, 11, 13, 15, 16, 17, 31, 33, 40, 64, 95, 96, 97, 193, 300)  # rows at once
COMPILERS = ("gcc", "clang-14")
HERE = ("x86-avx512", "x86-avx2", "x86-avx512-bf16")


def linear(n_in: int, n_out: int = 1) -> Program:
    """Columns in lanes: a vector that is not full, and several partial sums of long rows."""
    builder = Builder(row_type(n_in))
    at = builder.add(Map(n_out, (RELU,)), builder.add(dense(n_in, n_out, "first" if n_in % 2 else "last"), 0))
    if n_out > 1:
        return builder.build(at)
    return builder.build(at, builder.add(Threshold("ge", 0.5, 1, 0), at), 2)


def tiles() -> Program:
    """As many tiles as one row takes at once, more, and fewer; widths that are odd between the layers."""
    builder = Builder(row_type(5))
    at = builder.add(Map(331, (RELU,)), builder.add(dense(5, 331, "none"), 0))
    at = builder.add(dense(331, 128, "first"), at)
    at = builder.add(Map(65, (RELU,)), builder.add(dense(128, 65, "last"), at))
    return builder.build(builder.add(dense(65, 1, "last"), at))


def shared() -> Program:
    """A value that sums read, and another step, too; scores that sums read."""
    builder = Builder(row_type(9))
    first = builder.add(dense(9, 21, "last"), 0)
    left = builder.add(dense(21, 17, "last"), first)
    scores = builder.add(Softmax(17), builder.add(dense(17, 17, "last"), left))
    again = builder.add(dense(17, 19, "none"), scores)
    return builder.build(scores, builder.add(Argmax("f32", 19, None), again), 19)


def narrow(n_in: int, n_out: int) -> Program:
    """A long sum of few outputs, which has parts: the last has more columns than the others."""
    builder = Builder(row_type(n_in))
    return builder.build(builder.add(dense(n_in, n_out, "first" if n_out % 2 else "last"), 0))


@dataclass(frozen=True)
class Case:
    name: str
    program: Callable[[], Program]
    modes: tuple[str, ...] = FLOAT_MODES


CASES = (
    Case("network", network),
    Case("tiles", tiles),
    Case("shared", shared),
    Case("small-network", small_network, ("f32-fast",)),
    Case("linear-103", lambda: linear(103), ("f32-fast",)),
    Case("linear-400-2", lambda: linear(400, 2), ("f32-fast",)),
    Case("linear-293", lambda: linear(293), ("f32-fast",)),
    Case("linear-1045-2", lambda: linear(1045, 2), ("f32-fast",)),
    Case("linear-4100", lambda: linear(4100), ("f32-fast",)),
    Case("components", components, ("f32-fast",)),
    Case("nearest", lambda: nearest(10, 11), ("f32-fast",)),
    Case("many-points", lambda: nearest(43, 6), ("f32-fast",)),
    Case("begun", lambda: nearest(10, 21, tied=False), ("f32-fast",)),
    Case("parts-10", lambda: narrow(78, 10)),
    Case("parts-5", lambda: narrow(67, 5)),
    Case("parts-40", lambda: narrow(147, 40)),
)
TRIED = [
    pytest.param(case, mode, name, id=f"{case.name}-{mode}-{name}")
    for case in CASES
    for mode in case.modes
    for name in HERE
    if (mode == "bf16") == name.endswith("bf16")
]


def in_mode(program: Program, target: Target, mode: str) -> tuple[Program, Program]:
    """In the mode, and with blocks. Few rows: what is measured with them is of no interest here."""
    made, _ = in_float_mode(program, target, mode, Calibration(random_rows(program, 2).values, "two rows"))
    return made, with_float_blocks(made, target.batch, target.has_kernel)


def differing(made: Program, compiled: Compiled) -> int:
    """Rows whose answers are others than those of the Program, in blocks of many sizes and one by one."""
    rows = rows_of(made, sum(SIZES), 2)
    expected, labels = made.run(rows), made.classify(rows)
    at, count = 0, 0
    alone = compiled.one_by_one(rows[:200])
    found = [(slice(0, 200), *alone)]
    for n in SIZES:
        apart = np.zeros(n * made.n_features + 4, np.float32)  # begins at any float of a vector
        own = apart[n % 5 :][: n * made.n_features].reshape(n, -1)
        own[:] = rows[at : at + n]
        found.append((slice(at, at + n), *compiled.batch(own)))
        at += n
    for where, scores, answers in found:
        bad = ~same_bits(scores, expected[where]).all(axis=1)
        if labels is not None and answers is not None:
            bad |= answers != labels[where]
        count += int(bad.sum())
    return count


def built(made: Program, target: Target, compiler: str, folder: Path, old: str = "", new: str = "") -> Compiled:
    flags = next(rule.cflags for rule in target.builds if compiler in rule.programs)
    texts = {file: text.replace(old, new) if old else text for file, text in texts_of(made, target).items()}
    assert not old or texts != texts_of(made, target)
    return load("m", texts, made, folder, compiler, (*flags, "-O1"))


@pytest.mark.parametrize(("case", "mode", "name"), TRIED)
def test_c_gives_the_bits_of_the_program(
    case: Case, mode: str, name: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """For blocks of any number of rows, and for one row; compilers in turn, both for tiles of bfloat16."""
    require_target(name)
    target = load_target(name)
    made, blocks = in_mode(case.program(), target, mode)
    assert any(isinstance(step.op, HalfSums) for step in made.steps) == (mode == "bf16")
    agree(blocks, made, rows_of(made, 100, 1))
    number = CASES.index(case) + HERE.index(name)
    for compiler in COMPILERS if (case.name, mode) == ("tiles", "bf16") else (COMPILERS[number % 2],):
        folder = tmp_path / compiler
        folder.mkdir()
        assert differing(made, built(blocks, target, compiler, folder)) == 0


TURNED = "(__m512bh)_mm512_rol_epi32({0}, 16)"
FAULTS = (
    ("network", "f32-fast", "_mm512_fmadd_ps(x, weight, sum)", "_mm512_add_ps(sum, _mm512_mul_ps(x, weight))"),
    ("nearest", "f32-fast", "_mm512_fmadd_ps(d, d, sum)", "_mm512_add_ps(sum, _mm512_mul_ps(d, d))"),
    ("linear-103", "f32-fast", "_mm512_permute_ps(v, 0x4E)", "_mm512_permute_ps(v, 0xB1)"),
    ("linear-103", "f32-fast", "_mm512_shuffle_f32x4(low, high, 0xDD)", "_mm512_shuffle_f32x4(low, high, 0xD8)"),
    ("linear-293", "f32-fast", "(s0, s1), apr_floats_add(s2, s3)", "(s0, s2), apr_floats_add(s1, s3)"),
    ("linear-1045-2", "f32-fast", "p[0], p[1], p[2], p[3]", "p[1], p[0], p[2], p[3]"),
    ("linear-4100", "f32-fast", "(s2_0, s2_1)", "(s2_0, s2_2)"),
    ("tiles", "bf16", "(__m512bh)x, (__m512bh)weight", f"{TURNED.format('x')}, {TURNED.format('weight')}"),
    ("tiles", "bf16", "] = 0U;", "] = 0x7FC0U;"),
    ("begun", "f32-fast", "apr_floats_turn(&after[4]);", ""),
    ("parts-10", "f32-fast", "total0_0 = apr_floats_add(total0_0, a0_0);", ""),
    ("parts-10", "f32-fast", "apr_floats_add(a0_0, p1_0_0)", "apr_floats_add(a0_0, p2_0_0)"),
    ("parts-40", "f32-fast", "apr_floats p0_0 = apr_floats_all(0.0F)", "apr_floats p0_0 = a0_0"),
    ("parts-10", "bf16", "apr_floats_add(a0_0, p0_0)", "apr_floats_add(p0_0, p0_0)"),
    ("parts-40", "bf16", "apr_floats_add(a0_0, p1_0_0)", "a0_0"),
)


@pytest.mark.parametrize(("case", "mode", "old", "new"), FAULTS, ids=range(len(FAULTS)))
def test_planted_faults_are_found(
    case: str, mode: str, old: str, new: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """A rounding more, partial sums added in another order, pairs the other way round, a row's end that is no zero."""
    name = "x86-avx512-bf16"
    require_target(name)
    target = load_target(name)
    made, blocks = in_mode(next(one for one in CASES if one.name == case).program(), target, mode)

    assert differing(made, built(blocks, target, "gcc", tmp_path, old, new)) > 0


SANITIZED = (
    ("linear-103", "f32-fast"), ("linear-293", "f32-fast"), ("linear-1045-2", "f32-fast"), ("tiles", "f32-fast"),
    ("shared", "bf16"), ("parts-10", "f32-fast"), ("parts-40", "bf16"),
)  # fmt: skip


@pytest.mark.parametrize(("case", "mode"), SANITIZED)
def test_sanitizers_find_nothing(
    case: str, mode: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """No byte outside of rows and results that are exactly as large as they must be, and no undefined operation."""
    require_target("x86-avx512-bf16")
    target = load_target("x86-avx512-bf16")
    made, blocks = in_mode(next(one for one in CASES if one.name == case).program(), target, mode)

    require_clean(texts_of(blocks, target), rows_of(made, 400, 4), target, tmp_path)


# Targets without vectors for it: one instruction for each product.

CALL = re.compile(r"\bfmaf\b")


@pytest.mark.parametrize("compiler", ["gcc", "aarch64-linux-gnu-gcc"])
def test_scalar_sums_use_the_instruction(compiler: str, tmp_path: Path) -> None:
    """Every product is added by one instruction, with and without optimisation; no library is called."""
    target = load_target("x86-avx2" if compiler == "gcc" else "arm-neon")
    scalar = replace(target, batch=None, templates=("c99",))
    programs = (linear(11), nearest(5, 6))
    for number, program in enumerate(programs):
        made, blocks = in_mode(program, scalar, "f32-fast")
        assert not any(isinstance(step.op, PanelSums | ColumnSums) for step in made.steps)
        folder = tmp_path / str(number)
        folder.mkdir()
        write_texts(texts_of(blocks, scalar), folder)
        flags = ("-std=c99", "-ffp-contract=off", *target.builds[0].cflags, "-S", "m.c")
        for level in ("-O0", "-O2"):
            compile_c(compiler, (*flags, level), folder)
            assembly = (folder / "m.s").read_text(encoding="utf-8")
            assert re.search(r"\bvfmadd\w*ss\b" if compiler == "gcc" else r"\bfmadd\b", assembly)
            assert not CALL.search(assembly)
        if compiler == "gcc" and "fma" in processor_flags():
            assert differing(made, load("m", texts_of(blocks, scalar), made, folder, "gcc", ("-mavx2", "-mfma"))) == 0


def processor_flags() -> str:
    """What this machine's processor has, as Linux names it."""
    return Path("/proc/cpuinfo").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["v2_mlp_f32", "kmeans", "linreg"])
def test_aarch64_by_its_emulator(name: str, require_target: Callable[[str], None]) -> None:
    """Panels, lanes and columns, compiled for AArch64 and run: the bits of the Program, within the bound of predict().

    Blocks of many sizes and single rows, as images run them.
    """
    require_target("arm-neon")
    model = loaded(name)
    artifact = compile_model(model, load_target("arm-neon"), Options("m", "f32-fast"))
    assert artifact.program.batch is not None
    verdict = verify(model.model, build_artifact(artifact), make_trial(model.model, 700), count=False)

    assert verdict.passed


# The bound.


def two_layers(seed: int, verbs: tuple[Verb, ...] = ("relu",), scale: float = 1.0) -> Program:
    chance = np.random.default_rng(seed)
    n_in, n_hidden, n_out = (int(n) for n in chance.integers(1, 40, 3))
    shapes = ((n_hidden, n_in), (n_out, n_hidden))
    weights = [chance.normal(size=shape).astype(np.float32) * np.float32(scale) for shape in shapes]
    biases = [Table(chance.normal(size=n), np.float32) for n in (n_hidden, n_out)]
    builder = Builder(row_type(n_in))
    at = builder.add(Dense(Table(weights[0]), biases[0], "last"), 0)
    stages = tuple(Stage(verb, constant=0.3 if verb in ("leaky_relu", "mul", "sub") else None) for verb in verbs)
    at = builder.add(Map(n_hidden, stages), at)
    return builder.build(builder.add(Dense(Table(weights[1]), biases[1], "first"), at))


ACTIVATIONS: tuple[tuple[Verb, ...], ...] = (
    ("relu",), ("sigmoid",), ("tanh",), ("gelu",), ("leaky_relu",), ("neg", "mul", "sub"), ("tanh", "exp"),
)  # fmt: skip


def beyond(program: Program, target: Target, mode: str, rows: Array) -> float:
    """The largest |difference from f32|, as a part of the bound."""
    made, _ = in_mode(program, target, mode)
    difference = np.abs(made.run(rows).astype(np.float64) - program.run(rows))
    bound, missing = error_bound.error_bound(made, rows, rows)
    assert missing == ""
    assert np.isfinite(bound).all()
    return float((difference / bound).max())


@pytest.mark.parametrize("mode", FLOAT_MODES)
def test_differences_stay_within_the_bound(mode: str) -> None:
    """Random networks, all activations, large and small weights; and the bound is not just any large number."""
    target = load_target("x86-avx512-bf16")
    found = []
    for number, verbs in enumerate(ACTIVATIONS):
        for scale in (1.0, 1e-3, 2.0**-70) if verbs == ("relu",) else (0.2,):
            program = two_layers(number, verbs, scale)
            rows = random_rows(program, 200, number).values
            found.append(beyond(program, target, mode, rows))

    assert max(found) <= 1
    assert max(found) > 0.02


@pytest.mark.parametrize(("mode", "name"), [("f32-fast", "gamma"), ("bf16", "HALF_UNIT")])
def test_a_bound_that_is_too_small_is_found(mode: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a sixteenth of the rounding errors, one product and a bias are already beyond it."""
    target = load_target("x86-avx512-bf16")
    chance = np.random.default_rng(3)
    builder = Builder(row_type(2))
    weight, bias = (Table(chance.normal(size=shape), np.float32) for shape in ((40, 2), 40))
    program = builder.build(builder.add(Dense(weight, bias, "last"), 0))
    rows = chance.normal(size=(500, 2)).astype(np.float32)
    assert beyond(program, target, mode, rows) <= 1
    small = (lambda n: n * 2.0**-28) if name == "gamma" else 2.0**-13
    monkeypatch.setattr(error_bound, name, small)
    assert beyond(program, target, mode, rows) > 1


def test_distances_and_shares_stay_within_the_bound() -> None:
    """Squared distances, softmax, and points far from zero, where a difference cancels."""
    target = load_target("x86-avx512-bf16")
    rows = np.random.default_rng(5).normal(100, 1, (300, 11)).astype(np.float32)
    builder = Builder(row_type(11))
    points = Table(rows[:10])
    far = builder.build(builder.add(SquaredDistance(points), 0))

    assert beyond(far, target, "f32-fast", rows) <= 1
    for mode in FLOAT_MODES:
        assert beyond(shared(), target, mode, random_rows(shared(), 200).values) <= 1


def test_the_bound_of_a_box_covers_its_rows() -> None:
    """What holds between the least and the largest features holds for each row, with room for the worst of them."""
    target = load_target("x86-avx512")
    program = two_layers(1, ("gelu",))
    made, accuracy = in_float_mode(program, target, "f32-fast", None)
    assert accuracy is not None
    assert accuracy.bound is not None
    on_rows, anywhere = np.array(accuracy.bound.on_rows), np.array(accuracy.bound.anywhere)
    assert (on_rows <= anywhere).all()
    assert accuracy.largest_difference <= on_rows.max()
    inside = random_rows(program, 100, 9).values.clip(accuracy.bound.low, accuracy.bound.high).astype(np.float32)
    difference = np.abs(made.run(inside).astype(np.float64) - program.run(inside))
    assert (difference <= anywhere).all()


def test_rows_without_a_bound() -> None:
    """Rows that are not finite, or whose sums can overflow, have none; the others keep theirs."""
    program = two_layers(2)
    rows = random_rows(program, 4).values.copy()
    rows[1, 0], rows[2] = np.nan, 1e38
    made, _ = in_mode(program, load_target("x86-avx512"), "f32-fast")
    bound, missing = error_bound.error_bound(made, rows, rows)

    assert np.isfinite(bound).all(axis=1).tolist() == [True, False, False, True]
    assert missing == ""


def test_numbers_that_are_too_large_for_bfloat16() -> None:
    """The largest floats round to infinity there."""
    builder = Builder(row_type(1))
    tiny = Dense(Table(np.full((20, 1), 2.0**-100), np.float32), None, "none")
    program = builder.build(builder.add(tiny, 0))
    rows = np.array([[3.4e38], [3.3e38]], np.float32)
    made, _ = in_mode(program, load_target("x86-avx512-bf16"), "bf16")
    bound, _ = error_bound.error_bound(made, rows, rows)

    assert np.isinf(made.run(rows)).any(axis=1).tolist() == [True, False]
    assert np.isfinite(bound).all(axis=1).tolist() == [False, True]


# The whole way.


def test_what_has_no_sums_stays_f32() -> None:
    """Trees are as in f32, to the byte but for the banner."""
    target = load_target("x86-avx512")
    exact, fast = (compile_model(loaded("rfc"), target, Options("m", mode)) for mode in ("f32", "f32-fast"))

    assert fast.accuracy is None
    assert exact.texts["m.c"].partition("*/")[2] == fast.texts["m.c"].partition("*/")[2]


def test_choices_between_experts_stay() -> None:
    """The experts that count are chosen by the sums of f32, so that there is a bound."""
    made = compile_model(loaded("moe"), load_target("x86-avx512"), Options("m", "f32-fast"))

    assert made.accuracy is not None
    assert made.accuracy.bound is not None
    assert made.accuracy.bound.missing == ""


def test_manifest_and_labels() -> None:
    """The manifest has the bound, its box, and how many labels differ; rows that are given are those measured."""
    model = loaded("kmeans")
    rows = random_rows(model.model.lower(), 50).values
    given = Calibration(rows, "rows.npy", max_loss=0.5)
    artifact = compile_model(model, load_target("x86-avx2"), Options("m", "f32-fast", given))
    found = artifact.manifest["accuracy"]

    assert isinstance(found, dict)
    assert (found["origin"], found["n_rows"], found["labels_changed"]) == ("rows.npy", 50, 0)
    assert found["bound"]["low"] == tuple(rows.min(axis=0).astype(float))
    assert len(found["bound"]["anywhere"]) == artifact.program.n_outputs


def test_a_loss_that_is_not_allowed() -> None:
    """--max-loss holds as for integers."""
    model = loaded("v2_mlp_f32")
    rows = random_rows(model.model.lower(), 50).values
    with pytest.raises(ComparisonError, match="bf16 loses"):
        compile_model(
            model, load_target("x86-avx512-bf16"), Options("m", "bf16", Calibration(rows, "rows", max_loss=1e-6))
        )


@pytest.mark.parametrize("name", target_names())
def test_targets_without_the_kernels_refuse(name: str) -> None:
    """And name those that have them."""
    target = load_target(name)
    for mode in FLOAT_MODES:
        if mode in float_modes_of(target):
            continue
        with pytest.raises(UnsupportedError, match=f"no kernel of {name} adds|{name} picks its kernels") as caught:
            compile_model(loaded("linreg"), target, Options("m", mode))
        assert "x86-avx512-bf16" in caught.value.hint


def test_refusals() -> None:
    """Texts have no sums in vectors, and rows must be rows of the model."""
    target = load_target("x86-avx512")
    with pytest.raises(UnsupportedError, match="reads text"):
        compile_model(loaded("count_vectorizer"), target, Options("m", "f32-fast"))
    wrong = Calibration(np.zeros((3, 99), np.float32), "wrong.npy")
    with pytest.raises(UsageError, match="the rows have shape"):
        compile_model(loaded("linreg"), target, Options("m", "f32-fast", wrong))


@pytest.mark.parametrize(("name", "mode"), [("kmeans", "f32-fast"), ("v2_mlp_f32", "bf16")])
def test_verified_within_the_bound(
    name: str, mode: str, require_target: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """The image gives the bits of the Program, and that stays near predict(); with no bound it would not pass."""
    require_target("x86-avx512-bf16")
    model = loaded(name)
    artifact = compile_model(model, load_target("x86-avx512-bf16"), Options("m", mode))
    trial, image = make_trial(model.model, 100), build_artifact(artifact)
    verdict = verify(model.model, image, trial, count=False)

    assert verdict.passed
    assert verdict.unbounded_rows < len(trial.kinds) / 2
    monkeypatch.setattr("aprgen.verify.error_bound", lambda program, low, high: (np.zeros((len(low), 1)), ""))
    assert verify(model.model, image, trial, count=False).model_differences > 0
