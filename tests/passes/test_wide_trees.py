"""Blocks of rows: trees over rank codes give the bits of trees that rows walk, in Python and in C, for any rows."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.build import build_artifact
from aprgen.core import Artifact, Options, compile_model, runtime_headers
from aprgen.costs import BatchCost
from aprgen.emit import Names, emit_model
from aprgen.image import ModelFacts, build_image
from aprgen.ops.decide import Argmax, Lookup
from aprgen.ops.deep_trees import FloatRow, StagedRow, StagedTrees
from aprgen.ops.integer import Dequantise
from aprgen.ops.row_trees import PermutedRow
from aprgen.ops.six_levels import PermutedTrees
from aprgen.ops.trees import Nodes, TreeLeaf, TreeOp, TreeSum, TreeTotals, TreeVotes
from aprgen.ops.walked_trees import WalkedTrees
from aprgen.ops.wide_codes import WideCodes
from aprgen.passes.choices import Choices
from aprgen.passes.strategy import choose_strategies
from aprgen.passes.wide_trees import with_batch
from aprgen.program import Array, Builder, OfBlocks, Program, Table, row_type
from aprgen.resources import folder
from aprgen.rows import edge_rows
from aprgen.runners.choose import runner_for
from aprgen.runners.records import AWKWARD
from aprgen.target import Target, load_target, target_names
from aprgen.toolchain import find_toolchain
from aprgen.verify import make_trial, same_bits, verify
from tests.differential.compiled import load
from tests.differential.test_random_models import OF_TREES, rows_for
from tests.examples import loaded
from tests.passes.sanitized import require_clean
from tests.random_models import FAMILIES, Payload, TensorFile

WIDE = tuple(name for name in target_names() if load_target(name).batch is not None)


@dataclass(frozen=True)
class Case:
    """A random forest. distinct: thresholds of a feature; missing: share of the splits that send a NaN left."""

    use: str
    depth: int
    n_features: int
    n_trees: int
    distinct: int
    kernels: tuple[str, ...]  # where there are all
    missing: float = 0.0
    full: bool = False
    bytes: bool = False  # permuted where bytes can be, else walked
    classes: int = 3
    uneven: bool = False  # the first columns are read most often, the last ones not by all trees

    @property
    def name(self) -> str:
        return f"{self.use}-depth{self.depth}-x{self.n_features}-{self.distinct}" + "-turned" * (TURNED in self.kernels)

    def kernels_of(self, cost: BatchCost) -> set[str]:
        """Those that the target has in their place."""
        there = {without_type(kernel) for kernel in _wanted(cost)}
        if self.bytes and cost.permuted_bytes is None:
            return {SEARCHED, WALKED}
        if self.distinct > 255 and PERMUTED in self.kernels and cost.permuted_tree is None:
            return {SEARCHED, WALKED}
        instead = {GROUPED: SEARCHED, COUNTED: SEARCHED, PERMUTED: WALKED, LEVELS: WALKED, STAGED: WALKED}
        return {kernel if kernel in there else instead[kernel] for kernel in self.kernels}


def without_type(kernel: str) -> str:
    """Nor whether splits read lines of bits."""
    return kernel.removesuffix("_u8").removesuffix("_u16").removesuffix("_bits")


LEVELS, PERMUTED, WALKED = "wide_level_trees", "wide_permuted_trees", "wide_walked_trees"
STAGED, FLOATS, TURNED = "wide_staged_trees", "wide_float_trees", "wide_turned_trees"
GROUPED, COUNTED, SEARCHED = "wide_codes_grouped", "wide_codes_counted", "wide_codes_searched"
CASES = (
    Case("sum", 1, 3, 60, 9, (GROUPED, LEVELS)),
    Case("votes", 4, 5, 17, 40, (GROUPED, LEVELS), 0.5),
    Case("leaf", 5, 3, 1, 40, (GROUPED, LEVELS), 0.5),
    Case("sum", 6, 4, 61, 200, (GROUPED, LEVELS), 0.3),
    Case("sum", 6, 2, 30, 3000, (GROUPED, LEVELS), full=True),  # trees in groups
    Case("votes", 5, 2, 60, 3000, (GROUPED, LEVELS), full=True),
    Case("rows", 5, 2, 60, 3000, (GROUPED, LEVELS), 0.4, full=True),
    Case("total", 5, 2, 60, 3000, (GROUPED, LEVELS), full=True),
    Case("unit", 7, 32, 20, 20, (COUNTED, PERMUTED)),
    Case("sum", 10, 31, 13, 30, (COUNTED, PERMUTED), 0.4),
    Case("votes", 8, 64, 60, 40, (SEARCHED, PERMUTED)),
    Case("total", 9, 20, 12, 700, (SEARCHED, PERMUTED), 0.5),
    Case("rows", 10, 3, 6, 5000, (SEARCHED, PERMUTED), full=True),
    Case("sum", 8, 100, 25, 20, (COUNTED, PERMUTED), bytes=True),
    Case("rows", 9, 60, 25, 60, (SEARCHED, PERMUTED), 0.7, bytes=True),
    Case("sum", 14, 5, 9, 300, (SEARCHED, WALKED), 0.5),
    Case("unit", 12, 7, 9, 300, (SEARCHED, WALKED), 0.5),
    Case("votes", 9, 150, 9, 30, (SEARCHED, WALKED)),
    Case("total", 8, 70, 9, 30, (SEARCHED, WALKED), 0.2),
    Case("sum", 6, 600, 80, 20, (GROUPED, LEVELS), 0.1),  # blocks of fewer rows, for their many columns
    Case("rows", 9, 300, 12, 20, (SEARCHED, WALKED), 0.1),  # blocks of fewer rows
    Case("sum", 7, 4, 31, 200, (GROUPED, LEVELS), 0.3),
    Case("rows", 7, 12, 11, 200, (GROUPED, LEVELS), 0.3),
    Case("sum", 11, 5, 4, 3000, (SEARCHED, STAGED), full=True),
    Case("sum", 14, 6, 9, 300, (SEARCHED, STAGED), 0.5),
    Case("unit", 12, 40, 9, 300, (SEARCHED, STAGED)),  # two vectors of codes
    Case("votes", 11, 64, 9, 20, (COUNTED, STAGED)),
    Case("total", 15, 3, 5, 30, (COUNTED, STAGED), 0.2),
    Case("rows", 13, 9, 7, 900, (SEARCHED, STAGED), 0.2),
    Case("sum", 12, 5, 9, 300, (FLOATS,), 0.5),
    Case("unit", 9, 300, 12, 20, (FLOATS,), 0.5),
    Case("votes", 8, 1900, 9, 30, (FLOATS,)),
    Case("total", 10, 3, 9, 3000, (FLOATS,), 0.2),
    Case("rows", 11, 7, 6, 30, (FLOATS,)),
    Case("sum", 6, 900, 80, 20, (GROUPED, LEVELS), 0.1),  # and trees in groups
    Case("sum", 10, 2, 31, 5000, (SEARCHED, TURNED), full=True),  # ranks for groups of trees
    Case("rows", 10, 20, 14, 5000, (SEARCHED, TURNED), 0.4, full=True),  # two vectors of codes
    Case("total", 6, 1, 9, 5000, (SEARCHED, TURNED), full=True),  # no levels below
    Case("votes", 7, 64, 61, 20, (GROUPED, TURNED), classes=16),  # words are added to votes in between
    Case("votes", 7, 3, 3, 5000, (GROUPED, TURNED), 0.3, full=True, classes=17),  # no words of votes; few trees
    Case("unit", 10, 9, 8, 250, (GROUPED, TURNED)),
    Case("sum", 8, 100, 26, 20, (GROUPED, TURNED), bytes=True),
    Case("votes", 8, 60, 30, 3000, (SEARCHED, TURNED), uneven=True),  # lines of columns begin with any tree
    Case("votes", 9, 16, 13, 3000, (SEARCHED, WALKED), uneven=True),
)


def random_nodes(case: Case, n_leaves: int, chance: np.random.Generator) -> Nodes:
    """Trees that end anywhere above the depth, or nowhere before it; some share subtrees' thresholds and features."""
    pool = np.sort(chance.normal(size=(case.n_features, case.distinct)).astype(np.float32), axis=1)
    pool[chance.random(pool.shape) < 0.02] = chance.choice([np.inf, -np.inf, 0.0, -0.0, 1e-45, np.nan])
    feature: list[int] = []
    threshold: list[float] = []
    sides: list[list[int]] = []

    def grown(left_over: int) -> int:
        if left_over == 0 or (not case.full and left_over < case.depth and chance.random() < 0.15):
            last = n_leaves * (16 if case.classes > 3 else 1)  # then most are the last class: words of votes get full
            return -1 - int(min(n_leaves - 1, chance.integers(last)))
        number = len(feature)
        feature.append(int(case.n_features * chance.random() ** 8 if case.uneven else chance.integers(case.n_features)))
        threshold.append(float(chance.choice(pool[feature[-1]])))
        sides.append([0, 0])
        sides[number] = [grown(left_over - 1), grown(left_over - 1)]
        return number

    roots = [grown(case.depth if chance.random() < 0.9 else 1) for _ in range(case.n_trees)]
    if case.n_trees > 5:
        roots[3] = -1  # a tree without a split
    left, right = np.array(sides, np.int32).T
    numbers = np.array(threshold, np.float32)
    low = None
    if case.missing:
        low = Table((chance.random(len(numbers)) < case.missing) & ~np.isnan(numbers), np.uint8)
    return Nodes(
        Table(feature, np.uint16), Table(numbers), Table(left), Table(right), Table(roots, np.int32), case.depth, low
    )


