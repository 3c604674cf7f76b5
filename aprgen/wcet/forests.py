"""Trees of a model: the row that they take longest for, by the code where it can be followed, else by their steps.

Knows which loops of the generated C belong to which step of the Program; following is `tightened`'s, the search of
steps is `walks`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aprgen.core import Artifact
from aprgen.errors import UnsupportedError
from aprgen.ops.trees import FloatKeys, TreeOp
from aprgen.wcet.bounds import Program
from aprgen.wcet.code import Code
from aprgen.wcet.marks import Mark
from aprgen.wcet.symbolic import UnfollowedError
from aprgen.wcet.tightened import WalkMarks, tightened
from aprgen.wcet.walk_paths import Floats
from aprgen.wcet.walks import Walk, worst_row
from aprgen.wcet.worst_row import Solved

WALK_SECONDS = 60.0
ARM = ("v6-M", "v7-M", "v7E-M", "v8-M", "v8.1-M")


@dataclass(frozen=True, eq=False)
class Forest:
    """loop: the id of the walk's marks. No row makes the walks of one call take more than walk.upper steps."""

    loop: str
    walk: Walk


@dataclass(frozen=True, eq=False)
class Witnessed:
    """A bound for the worst row. No row takes more than `upper` of the unit, the witness takes `lower`.

    followed: in cycles, by following the code. solved: what the next function of the same model can use.
    """

    program: Program
    witness: Floats
    upper: int
    lower: int
    followed: bool
    unit: str
    solved: tuple[Solved, ...] = ()


def forests(artifact: Artifact, seconds: float = WALK_SECONDS) -> tuple[Forest, ...]:
    """One per step that walks trees over the model's own features; the others keep the bound by depth."""
    found = []
    for index in _tree_steps(artifact):
        try:
            walk = worst_row(artifact.program, index, seconds=seconds)
        except UnsupportedError:  # the trees read computed values: depth still bounds them
            continue
        found.append(Forest(f"{_function(artifact, index)}_walk", walk))
    return tuple(found)


def witnessed(
    artifact: Artifact,
    code: Code,
    marks: Sequence[Mark],
    program: Program,
    function: str,
    bound_by_steps: Callable[[Mapping[str, int]], Program],
    trees: Callable[[], Sequence[Forest]],
    *,
    seconds: float,
    before: tuple[Solved, ...] = (),
) -> Witnessed | None:
    """The program's bound for the worst row; None where no trees are walked, or trees over a caller's codes.

    bound_by_steps: bounds the program again, with the most steps of the walks by the id of their loop.
    """
    # The loop instructions of Armv8.1-M are not followed: every turn would begin ways of its own.
    if function.endswith("_q"):
        return None
    follows = code.architecture in ARM and code.architecture != "v8.1-M"
    if follows and len(_tree_steps(artifact)) == 1:
        walk = walk_marks(artifact, marks)
        features = artifact.program.n_features
        try:
            found = tightened(program, code, marks, walk, function, features, seconds=seconds, before=before)
        except UnfollowedError:  # the steps bound it still
            pass
        else:
            row = found.row
            unit = "cycles until the trees are done"
            unit += ", with library routines at their bounds" if found.calls_others else ""
            return Witnessed(found.program, row.witness, row.upper, row.lower, True, unit, (*before, found.solved))
    walked = trees()
    if not walked:
        return None
    last = walked[-1].walk
    again = bound_by_steps({one.loop: one.walk.upper for one in walked})
    return Witnessed(again, last.witness, last.upper, last.lower, False, "steps through the trees", before)


def walk_marks(artifact: Artifact, marks: Sequence[Mark]) -> WalkMarks:
    """The loops of the only step that walks trees, and of the keys that it compares."""
    (index,) = _tree_steps(artifact)
    name = _function(artifact, index)
    cuts = {f"{name}_trees"}
    source = artifact.program.steps[index].inputs[0]
    if source and isinstance(artifact.program.steps[source - 1].op, FloatKeys):
        cuts.add(f"{_function(artifact, source - 1)}_keys")
    has_many = any(mark.id == f"{name}_trees" for mark in marks)
    home = f"{name}_trees" if has_many else f"{name}_walk"
    return WalkMarks(frozenset(cuts), frozenset({f"{name}_walk"}), home, not has_many)


def _tree_steps(artifact: Artifact) -> list[int]:
    """Those of the functions of floats."""
    program = artifact.program
    ops = [(index, program.steps[index].op) for index in program.needed(program.scores, program.label)]
    return [index for index, op in ops if isinstance(op, TreeOp) and op.nodes.n_nodes > 0]


def _function(artifact: Artifact, index: int) -> str:
    """The C function of a step."""
    return f"{artifact.name}_{index}_{artifact.program.steps[index].op.kernel.rsplit('_', 1)[0]}"
