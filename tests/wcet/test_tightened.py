"""The bound of trees by all ways through their code: equal to a run, for every row, and void when a way is lost."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from aprgen.core import Artifact, Options, compile_model
from aprgen.families.forest import ForestClassifier
from aprgen.families.tree import DecisionTree
from aprgen.image import Image, build_image
from aprgen.loaded import Loaded
from aprgen.measured import model_facts
from aprgen.rows import edge_rows, random_rows
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain
from aprgen.wcet import tightened as module
from aprgen.wcet import words
from aprgen.wcet.bounds import Program, bound_program
from aprgen.wcet.cfg import build_graphs
from aprgen.wcet.code import Code, read_code
from aprgen.wcet.forests import forests, walk_marks, witnessed
from aprgen.wcet.marks import Mark, read_marks
from aprgen.wcet.memory import Memory
from aprgen.wcet.observe import Observation, observe
from aprgen.wcet.symbolic import UnfollowedError
from aprgen.wcet.tightened import Tightened, tightened
from aprgen.wcet.timing import load_timing
from aprgen.wcet.trace import executed_code, trace_calls
from aprgen.wcet.unfold import Scenery, Unfolded, unfold
from aprgen.wcet.worst_row import worst_row
from tests.examples import artifact, loaded
from tests.wcet.grown import N_FEATURES, grown_trees

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33")
# Their time depends on the comparisons of the trees and on nothing else that a row decides.
VOTES = ("rfc", "rfc_digits", "rfc_even_ties", "dtc_unlimited", "dtc_bc_depth", "dtr")
MEMORY = Memory(0, 4)
SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class Built:
    artifact: Artifact
    core: str
    image: Image
    code: Code
    marks: tuple[Mark, ...]

    def program(self, function: str) -> Program:
        symbol = f"{self.artifact.name}_{function}"
        graphs = build_graphs(self.code, [symbol])
        return bound_program(self.code, graphs, symbol, self.marks, load_timing(self.core), MEMORY)

    def tightened(self, function: str, seconds: float = SECONDS) -> Tightened:
        walk = walk_marks(self.artifact, self.marks)
        n = self.artifact.program.n_features
        return tightened(self.program(function), self.code, self.marks, walk, function, n, seconds=seconds)

    def observed(self, function: str, rows: np.ndarray, bound: int | None = None) -> Observation:
        traces = trace_calls(self.image, function, rows)
        return observe(traces, executed_code(self.code), load_timing(self.core), MEMORY, self.marks, bound)


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="aprgen-walks-")


@functools.cache
def built(name: str, core: str) -> Built:
    return _built(artifact(name, core), core)


@functools.cache
def grown(n_trees: int, depth: int, core: str) -> Built:
    members = tuple(DecisionTree(tree, True, N_FEATURES, ()) for tree in grown_trees(n_trees, depth))
    model = Loaded(ForestClassifier(members, N_FEATURES, 3, ()), loaded("rfc").container, ("",), "0" * 64)
    return _built(compile_model(model, load_target(core), Options(f"f{n_trees}x{depth}")), core)


def _built(made: Artifact, core: str) -> Built:
    work = Path(_folder().name) / f"{made.name}-{core}"
    facts = model_facts(made)
    keep = [facts.symbol(function) for function in ("scores", "predict")]
    image = build_image(
        made.target, find_toolchain(made.target, "system"), made.texts, facts, work, marks=True, keep=keep
    )
    return Built(made, core, image, read_code(image.program), read_marks(image.program))


def mixed_rows(made: Artifact) -> np.ndarray:
    """Rows at all decisions, random ones, and any bits."""
    n = made.program.n_features
    bits = np.random.default_rng(5).integers(0, 2**32, (30, n), dtype=np.uint32).view(np.float32)
    return np.concatenate(
        [edge_rows(made.program, 3000).values[::37][:60], random_rows(made.program, 30, 1).values, bits]
    )


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", VOTES)
def test_bound_is_reached(name: str, core: str) -> None:
    """The witness takes exactly the bound, and no other row takes more."""
    one = built(name, core)
    found = one.tightened("scores")

    rows = np.concatenate([found.row.witness[np.newaxis], mixed_rows(one.artifact)])
    seen = one.observed("scores", rows, found.program.cycles)
    assert found.row.exact
    assert seen.violations == ()
    assert found.program.cycles == int(seen.high[0])


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", ["dtr", "dtc_unlimited", "rfc", "rfc_digits"])
def test_checked_calls(name: str, core: str) -> None:
    """A call that checks its row has a finite witness; the bound of a single tree is reached, and else nearly."""
    one = built(name, core)
    found = one.tightened("predict")

    (high,) = one.observed("predict", found.row.witness[np.newaxis], found.program.cycles).high.tolist()
    assert np.isfinite(found.row.witness).all()
    assert 0 <= found.program.cycles - high <= (0 if name.startswith("dt") else 5)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", ["rfc", "dtc_bc_depth", "rfc_even_ties"])
def test_every_row_costs_its_ways(name: str, core: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only the worst row: each row takes one way of every part, and these cost what its run costs."""
    one = built(name, core)
    unfolded: list[Unfolded] = []

    def kept(scenery: Scenery, end: float) -> Unfolded:
        unfolded.append(unfold(scenery, end))
        return unfolded[-1]

    monkeypatch.setattr(module, "unfold", kept)
    found = one.tightened("scores")
    rest = found.program.cycles - found.row.upper

    rows = mixed_rows(one.artifact)
    for row, high in zip(rows, one.observed("scores", rows).high.tolist(), strict=True):
        bits = row.view(np.uint32)
        ways = [
            [w for w in part if all(any(a <= bits[f] <= b for a, b in p) for f, p in w.conditions.items())]
            for part in unfolded[0].parts
        ]
        assert {len(possible) for possible in ways} == {1}
        assert high == rest + sum(way.cycles for (way,) in ways)


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
@pytest.mark.parametrize(("n_trees", "depth"), [(1, 6), (8, 5), (24, 6)])
def test_grown_forests(n_trees: int, depth: int, core: str) -> None:
    """Trained forests are bounded by what their witness takes, and by less than the depth of the trees says."""
    one = grown(n_trees, depth, core)
    found = one.tightened("scores")

    assert found.row.exact
    assert found.program.cycles == int(one.observed("scores", found.row.witness[np.newaxis]).high[0])
    assert found.program.cycles <= one.program("scores").cycles