@functools.cache
def program_of(case: Case) -> Program:
    chance = np.random.default_rng(len(case.name) + case.distinct)
    n, n_leaves, builder = case.n_features, 50, Builder(row_type(case.n_features))
    nodes = random_nodes(case, case.classes if case.use == "votes" else n_leaves, chance)
    many = chance.integers(-3000, 3000, (n_leaves, 21)).astype(np.int16)
    ops: dict[str, TreeOp] = {
        "sum": TreeSum(nodes, n, "f32", Table(chance.normal(size=n_leaves).astype(np.float32)), 0.25),
        "votes": TreeVotes(nodes, n, "f32", case.classes),
        "total": TreeTotals(nodes, n, "f32", Table(many[:, 0].astype(np.int32)), 7, 1),
        "rows": TreeTotals(nodes, n, "f32", Table(many.astype(np.int32) * 9), -5, 21),
        "unit": TreeTotals(nodes, n, "f32", Table(many[21:]), 3, 21, 1 << 15),
        "leaf": TreeLeaf(nodes, n, "f32"),
    }
    value = builder.add(ops[case.use], 0)
    if case.use == "sum":
        return builder.build(value)
    if case.use == "votes":
        m = case.classes
        scores = builder.add(Lookup("u16", m, m, Table(np.arange(case.n_trees + 1, dtype=np.float32))), value)
        labels = Table([4, 9, -2, *range(10, 7 + m)], np.int32)
        return builder.build(scores, builder.add(Argmax("u16", m, labels), value), m)
    if case.use == "leaf":
        return builder.build(builder.add(Lookup("i32", 1, 1, Table(chance.normal(size=n_leaves), np.float32)), value))
    n_out = 1 if case.use == "total" else 21
    return builder.build(builder.add(Dequantise("i32", n_out, Table([0.5], np.float32), None), value))


