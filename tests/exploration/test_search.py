"""The search for code that fits: what is tried, in which order, and the nearest miss when nothing fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import aprgen
from aprgen.accuracy import Calibration
from aprgen.errors import BudgetError, UsageError
from aprgen.exploration import Bound, Choice, Subject, Taken
from aprgen.loaded import load_model
from aprgen.rows import random_rows
from aprgen.search import AUTO, misses_of, require_limits, search
from aprgen.target import load_target
from tests.examples import PATHS, loaded

M4 = "cortex-m4"
BOUND = Bound(7, None, 9, "cycles")
TAKEN = Taken(Choice("f32", None), (), (), 100, None, 8, 24, True, 5.0, 6, "instructions", BOUND, "", 0, "")
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits.apr"


def subject(name: str, target: str = M4, *, rows: bool = False) -> Subject:
    given = Calibration(random_rows(loaded(name).model.lower(), 100).values, "random rows") if rows else None
    return Subject(loaded(name), load_target(target), name, given, witness_seconds=1.0)


@pytest.mark.parametrize(
    ("limits", "missed"),
    [
        ({"flash": 100, "ram": 32, "stack": 24, "cycles": 9}, []),
        ({"flash": 99, "ram": 31, "stack": 23, "cycles": 8}, ["flash", "ram", "stack", "cycles"]),
        ({"ram": 31}, ["ram"]),
    ],
)
def test_limits_are_the_most_allowed(limits: dict[str, int], missed: list[str]) -> None:
    """What is as large as its limit fits; RAM is variables and stack; cycles are those of the dearest function."""
    assert missed == [miss.limit for miss in misses_of(TAKEN, limits)]


@pytest.mark.parametrize("bound", [None, Bound(1, None, 1, "instructions")])
def test_no_bound_keeps_no_limit(bound: Bound | None) -> None:
    """Where no time is bounded, a limit of cycles is missed, however large it is."""
    (miss,) = misses_of(replace(TAKEN, bound=bound, no_bound="division"), {"cycles": 10**9})

    assert miss.needed is None
    assert "division" in miss.sentence


def test_the_first_that_fits(require_target: Callable[[str], None]) -> None:
    """Shapes are tried until one fits, the asked one first; nothing is built after that."""
    require_target(M4)
    digits = replace(subject("rfc"), loaded=load_model(DIGITS.read_bytes()))
    wide = search(digits, {"flash": 10**6}, "f32", None)
    none = search(digits, {"flash": 0}, "f32", None)
    sizes = {one.taken.choice.optimise: one.taken.flash_bytes for one in none.tried}
    smallest = min(sizes.values())
    tight = search(digits, {"flash": smallest}, "f32", None)

    assert [one.taken.choice.words for one in wide.tried] == ["f32"]
    assert smallest < sizes[None]
    assert tight.fitting().manifest["options"]["optimise"] is not None  # type: ignore[index]
    assert [bool(one.misses) for one in tight.tried] == [True] * (len(tight.tried) - 1) + [False]


def test_the_asked_shape_comes_first(require_target: Callable[[str], None]) -> None:
    """--optimise says where the search begins."""
    require_target(M4)
    found = search(subject("rfc"), {"flash": 10**6}, "f32", "packed")

    assert ["f32 --optimise packed"] == [one.taken.choice.words for one in found.tried]


def test_the_nearest_miss(require_target: Callable[[str], None]) -> None:
    """When nothing fits, the error names the choice that is least over, and by what."""
    require_target(M4)
    found = search(subject("rfc"), {"flash": 10}, "f32", None)
    nearest = min(found.tried, key=lambda one: one.taken.flash_bytes).taken
    with pytest.raises(BudgetError) as caught:
        found.fitting()

    assert caught.value.code == "budget.flash"
    assert f"the nearest, {nearest.choice.words}, needs {nearest.flash_bytes:,} bytes of flash" in caught.value.what
    assert "--numeric auto" not in caught.value.hint  # a forest is the same in every mode


def test_auto_goes_on_with_integers(require_target: Callable[[str], None]) -> None:
    """With auto the modes follow, floats first; without it the error says that there are others."""
    require_target("cortex-m0plus")
    kmeans = subject("kmeans", "cortex-m0plus", rows=True)
    floats = search(kmeans, {"cycles": 1}, "f32", None)
    (needed,) = [one.taken.bound.most for one in floats.tried if one.taken.bound is not None]
    found = search(kmeans, {"cycles": needed - 1}, AUTO, None)

    assert [one.taken.choice.numeric for one in found.tried] == ["f32", "s16"]
    assert found.fitting().manifest["options"]["numeric"] == "s16"  # type: ignore[index]
    with pytest.raises(BudgetError) as caught:
        floats.fitting()
    assert "--numeric auto" in caught.value.hint


def test_auto_without_rows_asks_for_them(require_target: Callable[[str], None]) -> None:
    """Integer modes that need rows are not tried without; the error says what would have them tried."""
    require_target("cortex-m0plus")
    floats = search(subject("kmeans", "cortex-m0plus"), {"flash": 1}, AUTO, None)
    every = search(subject("kmeans", "cortex-m0plus", rows=True), {"flash": 1}, AUTO, None)
    with pytest.raises(BudgetError) as without:
        floats.fitting()
    with pytest.raises(BudgetError) as with_rows:
        every.fitting()

    assert {one.taken.choice.numeric for one in floats.tried} == {"f32"}
    assert "--numeric auto --calibrate ROWS" in without.value.hint
    assert "--calibrate" not in with_rows.value.hint


def test_stack_is_bounded(require_target: Callable[[str], None]) -> None:
    """A limit of the stack is compared with a bound of it where there is one."""
    require_target(M4)
    found = search(subject("rfc"), {"stack": 10_000}, "f32", None)

    assert found.tried[0].taken.stack_is_bound
    assert (found.tried[0].taken.stack_bytes or 0) > 0


def test_cycles_need_a_core_with_times(require_target: Callable[[str], None]) -> None:
    """A limit of cycles is refused at once where no bound of time exists."""
    require_target("cortex-m7")
    with pytest.raises(UsageError, match="no bound of time"):
        search(subject("rfc", "cortex-m7"), {"cycles": 100}, "f32", None)


@pytest.mark.parametrize("budget", [{"flash": -1}, {"flash": 1.5}, {"flash": True}, {"rom": 10}])
def test_budgets_that_mean_nothing(budget: dict[str, object]) -> None:
    """Only whole numbers of the four limits are budgets."""
    with pytest.raises(UsageError):
        require_limits(budget)


def test_the_python_interface(require_target: Callable[[str], None]) -> None:
    """aprgen.compile takes a budget and gives the code that fits, or the error."""
    require_target(M4)
    artifact = aprgen.compile(PATHS["rfc"], target=M4, budget={"flash": 10**6})

    assert artifact.manifest["options"] == {"name": "rfc", "numeric": "f32", "optimise": None}
    with pytest.raises(BudgetError):
        aprgen.compile(PATHS["rfc"], target=M4, budget={"flash": 1})