def test_out_of_time() -> None:
    """Without time the bound still holds for the witness and for the worst row, and says that it is not exact."""
    one = grown(24, 6, "cortex-m0plus")
    exact = one.tightened("scores")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "worst_row", lambda unfolded, n, seconds, before: worst_row(unfolded, n, 0.0, before))
        hurried = one.tightened("scores")

    assert hurried.row.lower <= exact.row.upper <= hurried.row.upper
    assert exact.program.cycles <= hurried.program.cycles <= one.program("scores").cycles
    assert not hurried.row.exact


def test_one_answer_for_all_functions() -> None:
    """What was found for one function is used for the next, and is what its own search finds."""
    one = built("rfc_digits", "cortex-m0plus")
    scores, alone = one.tightened("scores"), one.tightened("classify")
    walk, n = walk_marks(one.artifact, one.marks), one.artifact.program.n_features

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aprgen.wcet.worst_row.search", lambda *given: pytest.fail("searched again"))
        helped = tightened(
            one.program("classify"), one.code, one.marks, walk, "classify", n, seconds=SECONDS, before=[scores.solved]
        )

    assert (alone.row.upper, alone.program.cycles) == (helped.row.upper, helped.program.cycles)


# Planted faults ------------------------------------------------------------------------------------------------------


def test_a_lost_way_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the dearest way of one tree is lost, its run takes more than the bound, and the report would be void."""
    one = built("rfc", "cortex-m0plus")
    right = one.tightened("scores")
    lost = right.row.ways[-1].cycles

    def losing(scenery: Scenery, end: float) -> Unfolded:
        whole = unfold(scenery, end)
        kept = tuple(way for way in whole.parts[-1] if way.cycles < lost)
        return replace(whole, parts=(*whole.parts[:-1], kept))

    monkeypatch.setattr(module, "unfold", losing)
    wrong = one.tightened("scores").program.cycles

    (violation,) = one.observed("scores", right.row.witness[np.newaxis], wrong).violations
    assert (violation.kind, violation.observed) == ("cycles", right.program.cycles)


def test_a_wrong_comparison_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the follower takes right for left, the witness does not take what it is said to take."""
    one = built("rfc", "cortex-m0plus")
    monkeypatch.setitem(words._SIGNED, "gt", "ls")

    wrong = one.tightened("scores")

    assert wrong.program.cycles != int(one.observed("scores", wrong.row.witness[np.newaxis]).high[0])


def test_code_that_cannot_be_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the bound is by the steps of the trees, which holds too and is not lower."""
    one = built("rfc", "cortex-m4")
    timing = load_timing("cortex-m4")
    graphs = build_graphs(one.code, ["rfc_scores"])
    exact = one.tightened("scores").program.cycles

    def refuse(*given: object) -> Unfolded:
        raise UnfollowedError("no", "here")

    monkeypatch.setattr(module, "unfold", refuse)
    found = witnessed(
        one.artifact, one.code, one.marks, one.program("scores"), "scores",
        lambda totals: bound_program(one.code, graphs, "rfc_scores", one.marks, timing, MEMORY, totals),
        lambda: forests(one.artifact), seconds=SECONDS,
    )  # fmt: skip

    assert found is not None
    assert not found.followed
    assert exact <= found.program.cycles <= one.program("scores").cycles