def wide(program: Program, target: Target, wanted: set[str] | None = None) -> Program:
    """With a way for blocks, whatever one row costs; of trees only the kernels that are wanted."""
    cost = target.batch
    assert cost is not None
    if wanted is not None:
        cost = replace(
            cost, level_split=cost.level_split if LEVELS in wanted else None,
            bit_split=cost.bit_split if LEVELS in wanted else None,
            permuted_tree=_dear(cost.permuted_tree, wanted), permuted_bytes=_dear(cost.permuted_bytes, wanted),
            turned_tree=cost.turned_tree if TURNED in wanted else None,
            turned_bytes=cost.turned_bytes if TURNED in wanted else None,
            walked_split=cost.walked_split if WALKED in wanted else None,
            staged_tree=cost.staged_tree if STAGED in wanted else None,
            float_split=cost.float_split if FLOATS in wanted else None,
        )  # fmt: skip
    floats = choose_strategies(program, target.cost)
    return with_batch(floats, program, replace(cost, split=10**9), Choices(few_rows=16))


def _dear(stated: int | None, wanted: set[str]) -> int | None:
    """Permuted trees, which turned ones are made of: another form where those are wanted, in place of them."""
    return stated if PERMUTED in wanted or stated is None else 10**9 if TURNED in wanted else None


