"""Response times of a set of tasks on one processor: fixed priorities, preemptive, deadlines of any length.

Knows the recurrence of Joseph and Pandya (1986) with blocking and release jitter (Audsley et al. 1993), the busy window
for deadlines beyond the period (Lehoczky 1990) and how priorities are assigned (Audsley 1991). All in exact fractions.
Knows nothing of programs: execution times are given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from aprgen.errors import UnsupportedError

MOST_STEPS = 100_000  # of all recurrences together, some seconds


@dataclass(frozen=True)
class Task:
    """Times in microseconds. rank: 0 is the most urgent; tasks of one rank may delay each other.

    blocking: the longest that a less urgent task holds this one up. jitter: from arrival to release, at most.
    """

    name: str
    wcet: Fraction
    period: Fraction
    deadline: Fraction
    jitter: Fraction
    blocking: Fraction
    rank: int
    interrupt: bool = False
    described: str = ""  # what the execution time is made of

    @property
    def utilisation(self) -> Fraction:
        return self.wcet / self.period


@dataclass(frozen=True)
class Response:
    """From arrival to completion, at most. response None: no bound, as tasks of its rank and above need more than the
    processor has. Where the deadline is missed, it is the first response that misses it."""

    task: Task
    response: Fraction | None
    jobs: int  # of this task that were looked at

    @property
    def meets(self) -> bool:
        return self.response is not None and self.response <= self.task.deadline


class _Steps:
    """Counts down, so that a set of tasks with hostile periods ends."""

    def __init__(self) -> None:
        self.left = MOST_STEPS

    def step(self, name: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise UnsupportedError(
                "sched.steps", "the response times need too many steps", where=f"task {name}",
                hint="the periods lie too far apart, or the processor is loaded to the last cycle; "
                "merge short interrupts or lower the load",
            )  # fmt: skip


def responses(tasks: Sequence[Task]) -> tuple[Response, ...]:
    """Of every task, the most urgent first."""
    steps = _Steps()
    ordered = sorted(tasks, key=lambda task: task.rank)
    return tuple(_response(task, [one for one in ordered if one is not task], steps) for task in ordered)


def _response(task: Task, others: Sequence[Task], steps: _Steps) -> Response:
    above = [one for one in others if one.rank <= task.rank]
    load = sum((one.utilisation for one in above), Fraction(0))
    if load >= 1 or load + task.utilisation > 1:
        return Response(task, None, 0)
    longest = Fraction(0)
    window = task.blocking + task.wcet
    job = 0
    while True:
        window = _window(task, above, job, window, steps)
        response = task.jitter + window - job * task.period
        longest = max(longest, response)
        job += 1
        if response > task.deadline or window + task.jitter <= job * task.period:
            return Response(task, longest, job)


def _window(task: Task, above: Sequence[Task], job: int, start: Fraction, steps: _Steps) -> Fraction:
    """When job number `job` of a busy window completes, counted from the window's first release: the smallest fixed
    point, which iteration from below reaches. No fixed point lies below the one without rounding up, so that a
    processor with little left takes no more steps (Sjödin and Hansson 1998)."""
    own = task.blocking + (job + 1) * task.wcet
    smooth = own + sum((one.jitter * one.utilisation for one in above), Fraction(0))
    window = max(start, smooth / (1 - sum((one.utilisation for one in above), Fraction(0))))
    while True:
        steps.step(task.name)
        following = own + sum(
            (math.ceil((window + one.jitter) / one.period) * one.wcet for one in above), Fraction(0)
        )
        if following == window:
            return window
        window = following


def utilisation(tasks: Sequence[Task]) -> Fraction:
    return sum((task.utilisation for task in tasks), Fraction(0))


def by_audsley(tasks: Sequence[tuple[Task, bool]]) -> tuple[Task, ...]:
    """The tasks with ranks under which all meet their deadlines, if any ranks do so; else by deadlines.

    tasks: with True for those whose rank is fixed above all others, which are interrupts.
    """
    fixed = [task for task, is_fixed in tasks if is_fixed]
    first = 1 + max((task.rank for task in fixed), default=-1)
    left = sorted((task for task, is_fixed in tasks if not is_fixed), key=lambda task: (task.deadline, task.name))
    lowest_first: list[Task] = []
    steps = _Steps()
    while left:
        rank = first + len(left) - 1
        for task in reversed(left):  # the longest deadline is the likeliest to fit below all others
            above = [_ranked(one, first) for one in left if one is not task]
            tried = _ranked(task, rank)
            if _response(tried, [*fixed, *above], steps).meets:
                lowest_first.append(tried)
                left.remove(task)
                break
        else:
            lowest_first += [_ranked(task, first + n) for n, task in reversed(list(enumerate(left)))]
            left = []
    return (*fixed, *reversed(lowest_first))


def _ranked(task: Task, rank: int) -> Task:
    return Task(
        task.name, task.wcet, task.period, task.deadline, task.jitter, task.blocking, rank, task.interrupt,
        task.described,
    )  # fmt: skip
