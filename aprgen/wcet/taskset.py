"""The user's set of tasks in a TOML file, in which this model's functions stand by name, and what its analysis says.

Knows the file's keys and the words of the result; the arithmetic is `sched`'s, the bounds of functions are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from aprgen.errors import UsageError
from aprgen.wcet.sched import Response, Task, by_audsley, responses, utilisation
from aprgen.wcet.settings import LARGEST, Table, parse_toml, read_toml

CODE = "sched.tasks"
MOST_TASKS = 256
_ORDERS = ("larger-first", "smaller-first", "assign")
_KEYS = "name, function, calls, wcet_us, period_us, deadline_us, jitter_us, blocking_us, priority, interrupt"
_METHOD = (
    "Fixed priorities, preemptive, one processor: response times by the recurrence of Joseph and Pandya (1986) with "
    "blocking and release jitter (Audsley et al. 1993), over the whole busy window (Lehoczky 1990), in exact fractions."
)


@dataclass(frozen=True)
class Wanted:
    """A task as its file states it. priority None: to be assigned. rest_us: beside the calls of the function."""

    name: str
    function: str
    calls: int
    rest_us: Fraction
    period: Fraction
    deadline: Fraction
    jitter: Fraction
    blocking: Fraction
    priority: int | None
    interrupt: bool


@dataclass(frozen=True)
class TaskSet:
    file: str
    order: str  # of _ORDERS
    tasks: tuple[Wanted, ...]

    @property
    def functions(self) -> frozenset[str]:
        """Of the model, that some task calls."""
        return frozenset(task.function for task in self.tasks if task.function)


@dataclass(frozen=True)
class ScheduledTask:
    """Times in microseconds, rounded for printing; the verdict is of the exact ones. response_us None: unbounded."""

    name: str
    rank: int  # 1 is the most urgent
    interrupt: bool
    wcet_us: float
    made_of: str
    period_us: float
    deadline_us: float
    jitter_us: float
    blocking_us: float
    utilisation: float
    response_us: float | None
    meets: bool


@dataclass(frozen=True)
class Schedule:
    file: str
    method: str
    priorities: str
    utilisation: float
    schedulable: bool
    sentence: str
    tasks: tuple[ScheduledTask, ...]


def read_tasks(path: Path) -> TaskSet:
    return _task_set(read_toml(path, CODE), path.name)


def parse_tasks(data: bytes, where: str) -> TaskSet:
    return _task_set(parse_toml(data, where, CODE), where)


def _task_set(values: dict[str, object], where: str) -> TaskSet:
    table = Table(values, where, CODE)
    order = table.text("priorities")
    if order not in _ORDERS:
        raise table.wrong(
            "priorities", f"is {order!r}",
            'write "larger-first" or "smaller-first", as your system has it, or "assign" to have them assigned',
        )  # fmt: skip
    tasks = tuple(_wanted(one, order) for one in table.tables("task", MOST_TASKS))
    table.end("priorities, [[task]]")
    names = [task.name for task in tasks]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise table.wrong("task", f"{twice!r} stands there twice", "give every task a name of its own")
    return TaskSet(where, order, tasks)


def _wanted(table: Table, order: str) -> Wanted:
    name = table.text("name")
    function = table.text("function") if "function" in table.left else ""
    calls = table.whole("calls", 1, least=1)
    period = table.number("period_us", above=True)
    interrupt = table.flag("interrupt")
    ranked = order != "assign" or interrupt
    wanted = Wanted(
        name=name,
        function=function,
        calls=calls,
        rest_us=table.number("wcet_us", Fraction(0) if function else None, above=not function),
        period=period,
        deadline=table.number("deadline_us", period, above=True),
        jitter=table.number("jitter_us", Fraction(0)),
        blocking=table.number("blocking_us", Fraction(0)),
        priority=table.whole("priority", 0 if interrupt else None) if ranked else None,
        interrupt=interrupt,
    )
    if not ranked and "priority" in table.left:
        raise table.wrong("priority", 'is given, but priorities = "assign"', "remove one of the two")
    if not function and calls != 1:
        raise table.wrong("calls", "is given without a function", "add function = NAME, or remove calls")
    table.end(_KEYS)
    return wanted


def require_functions(wanted: TaskSet, functions: Sequence[str]) -> None:
    """UsageError when a task calls a function that the model does not have."""
    for one in wanted.tasks:
        if one.function and one.function not in functions:
            raise UsageError(
                CODE, f"task {one.name!r} calls {one.function}, which is no function of this model that is bounded",
                where=wanted.file, hint=f"there are {', '.join(functions)}; state others by wcet_us",
            )  # fmt: skip


def schedule(wanted: TaskSet, bounds_us: Mapping[str, Fraction]) -> Schedule:
    """The response times; bounds_us: of all functions of the model that its tasks call."""
    tasks = [_task(one, wanted, bounds_us) for one in wanted.tasks]
    if wanted.order == "assign":
        tasks = list(by_audsley([(task, task.interrupt) for task in tasks]))
    found = responses(tasks)
    load = utilisation(tasks)
    return Schedule(
        file=wanted.file,
        method=_METHOD,
        priorities=_priorities(wanted.order),
        utilisation=float(load),
        schedulable=all(one.meets for one in found),
        sentence=_sentence(found, load),
        tasks=tuple(_row(one, found) for one in found),
    )


def _task(one: Wanted, wanted: TaskSet, bounds_us: Mapping[str, Fraction]) -> Task:
    wcet = one.rest_us
    made_of = "stated"
    if one.function:
        wcet += one.calls * bounds_us[one.function]
        made_of = one.function if one.calls == 1 else f"{one.calls} x {one.function}"
        made_of += f" + {float(one.rest_us):g} us" if one.rest_us else ""
    if wcet > LARGEST:
        raise UsageError(
            CODE, f"task {one.name!r} takes more than 1e12 us", where=wanted.file, hint="correct calls or wcet_us"
        )
    return Task(
        one.name, wcet, one.period, one.deadline, one.jitter, one.blocking, _rank(one, wanted), one.interrupt, made_of
    )


def _rank(one: Wanted, wanted: TaskSet) -> int:
    """Interrupts before all tasks; those of one priority share a rank, which lets each delay the other."""

    def urgency(task: Wanted) -> tuple[bool, int]:
        priority = task.priority or 0
        return (not task.interrupt, priority if wanted.order == "smaller-first" else -priority)

    return sorted({urgency(task) for task in wanted.tasks}).index(urgency(one))


def _priorities(order: str) -> str:
    if order == "assign":
        return "assigned by Audsley's method; interrupts before all tasks"
    first = "larger" if order == "larger-first" else "smaller"
    return f"as stated, the {first} number first; interrupts before all tasks; equal ones may delay each other"


def _row(one: Response, all_of_them: tuple[Response, ...]) -> ScheduledTask:
    task = one.task
    ranks = sorted({other.task.rank for other in all_of_them})
    return ScheduledTask(
        name=task.name,
        rank=1 + ranks.index(task.rank),
        interrupt=task.interrupt,
        wcet_us=float(task.wcet),
        made_of=task.described,
        period_us=float(task.period),
        deadline_us=float(task.deadline),
        jitter_us=float(task.jitter),
        blocking_us=float(task.blocking),
        utilisation=float(task.utilisation),
        response_us=None if one.response is None else float(one.response),
        meets=one.meets,
    )


def _sentence(found: tuple[Response, ...], load: Fraction) -> str:
    used = f"The tasks use {100 * float(load):.2f} % of the processor"
    late = [one for one in found if not one.meets]
    if not late:
        return f"{used}, and each of the {len(found)} meets its deadline."
    first = late[0]
    if first.response is None:
        why = f"{first.task.name} has no bounded response time, as it and the more urgent tasks need more than there is"
    else:
        over = float(first.response)
        why = f"{first.task.name} may take {over:,.2f} us and has {float(first.task.deadline):,.2f} us"
    others = f"; {len(late) - 1} more miss theirs" if len(late) > 1 else ""
    return f"{used}. Not schedulable: {why}{others}."