def kernels(program: Program) -> list[str]:
    return [without_type(step.op.kernel) for step in program.steps if isinstance(step.op, OfBlocks)]


def texts_of(program: Program, target: Target) -> dict[str, str]:
    names = Names("m", "s", "o", "c", "", target.name, "", "none", "f32", "", "0", target.float_header)
    templates = tuple(one for one in target.templates if one != "dispatch")  # a package's own kernels, alone
    texts = emit_model(program, names, templates)
    return texts | runtime_headers(texts["m.c"], target)


def rows_of(program: Program, n: int, seed: int) -> Array:
    """Rows at thresholds and next to them, and rows of special values and of any payload of a NaN."""
    found = rows_for(program, seed)
    payloads = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF], np.uint32).view(np.float32)
    chance = np.random.default_rng(seed)
    gaps = chance.random(found.shape) < 0.1
    bits = np.where(gaps, chance.choice(payloads.view(np.uint32), found.shape), found.view(np.uint32))
    rows = np.concatenate([edge_rows(program, n).values, np.ascontiguousarray(bits).view(np.float32)])
    return np.ascontiguousarray(chance.permutation(np.resize(rows, (n, program.n_features))))


@functools.lru_cache(maxsize=8)
def rows_of_case(case: Case, n: int, seed: int) -> Array:
    """Not to be changed: the next target has them, too."""
    rows = rows_of(program_of(case), n, seed)
    rows.flags.writeable = False
    return rows


def takes(name: str, case: Case) -> bool:
    """Whether the target has the case's form, or another in its place."""
    cost = load_target(name).batch
    if cost is None or (TURNED in case.kernels and case.bytes and cost.turned_bytes is None):
        return False
    own = {FLOATS: cost.float_split, TURNED: cost.turned_tree}
    return all(own.get(kernel, 1) is not None for kernel in case.kernels)


BOTH = [(name, case) for case in CASES for name in WIDE if takes(name, case)]


@pytest.mark.parametrize(("name", "case"), BOTH, ids=lambda value: getattr(value, "name", value))
def test_python_of_blocks_is_that_of_rows(name: str, case: Case) -> None:
    """Every form of every use gives the bits of the trees that it stands for."""
    program = program_of(case)
    target = load_target(name)
    assert target.batch is not None
    made = wide(program, target, case.kernels_of(target.batch))
    rows = rows_of_case(case, 700, 1)

    assert set(kernels(made)) == case.kernels_of(target.batch)
    agree(made, program, rows)


def agree(made: Program, program: Program, rows: Array) -> None:
    """All ways for blocks give what the Program gives."""
    assert made.batch is not None
    wanted, expected = program.run(rows), program.classify(rows)
    for way in made.batch.ways:
        scores, labels = made.run_way(rows, way)
        assert same_bits(scores, wanted).all()
        assert (labels is None) == (expected is None)
        assert labels is None or expected is None or labels.tolist() == expected.tolist()


def test_many_columns_and_thresholds() -> None:
    """Trees go in as many groups as need codes of their own, where not even blocks of fewer rows hold those of all, or
    where 512 rows are cheaper; trees that are walked have blocks of fewer rows. Those of few levels have 512 where the
    stack has room for their codes and for what they add up."""
    target = load_target("x86-avx512")
    assert target.batch is not None
    columns, rows, plain = (next(case for case in CASES if (case.depth, case.n_features) == size)
                            for size in ((6, 600), (9, 300), (6, 4)))  # fmt: skip
    many = replace(plain, use="rows")  # 21 outputs
    more = replace(columns, n_features=900)
    wanted = ((columns, 1, 64), (more, 8, 512), (rows, 1, 32), (plain, 1, 512), (many, 1, 256))
    for case, most_groups, n_rows in wanted:
        made = wide(program_of(case), target, case.kernels_of(target.batch))
        assert made.batch is not None
        codes = [step.op for step in made.steps if isinstance(step.op, WideCodes)]
        assert (1 < len(codes) <= most_groups) == (case is more)
        assert made.batch.rows == n_rows
        for op in codes:
            most = target.batch.buffer_bytes if op.lines is None else target.batch.line_bytes
            assert op.block_elements * (1 if op.bytes else 2) <= most


