"""Called trees: functions that end in calls answer as tables of nodes do, and jumps to where they end are short."""

from __future__ import annotations

import ctypes
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.accuracy import Calibration
from aprgen.build import build_artifact
from aprgen.core import Options, compile_model, runtime_headers
from aprgen.emit import Names, emit_model
from aprgen.ops.called_trees import EARLY, CalledTrees
from aprgen.ops.codes import WithoutSign
from aprgen.ops.trees import TreeOp, TreeTotals, TreeVotes
from aprgen.passes.called_trees import KNOWN_BLOCKS, REACH, called
from aprgen.passes.strategy import choose_strategies, with_trees
from aprgen.passes.tree_codes import with_codes
from aprgen.passes.tree_shapes import code_op, coded_trees
from aprgen.program import Op, Table, ValueType
from aprgen.rows import edge_codes
from aprgen.target import load_target
from tests.differential.compiled import load
from tests.differential.test_large_models import forest
from tests.ops.slow import shaped_trees
from tests.passes.test_compact_trees import op_of, program_of
from tests.passes.test_tree_codes import agree
from tests.passes.test_tree_shapes import halves, special_rows


def called_by(op: TreeOp, *, short_ones: bool = False) -> tuple[Op, CalledTrees] | None:
    coded = coded_trees(op)
    found = None if coded is None else called(op, coded, short_ones=short_ones)
    return None if coded is None or found is None else (code_op(coded, op.n_features, in_line=False), found.trees)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(("votes", "totals")), st.integers(1, 4), st.integers(1, 7), st.integers(1, 40),
    st.integers(0, 2**32 - 1), st.booleans(),
)  # fmt: skip
def test_leaves_are_those_of_the_trees(
    use: str, n_trees: int, depth: int, n_features: int, seed: int, short_ones: bool
) -> None:
    """Trees of any form: what tables of nodes add up, and what a reader of single bytes does."""
    op = op_of(use, n_trees, depth, n_features, seed)
    rows = special_rows(n_features, seed)
    found = called_by(op, short_ones=short_ones)
    if found is None:  # nothing to decide
        assert coded_trees(op) is None
        return
    codes, made = found
    with np.errstate(invalid="ignore"):
        read = codes.evaluate(rows)
        expected = op.evaluate(rows).tolist()

    assert expected == made.evaluate(read).tolist()
    assert expected[:6] == [shaped_trees(made, row) for row in read[:6].tolist()]


@pytest.mark.parametrize("short_ones", [False, True])
@pytest.mark.parametrize(("use", "depth"), [("votes", 7), ("totals", 7), ("votes", 11), ("totals", 11)])
def test_c(use: str, depth: int, short_ones: bool, tmp_path: Path) -> None:
    """As C without a warning: the scores of the plain trees. 40 columns, so that a second pointer reads some; leaves
    of each kind near the root and far from it."""
    op = op_of(use, 2 if depth > KNOWN_BLOCKS else 6, depth, 40, 3)
    plain = program_of(op)
    found = called_by(op, short_ones=short_ones)
    assert found is not None
    program = with_trees(plain, lambda _: found)
    names = Names("m", use, "scores", "none", "", "host", "", "none", "f32", "", "0")
    texts = emit_model(program, names, load_target("host").templates)
    compiled = load("m", texts | runtime_headers(texts["m.c"], load_target("host")), program, tmp_path)
    rows = special_rows(40, 3)

    assert plain.run(rows).view(np.uint32).tolist() == compiled.batch(rows)[0].view(np.uint32).tolist()
    if use == "totals":
        assert (op.n_trees.bit_length() if short_ones else 0) == found[1].count_bits
        assert all(f"m_1_called_{word}" in texts["m.c"] for word in ("early_of_0_1", "early_row_2"))
        assert (depth > KNOWN_BLOCKS) == ("m_1_called_of" in texts["m.c"]) == ("m_1_called_row_2" in texts["m.c"])


