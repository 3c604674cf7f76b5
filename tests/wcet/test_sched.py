"""Response times against published task sets, against a simulation, and task set files that must be refused."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.errors import UnsupportedError, UsageError
from aprgen.wcet.sched import Task, by_audsley, responses, utilisation
from aprgen.wcet.taskset import Schedule, parse_tasks, require_functions, schedule


def _set(*rows: tuple[int, int, int], jitter: int = 0, blocking: int = 0) -> list[Task]:
    """(wcet, period, deadline), the most urgent first."""
    return [
        Task(f"t{n}", Fraction(c), Fraction(t), Fraction(d), Fraction(jitter), Fraction(blocking), n)
        for n, (c, t, d) in enumerate(rows)
    ]


def _times(tasks: list[Task]) -> list[int | None]:
    return [None if one.response is None else int(one.response) for one in responses(tasks)]


# A. Burns and A. Wellings, "Real-Time Systems and Programming Languages", the chapter on scheduling: its process sets.
PUBLISHED = [
    pytest.param([(3, 7, 7), (3, 12, 12), (5, 20, 20)], [3, 6, 20], id="worked example of response times"),
    pytest.param([(5, 20, 20), (10, 40, 40), (40, 80, 80)], [5, 15, 80], id="set C, utilisation 1"),
    pytest.param([(3, 20, 5), (3, 15, 7), (4, 10, 10), (3, 20, 20)], [3, 6, 10, 20], id="deadline monotonic"),
    # J. P. Lehoczky, "Fixed Priority Scheduling of Periodic Task Sets with Arbitrary Deadlines", RTSS 1990: the
    # longest response is that of the fifth job, not of the first, which takes 114.
    pytest.param([(26, 70, 70), (62, 100, 118)], [26, 118], id="deadline beyond the period"),
    # C. L. Liu and J. W. Layland, JACM 1973: harmonic periods use the whole processor.
    pytest.param([(1, 2, 2), (1, 4, 4), (2, 8, 8)], [1, 2, 8], id="harmonic"),
]


@pytest.mark.parametrize(("rows", "expected"), PUBLISHED)
def test_published(rows: list[tuple[int, int, int]], expected: list[int]) -> None:
    """The response times of textbooks and papers come out, and each set is schedulable."""
    tasks = _set(*rows)

    assert expected == _times(tasks)
    assert all(one.meets for one in responses(tasks))


def test_published_and_not_schedulable() -> None:
    """Burns and Wellings' set A misses the deadline of its least urgent task at a utilisation of 0.82."""
    tasks = _set((10, 30, 30), (10, 40, 40), (12, 50, 50))

    assert [10, 20, 52] == _times(tasks)
    assert [True, True, False] == [one.meets for one in responses(tasks)]
    assert Fraction(247, 300) == utilisation(tasks)


def test_jobs_of_a_busy_window() -> None:
    """Of Lehoczky's example seven jobs are looked at, as only the seventh ends before the next arrives."""
    last = responses(_set((26, 70, 70), (62, 100, 118)))[1]

    assert 7 == last.jobs


def test_blocking_and_jitter() -> None:
    """Blocking delays the task itself; jitter of a more urgent task lets it come once more; own jitter is added."""
    plain = _set((2, 10, 10), (4, 20, 20))
    late = [Task("a", Fraction(2), Fraction(10), Fraction(10), Fraction(5), Fraction(0), 0), plain[1]]
    blocked = _set((2, 10, 10), (4, 20, 20), blocking=3)

    assert [2, 6] == _times(plain)
    assert [7, 8] == _times(late)  # 4 + 2 * ceil((8 + 5) / 10)
    assert [5, 9] == _times(blocked)


def test_more_than_the_processor_has() -> None:
    """Above a utilisation of 1 there is no response time, also with the longest deadline."""
    found = responses(_set((6, 10, 10), (5, 10, 10**9)))

    assert [6, None] == [None if one.response is None else int(one.response) for one in found]
    assert not found[1].meets


def test_equal_ranks_delay_each_other() -> None:
    """Two tasks of one priority are each taken as delayed by the other."""
    tasks = [Task(n, Fraction(2), Fraction(9), Fraction(9), Fraction(0), Fraction(0), 0) for n in "ab"]

    assert [4, 4] == _times(tasks)