@pytest.mark.parametrize("n_features", [300, 600])
def test_one_row_has_forms_of_smaller_blocks(n_features: int) -> None:
    """Blocks of levels hold the codes of so many columns, those on floats have fewer rows: one row is on floats."""
    target = load_target("x86-avx512-vnni")
    program = program_of(Case("sum", 6, n_features, 80, 20, ()))
    made = with_batch(choose_strategies(program, target.cost), program, target.batch)
    rows = rows_of(program, 50, 7)
    assert made.batch is not None

    assert made.batch.forms == ("levels",)
    assert [type(made.steps[index].op) for index in made.needed(made.scores)] == [FloatRow]
    assert same_bits(made.run(rows), program.run(rows)).all()
    agree(made, program, rows)


@pytest.mark.parametrize("name", ["x86-avx2", "arm-neon", "wasm"])
def test_first_levels_in_vectors(name: str) -> None:
    """Walked trees have them where columns of codes fit on the stack; they take 64 rows, so a few go one by one."""
    target = load_target(name)
    assert target.batch is not None
    for number, there in ((15, True), (17, False), (20, False)):
        case = CASES[number]
        made = wide(program_of(case), target, case.kernels_of(target.batch))
        op = next(step.op for step in made.steps if isinstance(step.op, WalkedTrees))
        assert (op.top is not None) == there
    program = program_of(CASES[15])
    few = [
        with_batch(program, program, replace(target.batch, walked_top=top, walked_lines=None, float_split=None)).batch
        for top in (None, target.batch.walked_top)
    ]
    assert few[0] is not None
    assert few[1] is not None
    assert few[0].few_rows < few[1].few_rows


@pytest.mark.parametrize("family", OF_TREES)
def test_models_of_every_family_of_trees(family: str) -> None:
    """What families lower to is the same for blocks, where they have a way for blocks."""
    target = load_target("x86-avx512")

    @settings(max_examples=8)
    @given(payload=FAMILIES[family](), seed=st.integers(0, 2**32 - 1))
    def check(payload: Payload | TensorFile, seed: int) -> None:
        program = payload.load().model.lower()
        made = wide(program, target)
        if made.batch is not None:
            agree(made, program, rows_for(program, seed))

    check()


COMPILERS = ("gcc", "clang-14")


# x86-avx512 has the templates of x86-avx512-vnni, but for permuted trees. Trees on floats have those of all.
HERE = [
    (name, number, case)
    for name in WIDE for number, case in enumerate(CASES)
    if name in ("x86-avx512-vnni", "x86-avx2") or (name == "x86-avx512" and {PERMUTED, TURNED} & {*case.kernels})
    if takes(name, case)
]  # fmt: skip


