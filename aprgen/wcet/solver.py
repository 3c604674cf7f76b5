"""The edge-flow problem as numbers, and HiGHS as one who proposes an answer.

Knows scipy, and hides it. What it returns is floating point and is believed by nobody: aprgen.wcet.ipet checks it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from aprgen.errors import ToolchainError, UnsupportedError

if TYPE_CHECKING:
    from types import ModuleType

    from aprgen.wcet.graph import Edge

Outcome = Literal["found", "none", "unbounded"]

_SECONDS = 60.0
_OUTCOMES: Mapping[int, Outcome] = {0: "found", 2: "none", 3: "unbounded"}  # scipy's status of a linear program


@dataclass(frozen=True)
class Problem:
    """Maximise cycles x flow: one unit enters at `entry`, flow is conserved in every block, and each fact (position of
    an edge -> factor) stays within its limit. `ends`: source and target of an edge; the exit is None. `calls`: edges by
    position that bring their flow into another block, too, as calls do into a function's first one."""

    entry: int
    blocks: tuple[int, ...]
    edges: tuple[Edge, ...]
    ends: tuple[tuple[int, int | None], ...]
    cycles: tuple[int, ...]
    facts: tuple[Mapping[int, int], ...]
    limits: tuple[int, ...]
    calls: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a solver proposes: a flow (None: nothing found), and for each fact what one more unit of its limit brings.
    With whole flows asked for, there are no multipliers. outcome "none": no flow keeps to all facts."""

    flow: tuple[float, ...] | None
    multipliers: tuple[float, ...]
    outcome: Outcome


def highs(problem: Problem, whole: bool) -> Answer:
    """HiGHS's answer, with whole numbers as flow or without that demand."""
    optimize = scipy_part("optimize")
    conserved, entering, facts = _matrices(problem)
    objective = -np.array(problem.cycles, dtype=float)
    if whole:
        constraints = [optimize.LinearConstraint(conserved.tocsr(), entering, entering)]
        if problem.facts:
            limits = np.array(problem.limits, dtype=float)
            constraints.append(optimize.LinearConstraint(facts.tocsr(), -np.inf, limits))
        found = optimize.milp(
            objective, constraints=constraints, integrality=np.ones(len(problem.edges)),
            bounds=optimize.Bounds(0, np.inf), options={"time_limit": _SECONDS, "mip_rel_gap": 0},
        )  # fmt: skip
        flow = None if found.x is None else tuple(float(value) for value in found.x)
        return Answer(flow, (), "none" if flow is None else "found")
    found = optimize.linprog(
        objective, A_eq=conserved.tocsr(), b_eq=entering, A_ub=facts.tocsr() if problem.facts else None,
        b_ub=np.array(problem.limits, dtype=float) if problem.facts else None, bounds=(0, None), method="highs",
    )  # fmt: skip
    if found.status not in _OUTCOMES:
        raise UnsupportedError(
            "wcet.solver", f"HiGHS gave up: {found.message}", where="the longest path",
            hint="this is a defect of the solver or of aprgen; report it with the image",
        )  # fmt: skip
    if found.status != 0:
        return Answer(None, (), _OUTCOMES[found.status])
    multipliers = tuple(-float(value) for value in found.ineqlin.marginals) if problem.facts else ()
    return Answer(tuple(float(value) for value in found.x), multipliers, "found")


def whole_multipliers(problem: Problem, last: int) -> tuple[int, ...] | None:
    """Of the last facts, whole numbers with which the problem's bound is as low as HiGHS finds; None: there is none.

    Solves the dual problem: potentials of blocks, and multipliers of facts, so that no edge pays more than they allow.
    """
    optimize, sparse = scipy_part("optimize"), scipy_part("sparse")
    conserved, entering, facts = _matrices(problem)
    n_blocks, n_facts = len(problem.blocks), len(problem.facts)
    value = np.concatenate([entering, np.array(problem.limits, dtype=float)])
    least = np.concatenate([np.full(n_blocks, -np.inf), np.zeros(n_facts)])
    whole = np.zeros(len(value))
    whole[len(value) - last :] = 1
    pays = optimize.LinearConstraint(sparse.vstack([conserved, facts]).T.tocsr(), np.array(problem.cycles, dtype=float))
    found = optimize.milp(
        value, constraints=[pays], integrality=whole, bounds=optimize.Bounds(least, np.inf),
        options={"time_limit": _SECONDS},
    )  # fmt: skip
    return None if found.x is None else tuple(round(one) for one in found.x[len(value) - last :])


def _matrices(problem: Problem) -> tuple[Any, NDArray[np.float64], Any]:
    """Rows of blocks and of facts, columns of edges; and what enters each block from outside."""
    sparse = scipy_part("sparse")
    at = {block: position for position, block in enumerate(problem.blocks)}
    conserved = sparse.lil_matrix((len(problem.blocks), len(problem.edges)))
    for position, (source, target) in enumerate(problem.ends):
        if source != target:
            conserved[at[source], position] = 1
            if target is not None:
                conserved[at[target], position] = -1
    for position, block in problem.calls.items():
        conserved[at[block], position] -= 1
    entering = np.zeros(len(problem.blocks))
    entering[at[problem.entry]] = 1
    facts = sparse.lil_matrix((len(problem.facts), len(problem.edges)))
    for row, terms in enumerate(problem.facts):
        for position, n in terms.items():
            facts[row, position] = n
    return conserved, entering, facts


def scipy_part(part: str) -> ModuleType:
    """A module of scipy, loaded when first needed; ToolchainError where it is not installed."""
    try:
        return importlib.import_module(f"scipy.{part}")
    except ImportError as error:
        raise ToolchainError(
            "wcet.scipy", "the Python package scipy is not installed", where="this machine",
            hint="pip install 'aprgen[wcet]'",
        ) from error  # fmt: skip