def test_units_that_have_no_room_beside_counts() -> None:
    """Units of more than 32 bits allow with counts below them are added as they are."""
    op = op_of("totals", 4, 6, 8, 1)
    assert isinstance(op, TreeTotals)
    for unit, bits in ((900, 3), ((1 << 26) - 1, 3), (1 << 26, 0), (1 << 28, 0)):
        found = called_by(replace(op, unit=unit), short_ones=True)
        assert found is not None
        assert bits == found[1].count_bits
        assert 0 <= 4 * max(unit, 65_535) * found[1].scale + 4 < 2**31


@pytest.mark.parametrize(("target", "words"), [("cortex-m4", True), ("cortex-m0plus", False), ("host", False)])
@pytest.mark.parametrize("element", ["s8", "s16"])
def test_codes_of_a_caller(element: str, target: str, words: bool) -> None:
    """Codes with a sign, those below 0 among them, as the trees in tables answer; bytes lose it four at once where
    words are loaded from any address."""
    plain = program_of(op_of("totals", 4, 6, 8, 5))
    rows = np.random.default_rng(2).integers(0, 17, (60, 8)).astype(np.float32)
    program = with_codes(plain, rows, "i8" if element == "s8" else "i16")
    made = choose_strategies(program, load_target(target).cost, "calls", rows)

    assert any(isinstance(step.op, CalledTrees) for step in made.steps)
    copies = [step.op for step in made.steps if isinstance(step.op, WithoutSign)]
    assert [words and element == "s8"] * len(copies) == [one.in_words for one in copies]
    assert copies
    agree(made, edge_codes(program, 100))


@pytest.mark.parametrize("n", [7, 16, 18, 35])
def test_signs_in_words_as_c(n: int, tmp_path: Path) -> None:
    """Rows of whole words and not: the functions of codes answer as the Program, for every kind of code."""
    plain = program_of(op_of("totals", 4, 6, n, 5))
    rows = np.random.default_rng(2).integers(0, 17, (60, n)).astype(np.float32)
    program = with_codes(plain, rows, "i8")
    cost = replace(load_target("host").cost, any_address=True, last_calls=True)
    made = choose_strategies(program, cost, "calls", rows)
    assert any(isinstance(step.op, WithoutSign) and step.op.in_words for step in made.steps)
    names = Names("m", "totals", "scores", "none", "", "host", "", "none", "f32", "", "0")
    texts = emit_model(made, names, load_target("host").templates)
    library = load("m", texts | runtime_headers(texts["m.c"], load_target("host")), made, tmp_path).library
    codes = made.codes
    assert codes is not None
    x = np.random.default_rng(3).integers(-128, 128, (200, n)).astype(np.int8)
    expected = made.evaluate(x, [codes.scores], given=codes.x)[codes.scores]
    out = np.zeros_like(expected)
    for row in range(len(x)):
        library.m_scores_q(ctypes.c_void_p(x[row].ctypes.data), ctypes.c_void_p(out[row].ctypes.data))
    tables = program.codes
    assert tables is not None

    assert expected.tolist() == out.tolist()
    assert program.evaluate(x, [tables.scores], given=tables.x)[tables.scores].tolist() == out.tolist()


def test_what_does_not_fit() -> None:
    """One class, amounts below 0 or of more than 16 bits, no unit, a start that a unit below has no 32 bits."""
    fine = op_of("totals", 4, 5, 3, 1)
    assert isinstance(fine, TreeTotals)
    assert called_by(fine) is not None
    assert called_by(TreeVotes(halves(4, 5, 3, 1, 1, 1), 3, "f32", 1)) is None
    assert called_by(TreeVotes(halves(4, 5, 3, 200, 1, 1), 3, "f32", 200)) is not None
    assert called_by(replace(fine, unit=0)) is None
    assert called_by(replace(fine, start=-(2**31) + fine.unit)) is not None
    assert called_by(replace(fine, start=-(2**31) + fine.unit - 1)) is None
    for values in ([-1] * 15, [1 << 16] * 15):
        assert called_by(replace(fine, values=Table(np.array(values, np.int32)))) is None