@pytest.mark.parametrize(("name", "number", "case"), HERE, ids=lambda value: str(getattr(value, "name", value)))
def test_c_of_blocks(
    name: str, number: int, case: Case, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """C equals Program.run() bit for bit for any number of rows and any place of theirs, compilers in turn."""
    require_target(name)
    target = load_target(name)
    assert target.batch is not None
    program = program_of(case)
    made = wide(program, target, case.kernels_of(target.batch))
    compiler = COMPILERS[number % 2]
    flags = next(rule.cflags for rule in target.builds if compiler in rule.programs)
    compiled = load("m", texts_of(made, target), made, tmp_path, compiler, (*flags, "-O1"))
    rows = rows_of_case(case, sum(AWKWARD), 2)
    expected, labels = program.run(rows), program.classify(rows)
    at = 0
    for n in AWKWARD:
        apart = np.zeros(n * program.n_features + 4, np.float32)  # begins at any float of a vector
        own = apart[n % 5 :][: n * program.n_features].reshape(n, -1)
        own[:] = rows[at : at + n]
        scores, found = compiled.batch(own)
        assert np.flatnonzero(~same_bits(scores, expected[at : at + n]).all(axis=1)).tolist() == []
        assert labels is None or found is None or found.tolist() == labels[at : at + n].tolist()
        at += n


RANKED = Case("rows", 8, 40, 190, 20000, (SEARCHED, TURNED), full=True)  # ranks of one row in more than a vector


@pytest.mark.parametrize(
    ("case", "form", "alone", "few_kernel"),
    [
        (replace(CASES[4], n_trees=60), "levels", 15, PERMUTED),
        (replace(CASES[35], n_trees=10), "permuted", 7, STAGED),
        (replace(CASES[35], n_trees=60), "permuted", 7, PERMUTED),
        (RANKED, "permuted", 7, PERMUTED),
    ],
    ids=["levels", "staged", "ranks", "vectors of ranks"],
)
def test_rows_between(
    case: Case, form: str, alone: int, few_kernel: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """Too few rows for a block of levels or of turned trees, and too many to be done one by one, have a block in
    the form of one row, with its tables; C gives the bits of Program.run() for any number."""
    require_target("x86-avx512-vnni")
    target = load_target("x86-avx512-vnni")
    program = program_of(case)
    made = with_batch(choose_strategies(program, target.cost), program, target.batch)
    assert made.batch is not None
    assert made.batch.few is not None
    few = [made.steps[index].op for index in made.needed(made.batch.few.scores)]

    assert made.batch.forms == (form,)
    assert made.batch.alone == alone < made.batch.few_rows <= 128
    assert [without_type(op.kernel) for op in few][:2] == [SEARCHED, few_kernel]
    row = made.steps[made.needed(made.scores)[0]].op
    assert isinstance(row, PermutedRow | StagedRow)
    assert isinstance(few[1], PermutedTrees | StagedTrees)
    assert row.feature is few[1].feature
    if case is RANKED:
        assert isinstance(row, PermutedRow)
        assert row.finer is not None
        assert row.finer.n_vectors == row.n_times == 2
    agree(made, program, rows_of(program, 140, 5))

    flags = (*target.builds[0].cflags, "-O1")
    compiled = load("m", texts_of(made, target), made, tmp_path, "gcc", flags)
    rows = rows_of(program, 700, 6)
    expected = program.run(rows)
    sizes = (*range(1, 140), *range(513, 700, 7))
    assert [n for n in sizes if not same_bits(compiled.batch(rows[:n])[0], expected[:n]).all()] == []
    assert same_bits(compiled.one_by_one(rows)[0], expected).all()


SANITIZED = (
    *(("x86-avx512-vnni", CASES[i]) for i in (1, 9, 12, 14, 19, 22, 25, 27, 36, 39, 40)),
    *(("x86-avx2", CASES[i]) for i in (1, 15, 29, 32)),
    ("x86", CASES[15]),
)  # fmt: skip


@pytest.mark.parametrize(("name", "case"), SANITIZED, ids=lambda value: getattr(value, "name", value))
def test_sanitizers_find_nothing(
    name: str, case: Case, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """No byte outside of rows and results that are exactly as large as they must be, and no undefined operation."""
    require_target(name)
    target = load_target(name)
    assert target.batch is not None
    program = program_of(case)
    made = wide(program, target, case.kernels_of(target.batch))

    require_clean(texts_of(made, target), rows_of(program, 400, 4), target, tmp_path)


@pytest.mark.parametrize(
    ("name", "runner", "case"),
    [
        *(("arm-neon", "auto", CASES[i]) for i in (0, 1, 2, 3, 6, 7, 9)),
        *(("arm-neon", "auto", CASES[i]) for i in (8, 13, 14, 15, 16, 18, 21, 29)),
        *(("wasm", "auto", CASES[i]) for i in (1, 9, 10, 13, 15, 16, 17, 18, 20, 22, 30)),
        ("wasm", "wasmtime", CASES[3]),
        *(("arm-neon", "unicorn", CASES[i]) for i in (3, 6, 16)),
    ],
    ids=lambda value: getattr(value, "name", value),
)  # fmt: skip
def test_c_of_blocks_on_other_machines(
    name: str, runner: str, case: Case, tmp_path: Path, require_target: Callable[[str], None],
    require_tool: Callable[[str], None],
) -> None:  # fmt: skip
    """The same of an image, run by emulators and engines: many rows and one by one."""
    require_target(name)
    if runner != "auto":
        require_tool(runner)
    target = load_target(name)
    assert target.batch is not None
    program = program_of(case)
    made = wide(program, target, case.kernels_of(target.batch))
    facts = ModelFacts("m", "row", program.n_features, program.n_outputs, program.label is not None, has_batch=True)
    image = build_image(target, find_toolchain(target), texts_of(made, target), facts, tmp_path)
    rows = rows_of_case(case, sum(AWKWARD[:9]), 3)
    found = runner_for(target, runner).run(image, rows, count=False).batch

    assert found is not None
    assert same_bits(found.scores, program.run(rows)).all()
    expected = program.classify(rows)
    assert (found.labels is None) == (expected is None)
    assert found.labels is None or expected is None or found.labels.tolist() == expected.tolist()


def test_a_planted_fault_is_found(require_target: Callable[[str], None]) -> None:
    """A code that is off by one shows as a difference of blocks, while rows one by one are right."""
    require_target("x86-avx512")
    model = loaded("rfc_digits")
    artifact = compile_model(model, load_target("x86-avx512"), Options("m"))
    text = artifact.texts["apr_wide.h"]
    for sound in ("_mm512_cmplt_epu32_mask(key, next)", "_mm512_cmplt_epu32_mask(key, threshold)"):
        assert sound in text
        text = text.replace(sound, sound.replace("cmplt", "cmple"))
    planted = replace(artifact, texts={**artifact.texts, "apr_wide.h": text})
    verdict = _verdict(planted)

    assert _verdict(artifact).passed
    assert verdict.image_differences > 0
    assert [one.sides for one in verdict.details] == ["batch and Program"]


@pytest.mark.parametrize(
    ("name", "sound", "planted"),
    [
        ("arm-neon", "vcgtq_s16(wide", "vcgeq_s16(wide"),
        ("wasm", "wasm_i16x8_gt(wide", "wasm_i16x8_ge(wide"),
        ("wasm", "->feature] < node", "->feature] <= node"),
    ],
)
def test_faults_of_walks_are_found(
    name: str, sound: str, planted: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """A row whose code is that of the split would go the other way, in the first levels or below them."""
    require_target(name)
    target = load_target(name)
    assert target.batch is not None
    program = program_of(CASES[15])
    made = wide(program, target, CASES[15].kernels_of(target.batch))
    texts = texts_of(made, target)
    assert sound in texts["apr_wide.h"]
    texts["apr_wide.h"] = texts["apr_wide.h"].replace(sound, planted)
    facts = ModelFacts("m", "row", program.n_features, 1, False, has_batch=True)
    image = build_image(target, find_toolchain(target), texts, facts, tmp_path)
    rows = rows_of(program, 300, 3)
    found = runner_for(target, "auto").run(image, rows, count=False).batch

    assert found is not None
    assert not same_bits(found.scores, program.run(rows)).all()


def _verdict(artifact: Artifact):  # type: ignore[no-untyped-def]
    with tempfile.TemporaryDirectory() as work:
        built = build_artifact(artifact, work=Path(work))
        return verify(artifact.model, built, make_trial(artifact.model, 300), count=False)


@pytest.mark.parametrize("name", WIDE)
def test_stated_kernels_are_there(name: str) -> None:
    """A target has the templates of the kernels whose costs it states, and none of blocks without a cost: but those of
    SSE2 walk by codes only, whose tables are AVX2's."""
    target = load_target(name)
    assert target.batch is not None
    folders = [folder("templates") / name for name in target.templates]
    there = {path.name.removesuffix(".c.j2") for one in folders for path in one.glob("wide_*.c.j2")}

    assert set(_wanted(target.batch)) == there - ({FLOATS} if name == "x86" else set())


def _wanted(cost: BatchCost) -> Sequence[str]:
    codes = (SEARCHED, *((GROUPED,) if cost.grouped else ()), *((COUNTED,) if cost.counted else ()))
    return (
        *codes, *((LEVELS,) if cost.level_split else ()), *((f"{LEVELS}_bits",) if cost.bit_split else ()),
        *((f"{PERMUTED}_u16",) if cost.permuted_tree else ()), *((f"{PERMUTED}_u8",) if cost.permuted_bytes else ()),
        *((f"{TURNED}_u16",) if cost.turned_tree else ()), *((f"{TURNED}_u8",) if cost.turned_bytes else ()),
        *((WALKED,) if cost.walked_split else ()), *((STAGED,) if cost.staged_tree else ()),
        *((FLOATS,) if cost.float_split else ()),
    )  # fmt: skip


def test_what_takes_blocks() -> None:
    """A way for blocks is taken by trees, where the target has one."""
    target = load_target("x86-avx512")

    assert compile_model(loaded("rfc_digits"), target, Options("m")).program.batch is not None
    assert compile_model(loaded("count_vectorizer"), target, Options("m")).program.batch is None
    assert compile_model(loaded("rfc_digits"), load_target("host"), Options("m")).program.batch is None