def test_little_left() -> None:
    """A tick that takes nearly all of the processor leaves few steps, not a million."""
    tick = Task("tick", Fraction(999_999, 10**6), Fraction(1), Fraction(1), Fraction(0), Fraction(0), 0)
    slow = Task("slow", Fraction(1), Fraction(10**12), Fraction(10**12), Fraction(0), Fraction(0), 1)

    assert [Fraction(999_999, 10**6), 10**6] == [one.response for one in responses([tick, slow])]


def test_endless_steps_are_refused() -> None:
    """A busy window that never ends, at a load of exactly 1 with blocking, ends in a sentence and not in a hang."""
    tasks = _set((1, 2, 2), (1, 2, 10**9), blocking=1)
    with pytest.raises(UnsupportedError) as caught:
        responses(tasks)

    assert "sched.steps" == caught.value.code
    assert "where: task t1" in str(caught.value)


def _simulated(tasks: list[Task], until: int) -> list[int]:
    """Worst responses when all are released together, one unit of time after the other. Whole numbers only."""
    left: list[list[tuple[int, int]]] = [[] for _ in tasks]  # (arrival, work left)
    worst = [0] * len(tasks)
    for now in range(until):
        for number, task in enumerate(tasks):
            if now % int(task.period) == 0:
                left[number].append((now, int(task.wcet)))
        for number, jobs in enumerate(left):
            if jobs:
                arrival, work = jobs[0]
                if work == 1:
                    worst[number] = max(worst[number], now + 1 - arrival)
                    jobs.pop(0)
                else:
                    jobs[0] = (arrival, work - 1)
                break
    return worst


@st.composite
def _small_sets(draw: st.DrawFn) -> list[Task]:
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        period = draw(st.integers(2, 12))
        rows.append((draw(st.integers(1, period)), period, 1000))
    return _set(*rows)


@settings(max_examples=150, deadline=None)
@given(_small_sets())
def test_against_a_simulation(tasks: list[Task]) -> None:
    """Without jitter and blocking the synchronous release is the worst: simulation and recurrence agree."""
    if utilisation(tasks) > 1:
        return
    span = 2 * math.lcm(*(int(task.period) for task in tasks))

    assert _simulated(tasks, span) == _times(tasks)


@settings(max_examples=60, deadline=None)
@given(_small_sets(), st.lists(st.integers(2, 24), min_size=4, max_size=4))
def test_assignment_is_optimal(tasks: list[Task], deadlines: list[int]) -> None:
    """Priorities are found whenever some order of the tasks meets all deadlines."""
    timed = [
        Task(t.name, t.wcet, t.period, Fraction(d), t.jitter, t.blocking, 0)
        for t, d in zip(tasks, deadlines, strict=False)
    ]
    some = any(
        all(one.meets for one in responses([Task(t.name, t.wcet, t.period, t.deadline, t.jitter, t.blocking, rank)
                                            for rank, t in enumerate(order)]))
        for order in permutations(timed)
    )  # fmt: skip
    found = by_audsley([(task, False) for task in timed])

    assert len(timed) == len({task.rank for task in found})
    assert some == all(one.meets for one in responses(found))


FILE = """
priorities = "larger-first"
[[task]]
name = "sample"
interrupt = true
wcet_us = 2.5
period_us = 100
[[task]]
name = "brake"
function = "brake_scores"
calls = 2
wcet_us = 10
period_us = 500
deadline_us = 200
jitter_us = 5
priority = 7
[[task]]
name = "log"
wcet_us = 300
period_us = 1000
blocking_us = 4
priority = 1
"""
BOUNDS = {"brake_scores": Fraction(20)}


def _scheduled(text: str) -> Schedule:
    wanted = parse_tasks(text.encode(), "tasks.toml")
    require_functions(wanted, tuple(BOUNDS))
    return schedule(wanted, BOUNDS)


def test_file() -> None:
    """A file's tasks come out ranked, interrupts first, with the model's bound in their execution time."""
    found = _scheduled(FILE)

    assert ["sample", "brake", "log"] == [task.name for task in found.tasks]
    assert [2.5, 50.0, 300.0] == [task.wcet_us for task in found.tasks]
    assert ["stated", "2 x brake_scores + 10 us", "stated"] == [task.made_of for task in found.tasks]
    assert [2.5, 57.5, 364.0] == [task.response_us for task in found.tasks]
    assert found.schedulable
    assert 0.425 == found.utilisation
    assert "The tasks use 42.50 % of the processor, and each of the 3 meets its deadline." == found.sentence


