"""Budgets that code must fit: tries one choice of shape and numeric mode after the other, until one fits all of them.

Knows limits, what they are compared with, and how near a miss is; building and measuring is `exploration`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from aprgen.core import INTEGER_MODES, Artifact
from aprgen.errors import BudgetError, UsageError
from aprgen.exploration import Choice, Refused, Subject, Taken, candidates, has_modes, modes_to_try, take, ways_of
from aprgen.toolchain import find_toolchain
from aprgen.wcet.cores import core_of
from aprgen.wcet.timing import timing_cores

AUTO = "auto"  # as a numeric mode: any
LIMITS = ("flash", "ram", "stack", "cycles")


@dataclass(frozen=True)
class Miss:
    """A limit that a choice is over. needed None: there is no number to compare."""

    limit: str
    needed: int | None
    allowed: int
    why: str = ""

    @property
    def ratio(self) -> float:
        return float("inf") if self.needed is None else self.needed / max(1, self.allowed)

    @property
    def sentence(self) -> str:
        if self.needed is None:
            return f"no bound of {self.limit} ({self.why})"
        what = "cycles at most" if self.limit == "cycles" else f"bytes of {self.limit}"
        return f"{self.needed:,} {what}, the budget is {self.allowed:,}"


@dataclass(frozen=True)
class Tried:
    taken: Taken
    misses: tuple[Miss, ...]


@dataclass(frozen=True, eq=False)
class Search:
    """Choices in the order in which they were tried, the last one fits unless `artifact` is None."""

    name: str
    target: str
    tried: tuple[Tried, ...]
    refused: tuple[Refused, ...]
    artifact: Artifact | None
    other_modes: bool = False  # whether numeric modes are left to try

    def fitting(self) -> Artifact:
        """The code that fits; BudgetError with the nearest miss when none does."""
        if self.artifact is not None:
            return self.artifact
        if not self.tried:
            raise self.refused[0].error
        nearest = min(self.tried, key=lambda one: max(miss.ratio for miss in one.misses))
        missed = "; ".join(miss.sentence for miss in nearest.misses)
        raise BudgetError(
            f"budget.{nearest.misses[0].limit}",
            f"none of {len(self.tried)} ways to compute {self.name} fits; the nearest, {nearest.taken.choice.words}, "
            f"needs {missed}",
            where=f"target {self.target}",
            hint="raise the budget, "
            + ("allow other numeric modes (--numeric auto --calibrate ROWS), " if self.other_modes else "")
            + "or train a smaller model",
        )


def search(
    subject: Subject,
    limits: Mapping[str, int],
    numeric: str,
    optimise: str | None,
    begin: Callable[[str], None] = lambda _: None,
) -> Search:
    """The first choice that keeps all limits: what was asked for first, then other shapes, then other modes if auto.

    limits: of LIMITS, bytes and cycles. RAM is variables and stack. Cycles are the bound of the dearest function,
    the stack is bounded where the analysis can, else the largest that rows at the model's decisions used.
    """
    if "cycles" in limits:
        _require_times(subject)
    stack = "stack" in limits or "ram" in limits
    measured = replace(subject, run=stack, bound=stack or "cycles" in limits)
    modes: tuple[str, ...] = (numeric,)
    if numeric == AUTO:  # modes that only add functions change no figure of those that are measured
        modes = modes_to_try(subject)[0] if has_modes(subject.loaded) else ("f32",)
    ways = dict.fromkeys((optimise, *ways_of(subject.loaded)))
    tried: list[Tried] = []
    found, refused = candidates(measured, [Choice(mode, way) for mode in modes for way in ways])
    for candidate in found:
        begin(candidate.choice.words)
        try:
            taken = take(measured, candidate)
        except BudgetError as error:
            refused = (*refused, Refused(candidate.choice, error))
            continue
        misses = misses_of(taken, limits)
        tried.append(Tried(taken, misses))
        if not misses:
            return Search(subject.name, subject.target.name, tuple(tried), refused, candidate.artifact)
    other_modes = has_modes(subject.loaded) and (numeric != AUTO or INTEGER_MODES.keys().isdisjoint(modes))
    return Search(subject.name, subject.target.name, tuple(tried), refused, None, other_modes)


def misses_of(taken: Taken, limits: Mapping[str, int]) -> tuple[Miss, ...]:
    """The limits that it does not keep."""
    needs = {
        "flash": taken.flash_bytes,
        "ram": taken.ram_bytes,
        "stack": taken.stack_bytes,
        "cycles": None if taken.bound is None or taken.bound.unit != "cycles" else taken.bound.most,
    }
    return tuple(
        Miss(limit, needed, limits[limit], taken.no_bound)
        for limit, needed in needs.items()
        if limit in limits and (needed is None or needed > limits[limit])
    )


def require_limits(limits: Mapping[str, object]) -> dict[str, int]:
    """The limits as whole numbers of at least 0, or a UsageError."""
    found: dict[str, int] = {}
    for limit, value in limits.items():
        if limit not in LIMITS or type(value) is not int or value < 0:
            raise UsageError(
                "usage.budget", f"{limit!r}: {value!r} is no budget", where="budget",
                hint=f"give whole numbers of {', '.join(LIMITS)}",
            )  # fmt: skip
        found[limit] = value
    return found


def _require_times(subject: Subject) -> None:
    toolchain = find_toolchain(subject.target, subject.tools)
    if core_of(toolchain) in timing_cores() and toolchain.rule.marks:
        return
    raise UsageError(
        "usage.budget", f"no bound of time is known for {toolchain.name} on {subject.target.name}", where="--cycles",
        hint=f"leave it out, or build with gcc for {', '.join(timing_cores())}",
    )  # fmt: skip
