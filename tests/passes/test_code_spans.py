"""Spans of a column: a search that begins where that of a value's span does finds the same rank, in Python and in C."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aprgen.ops.trees import NEVER_KEY, TreeSum, float_keys
from aprgen.ops.wide_codes import PAD, Spans, WideCodes, searched_keys
from aprgen.passes.code_spans import spans_of
from aprgen.passes.ranked_trees import LINES, SPANNED, code_work
from aprgen.passes.wide_forms import forms_of
from aprgen.program import Builder, Program, Table, row_type
from aprgen.target import load_target
from aprgen.verify import same_bits
from tests.differential.compiled import load
from tests.passes import test_wide_trees as trees
from tests.passes.sanitized import require_clean

Floats = NDArray[np.float32]


def thresholds(kind: str, n: int) -> Floats:
    """Distinct floats, ascending."""
    chance = np.random.default_rng(n)
    made = {
        "normal": chance.normal(size=n),
        "even": np.arange(n) - 3.0,
        "skewed": np.exp(5 * chance.normal(size=n)),
        "both ends": np.append(chance.normal(size=n), [np.inf, -np.inf]),
        "subnormal": np.arange(n) * 1e-44,
        "largest": np.linspace(-3.4e38, 3.4e38, n),
        "one": [0.5],
    }[kind]
    return np.unique(np.asarray(made, np.float32) + np.float32(0))


def near(own: Floats) -> Floats:
    """Thresholds, what lies next to them, between them and beyond them, and special values."""
    wide = own.astype(np.float64)
    between = np.concatenate([wide, (wide[1:] + wide[:-1]) / 2])
    with np.errstate(all="ignore"):
        around = [np.nextafter(own, np.float32(side)) for side in (np.inf, -np.inf)]
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, 1e30]
    return np.concatenate([between, *around, special]).astype(np.float32)


ALL = ("normal", "even", "skewed", "subnormal", "one")
FEW = ("both ends", "largest")  # a span of 512 has too many of more


@pytest.mark.parametrize(
    ("kind", "n"), [(kind, n) for n in (3, 40, 255, 2000) for kind in (*ALL, *(FEW if n < 255 else ()))]
)
def test_ranks_by_spans(kind: str, n: int) -> None:
    """What the kernel computes is the number of thresholds below, beside a column of another kind, too."""
    columns = [float_keys(thresholds(one, n)).astype(np.int64) for one in (kind, "normal")]
    keys, first, _ = searched_keys(columns, 16, 32)
    ends = [*first.data[1:, 0].tolist(), keys.data.size]
    spans = spans_of(columns, [end - begin for end, begin in zip(ends, first.data[:, -1].tolist(), strict=True)])
    assert spans is not None
    assert not spans.some_searched
    for index, own in enumerate(columns):
        values = near(thresholds(kind if index == 0 else "normal", n))
        for low in (False, True):
            found = float_keys(values)
            found[np.isnan(values)] = np.iinfo(np.int32).min if low else PAD
            known = np.where(np.isnan(values), np.float32(-np.inf if low else np.inf), values)
            if spans.of_keys is not None and spans.of_keys.data[index]:
                known = found.astype(np.float32)
            with np.errstate(all="ignore"):
                span = (known - spans.low.data[index]) * spans.scale.data[index]
            span = np.fmax(np.minimum(span, np.float32(spans.last)), np.float32(0)).astype(np.int64)
            begin = spans.begins.data[index, span].astype(np.int64)
            compared = keys.data[int(first.data[index, -1]) + begin[:, None] + np.arange(reach_of(spans, index))]

            assert (begin + (compared < found[:, None]).sum(axis=1)).tolist() == np.searchsorted(own, found).tolist()


def reach_of(spans: Spans, index: int) -> int:
    return spans.reaches[0] if spans.of_each is None else int(spans.of_each.data[index])


def crowd(n: int, around: int) -> NDArray[np.int64]:
    """Keys of neighbouring floats, between some that are far away."""
    one, far = float_keys(np.array([1.0, 1e9], np.float32)).astype(np.int64).tolist()
    return np.array([*range(-far - around, -far), *range(one, one + n), *range(far, far + around)])


def test_crowded_columns_have_none() -> None:
    """100 neighbouring floats lie in no 32 thresholds of one span, between some that are far away."""
    assert spans_of([crowd(100, 17)], [160]) is None
    assert spans_of([crowd(30, 17)], [64]) is not None


def test_columns_beside_a_crowded_one_keep_their_spans() -> None:
    """Each has the reach that its own thresholds need; a crowded one is searched, which stands in its place."""
    normal, many = (float_keys(thresholds("normal", n)).astype(np.int64) for n in (100, 2000))
    spans = spans_of([normal, crowd(100, 17), many], [128, 160, 2064])

    assert spans is not None
    assert spans.reaches == (0, 8, 16)
    assert spans.of_each is not None
    assert spans.of_each.data.tolist() == [8, 0, 16]
    assert spans.some_searched


def test_few_thresholds_far_away_are_left_out_of_the_range() -> None:
    """Neither outliers nor infinities nor a NaN make spans of the others wider; a NaN is the first of all keys."""
    own = float_keys(np.append(np.linspace(0, 1, 500, dtype=np.float32), [np.inf, -np.inf, 1e30])).astype(np.int64)
    spans = spans_of([np.append(NEVER_KEY, np.sort(own))], [504])

    assert spans is not None
    assert (spans.reaches, spans.of_each) == ((8,), None)
    assert spans.of_keys is None
    assert 0 < spans.low.data[0] < 0.02


@dataclass(frozen=True)
class Use:
    """Trees of a case on a target, with other thresholds, the last columns with crowded ones, or with columns that lie
    apart; and what spans these have, 0: a column is searched."""

    target: str
    case: trees.Case
    reaches: tuple[int, ...]
    of: Callable[[Floats], Floats] | None = None
    apart: int = 1
    crowded: int = 0

    @property
    def name(self) -> str:
        reaches = "-".join(map(str, self.reaches))
        return f"{self.target}-{reaches}{'-keys' if self.of else ''}{'-apart' if self.apart > 1 else ''}"

    def program(self) -> Program:
        op = trees.program_of(self.case).steps[0].op
        assert isinstance(op, TreeSum)
        with np.errstate(all="ignore"):
            own = op.nodes.threshold.data if self.of is None else self.of(op.nodes.threshold.data)
            own = np.where(op.nodes.feature.data >= op.n_features - self.crowded, crowded(own), own)
        feature = Table(op.nodes.feature.data.astype(np.int32) * self.apart)
        nodes = replace(op.nodes, threshold=Table(own.astype(np.float32)), feature=feature)
        builder = Builder(row_type(op.n_features * self.apart))
        return builder.build(builder.add(replace(op, nodes=nodes, n_features=op.n_features * self.apart), 0))

    def made(self, program: Program) -> Program:
        target = load_target(self.target)
        assert target.batch is not None
        return trees.wide(program, target, self.case.kernels_of(target.batch))


def wide_apart(own: Floats) -> Floats:
    """Of all sizes, so that spans are cut by key."""
    return np.exp(5 * own)


def crowded(own: Floats) -> Floats:
    """Most of them near 1, others far away."""
    return np.where(np.abs(own) < 0.7, 1 + own / 10000, own * 1e9)


WALKED, PERMUTED = (trees.SEARCHED, trees.WALKED), (trees.SEARCHED, trees.PERMUTED)
USES = (
    Use("x86-avx2", trees.Case("sum", 6, 4, 61, 200, (trees.GROUPED, trees.LEVELS), 0.3), (8,)),
    Use("x86-avx2", trees.Case("sum", 6, 4, 61, 200, (trees.GROUPED, trees.LEVELS), 0.3), (0, 8), crowded=1),
    Use("x86-avx2", trees.Case("sum", 9, 2, 30, 6000, WALKED, 0.3, full=True), (16, 32), wide_apart),
    Use("x86-avx2", trees.Case("sum", 9, 4, 30, 6000, WALKED, 0.3, full=True), (0, 8, 16), crowded=2),
    Use("x86-avx512", trees.Case("sum", 9, 4, 10, 300, PERMUTED, 0.3, full=True), (8,), wide_apart),
    Use("x86-avx512-vnni", trees.Case("sum", 9, 2, 30, 6000, PERMUTED, 0.3, full=True), (16,)),
    Use("x86-avx512-vnni", trees.Case("sum", 10, 3, 40, 9000, PERMUTED, full=True), (32,), apart=40),
    Use("x86-avx512-vnni", trees.Case("sum", 10, 3, 40, 9000, PERMUTED, full=True), (0, 32), apart=40, crowded=1),
)


@pytest.mark.parametrize("compiler", trees.COMPILERS)
@pytest.mark.parametrize("use", USES, ids=lambda use: use.name)
def test_c_of_spans(use: Use, compiler: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """C with spans equals Program.run() bit for bit, with rows at thresholds and of every NaN, for any number."""
    require_target(use.target)
    target = load_target(use.target)
    program = use.program()
    made = use.made(program)
    spans = next(step.op.spans for step in made.steps if isinstance(step.op, WideCodes))
    flags = next(rule.cflags for rule in target.builds if compiler in rule.programs)
    compiled = load("m", trees.texts_of(made, target), made, tmp_path, compiler, (*flags, "-O1"))
    rows = trees.rows_of(program, 700, 8)

    assert spans is not None
    assert (spans.reaches, spans.of_keys is not None) == (use.reaches, use.of is not None)
    assert same_bits(compiled.batch(rows)[0], program.run(rows)).all()
    assert same_bits(compiled.batch(rows[:85])[0], program.run(rows[:85])).all()


@pytest.mark.parametrize("use", [USES[1], USES[3], USES[5]], ids=lambda use: use.name)
def test_what_codes_cost(use: Use) -> None:
    """Columns pay for what is compared, those that are searched the most."""
    cost = load_target(use.target).batch
    assert cost is not None
    program = use.program()
    op = program.steps[0].op
    assert isinstance(op, TreeSum)
    form = next(one for one in forms_of(op, program.n_features, cost) if one.name == "walked")
    maker = form.pairs[0][0]

    assert maker is not None
    assert maker.spans is not None
    compared = sum(SPANNED[own] for own in maker.spans.reach_of(maker.n).tolist())
    assert SPANNED[8] < SPANNED[16] < SPANNED[32] < SPANNED[0]
    assert compared < form.work["code"] <= compared + LINES * maker.n
    assert maker.n * SPANNED[0] < code_work(replace(maker, spans=None), cost) <= maker.n * (SPANNED[0] + LINES)
    assert code_work(replace(maker, spans=None), replace(cost, spans=False)) == 2 * maker.n


@pytest.mark.parametrize("use", [USES[3], USES[4], USES[7]], ids=lambda use: use.name)
def test_sanitizers_find_nothing(use: Use, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """No threshold and no span outside of the tables is read, and no other operation is undefined."""
    require_target(use.target)
    target = load_target(use.target)
    program = use.program()

    require_clean(trees.texts_of(use.made(program), target), trees.rows_of(program, 400, 4), target, tmp_path)