def test_ends_are_near() -> None:
    """In a large tree every leaf of one class ends within the reach of a short jump, but where an end of its own would
    take more; no end stands alone near the root; fewer ends than leaves."""
    op = TreeVotes(halves(1, 12, 6, 4, 9, 1), 6, "f32", 4)
    found = called_by(op)
    assert found is not None
    made = found[1]
    branches = made.branches
    places: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    place = 0
    waiting = [(int(branches.root[0]), 0)]
    while waiting:
        block, depth = waiting.pop()
        leaf = int(branches.leaf[block])
        if leaf >= 0:
            places[leaf, int(branches.ends[block])].append((place, depth))
            continue
        place += 6
        split = int(branches.first[block])
        sides = [int(branches.left[split]), int(branches.right[split])]
        waiting += [(one, depth + 1) for one in (sides if branches.right_first[split] else sides[::-1])]
    spans = [max(at for at, _ in own) - min(at for at, _ in own) for own in places.values()]
    n_leaves = sum(map(len, places.values()))

    assert n_leaves > 300
    assert len(places) < n_leaves / 3
    assert sum(span > REACH for span in spans) < len(spans) / 4
    assert all(len(own) > 1 or own[0][1] >= KNOWN_BLOCKS for own in places.values())
    assert Counter(leaf for leaf, _ in places) == Counter(dict(enumerate(made.copies)))


def test_a_leaf_alone_near_the_root_has_a_function_of_its_own() -> None:
    """A class that one leaf of a tree has, above KNOWN_BLOCKS, is counted early; trees with such a leaf come last."""
    found = called_by(op_of("votes", 6, 3, 4, 2))
    assert found is not None
    made = found[1]
    early = {int(block) for block in np.flatnonzero(made.branches.ends == EARLY)}
    with_early = []
    for tree in made.trees:
        waiting, blocks = [tree.root], set()
        while waiting:
            block = waiting.pop()
            blocks.add(block)
            for split in range(int(made.branches.first[block]), int(made.branches.first[block + 1])):
                waiting += [int(made.branches.left[split]), int(made.branches.right[split])]
        leaves = [int(made.branches.leaf[block]) for block in blocks if made.branches.leaf[block] >= 0]
        alone = {leaf for leaf, times in Counter(leaves).items() if times == 1}
        assert alone == {int(made.branches.leaf[block]) for block in blocks & early}
        with_early.append(bool(alone))

    assert any(with_early)
    assert with_early == sorted(with_early)


@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m4"])
def test_on_a_target(target: str, tmp_path: Path, require_target: object) -> None:
    """By name: the labels of the model, less flash than branches, and no variables; where calls can be jumps at most
    128 bytes of stack."""
    require_target(target)  # type: ignore[operator]
    model = forest(12, 8, 20, [0, 1, 2]).load()
    rows = np.random.default_rng(1).normal(0, 1, (40, 20)).astype(np.float32)
    sizes = {}
    for shape in ("calls", "branches"):
        options = Options("m", optimise=shape, calibration=Calibration(rows, "rows"))
        (tmp_path / shape).mkdir()
        built = build_artifact(compile_model(model, load_target(target), options), work=tmp_path / shape)
        run = built.run(rows)
        sizes[shape] = built.footprint.flash_bytes
        assert run.labels is not None
        assert np.array_equal(model.model.classify(rows), run.labels)
        assert built.footprint.data_bytes + built.footprint.bss_bytes == 0
        assert run.stack_bytes["classify"] <= 128
    assert sizes["calls"] < sizes["branches"]


def test_what_is_wrong_is_refused() -> None:
    """Entries without an end or of another output, shares above the unit, leaves and functions that there are not."""
    found = called_by(op_of("totals", 6, 7, 5, 3))
    assert found is not None
    op = found[1]
    row = ValueType(op.element, op.n_features)
    share = op.shares[0]
    leaf, ends = op.branches.leaf, op.branches.ends
    wrong = [
        replace(op, entries=Table(op.entries.data[:-3])),
        replace(op, entries=Table(op.entries.data[:-1])),
        replace(op, entries=Table(op.entries.data | 127)),
        replace(op, shares=(replace(share, first=op.unit + 1), *op.shares[1:])),
        replace(op, branches=replace(op.branches, leaf=np.where(leaf >= 0, leaf + 1, leaf))),
        replace(op, branches=replace(op.branches, ends=np.where(leaf == 0, ends + 40, ends))),
    ]

    assert op.result(row).size == 3
    for one in wrong:
        with pytest.raises(ValueError, match=r"entry|entries|unit|ends"):
            one.result(row)