def test_order_is_as_stated() -> None:
    """Under smaller-first the same numbers turn the order of the tasks, and the interrupt stays first."""
    found = _scheduled(FILE.replace("larger-first", "smaller-first"))

    assert ["sample", "log", "brake"] == [task.name for task in found.tasks]
    assert not found.schedulable
    assert "Not schedulable: brake may take" in found.sentence


def test_assigned() -> None:
    """Assigned priorities put the short deadline before the long one."""
    text = FILE.replace("larger-first", "assign").replace("priority = 7\n", "").replace("priority = 1\n", "")
    found = _scheduled(text)

    assert ["sample", "brake", "log"] == [task.name for task in found.tasks]
    assert [1, 2, 3] == [task.rank for task in found.tasks]
    assert found.schedulable


ONE = 'priorities = "larger-first"\n[[task]]\nname = "a"\nwcet_us = 1\nperiod_us = 10\npriority = 1\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "priorities is missing"),
        ('priorities = "up"', "priorities is 'up'"),
        ('priorities = "assign"', "task must be a list of tables"),
        ('priorities = "assign"\ntask = 3', "task must be a list of tables"),
        ("priorities = [", "no valid TOML"),
        ("\x00", "no valid TOML"),
        (ONE.replace("wcet_us = 1", "wcet_us = nan"), "task[0].wcet_us is NaN"),
        (ONE.replace("wcet_us = 1", "wcet_us = inf"), "task[0].wcet_us is Infinity"),
        (ONE.replace("wcet_us = 1", "wcet_us = -1"), "must be more than 0"),
        (ONE.replace("wcet_us = 1", "wcet_us = 0"), "must be more than 0"),
        (ONE.replace("wcet_us = 1", 'wcet_us = "1"'), "must be a number"),
        (ONE.replace("wcet_us = 1", "wcet_us = true"), "must be a number"),
        (ONE.replace("wcet_us = 1", "wcet_us = 1e999999999"), "at most 1e12"),
        (ONE.replace("wcet_us = 1", "wcet_us = 1e-999999999"), "at most 12 decimal places"),
        (ONE.replace("wcet_us = 1", f"wcet_us = {'9' * 4000}"), "a number beyond 1e12"),
        (ONE.replace("wcet_us = 1", f"wcet_us = {'9' * 9000}"), "no valid TOML"),
        (ONE.replace("wcet_us = 1\n", ""), "task[0].wcet_us is missing"),
        (ONE.replace("period_us = 10\n", ""), "task[0].period_us is missing"),
        (ONE.replace("period_us = 10", "period_us = 0"), "must be more than 0"),
        (ONE.replace("priority = 1\n", ""), "task[0].priority is missing"),
        (ONE.replace("priority = 1", "priority = 1.5"), "must be a whole number"),
        (ONE.replace("priority = 1", "priority = -1"), "must be a whole number"),
        (ONE.replace("larger-first", "assign"), "task[0].priority is given"),
        (ONE.replace('name = "a"', 'name = ""'), "task[0].name is ''"),
        (ONE.replace('name = "a"', 'name = "a\\u001b[2J"'), "one line"),
        (ONE.replace('name = "a"', f'name = "{"x" * 81}"'), "at most 80 characters"),
        (ONE + "calls = 2\n", "calls is given without a function"),
        (ONE + "speed = 2\n", "task[0].speed is not known"),
        (ONE + "interrupt = 1\n", "must be true or false"),
        ("speed = 2\n" + ONE, "speed is not known"),
        (ONE + ONE[ONE.index("[[") :], "'a' stands there twice"),
        (ONE.replace("wcet_us = 1", 'function = "brake_classify"'), "no function of this model"),
        (ONE + ONE[ONE.index("[[") :] * 256, "at most 256"),
        ("a = " + "[" * 50_000, "no valid TOML"),
    ],
)  # fmt: skip
def test_hostile_files(text: str, says: str) -> None:
    """A file that makes no sense is refused in one short sentence that names the key."""
    with pytest.raises(UsageError) as caught:
        _scheduled(text)

    assert says in caught.value.what
    assert "sched.tasks" == caught.value.code
    assert caught.value.hint
    assert len(caught.value.what) < 300


def test_too_large() -> None:
    """A file of more than a megabyte is not parsed."""
    with pytest.raises(UsageError) as caught:
        _scheduled("#" * (1 << 20) + "\n")
    assert "more than 1048576 bytes" in caught.value.what
