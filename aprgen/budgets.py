"""What a build lets a model take, bytes and cycles, as the `budget` of AprModel says, compared with what it takes.

Knows the keys and their sentences. Knows nothing of SCons, and measures nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from aprgen.errors import BudgetError, UsageError
from aprgen.target import Target
from aprgen.toolchain import Toolchain
from aprgen.wcet.cores import core_of
from aprgen.wcet.timing import timing_cores

Value = int | float | Mapping[str, int]

_BYTES = ("flash", "ram", "stack")
_TIMES = ("cycles", "deadline_us")  # what needs the analysis of worst-case times
_BOARD = ("clock_mhz", "wait_states", "line_bytes", "text_bytes", "core_options")  # what that analysis is told
FIT = "fit"  # as optimise: the first shape that fits the budget
KEYS = (*_BYTES, *_TIMES, *_BOARD)


@dataclass(frozen=True)
class Budget:
    """limits: bytes of flash, RAM and stack, and cycles. words: what `aprgen wcet` is told; empty without times."""

    limits: Mapping[str, int]
    words: tuple[str, ...] = ()
    has_times: bool = False


@dataclass(frozen=True)
class Bound:
    """The verdict of the analysis: the function that takes longest, its cycles, and the stack of all."""

    function: str
    cycles: int
    stack_bytes: int | None


def bound_of(report: Mapping[str, Any]) -> Bound:
    """From the JSON of `aprgen wcet`, which failed unless there is a bound."""
    verdict = report["verdict"]
    return Bound(verdict["entry"], verdict["cycles"], verdict["stack_bytes"])


def read_budget(budget: Mapping[str, Value]) -> Budget:
    """The budget of a dictionary. UsageError for a key that there is not and a value that means nothing."""
    for key, value in budget.items():
        if key not in KEYS:
            raise _wrong(key, f"unknown budget {key!r}; there are {', '.join(KEYS)}")
        _check_value(key, value)
    has_times = any(key in budget for key in _TIMES)
    if not has_times and (told := [key for key in _BOARD if key in budget]):
        raise _wrong(told[0], f"the budget {told[0]} says nothing alone; give cycles or deadline_us beside it")
    if "deadline_us" in budget and "clock_mhz" not in budget:
        raise _wrong("deadline_us", "the budget deadline_us needs clock_mhz beside it")
    limited = (*_BYTES, "cycles")
    limits = {key: value for key, value in sorted(budget.items()) if key in limited and isinstance(value, int)}
    return Budget(limits, _words(budget), has_times)


def search_words(budget: Mapping[str, Value]) -> tuple[str, ...]:
    """What `aprgen compile` is told to search for code that fits, of a budget that `read_budget` took."""
    limits = dict(read_budget(budget).limits)
    deadline, clock = budget.get("deadline_us"), budget.get("clock_mhz")
    if isinstance(deadline, int | float) and isinstance(clock, int | float):
        cycles = math.floor(Fraction(repr(deadline)) * Fraction(repr(clock)))
        limits["cycles"] = min(cycles, limits.get("cycles", cycles))
    if not limits:
        raise _wrong("optimise", f"optimise = {FIT!r} needs a budget to fit: flash, ram, stack, cycles or deadline_us")
    words = [word for key, value in sorted(limits.items()) for word in (f"--{key}", str(value))]
    board = {key: value for key, value in budget.items() if key in _BOARD and key != "clock_mhz"}
    return (*words, *_words(board))


def _check_value(key: str, value: Value) -> None:
    if key == "core_options":
        if not isinstance(value, Mapping) or not all(type(one) is int and one >= 0 for one in value.values()):
            raise _wrong(key, f"the budget {key} is {value!r}; it must be names and whole numbers")
    elif key in ("clock_mhz", "deadline_us"):
        if type(value) not in (int, float) or not (isinstance(value, int | float) and 0 < value < math.inf):
            raise _wrong(key, f"the budget {key} is {value!r}; it must be a number above 0")
    elif type(value) is not int or value < 0:
        what = {"cycles": "cycles", "wait_states": "wait states"}.get(key, "bytes")
        raise _wrong(key, f"the budget {key} is {value!r}; it must be a number of {what}")


def _words(budget: Mapping[str, Value]) -> tuple[str, ...]:
    words: list[str] = []
    for key in ("clock_mhz", "deadline_us", "wait_states", "line_bytes", "text_bytes"):
        if key in budget:
            words += [f"--{key.replace('_', '-')}", str(budget[key])]
    options = budget.get("core_options", {})
    assert isinstance(options, Mapping)
    for name, number in sorted(options.items()):
        words += ["--core-option", f"{name}={number}"]
    return tuple(words)


def require_times(target: Target, toolchain: Toolchain) -> None:
    """UsageError where aprgen bounds no time: a budget of it could never be kept."""
    core = core_of(toolchain)
    if core in timing_cores() and toolchain.rule.marks:
        return
    cores = ", ".join(timing_cores())
    why = f"{toolchain.name}" if core in timing_cores() else f"target {target.name}"
    raise _wrong("cycles", f"a budget of time needs a bound, which aprgen gives for {cores} with gcc, not for {why}")


def check_budget(name: str, target: Target, needs: Mapping[str, int], budget: Budget, bound: Bound | None) -> None:
    """BudgetError that names all that miss at once: correcting one after the other would take a build each."""
    missed = []
    for key, limit in budget.limits.items():
        if key == "cycles":
            assert bound is not None
            needed, what = bound.cycles, f"up to {bound.cycles} cycles in {bound.function}"
        else:
            needed, what = needs[key], f"{needs[key]} bytes of {key}"
        if needed > limit:
            missed.append((key, f"{what}, the budget is {limit}"))
    if missed:
        raise BudgetError(
            f"budget.{missed[0][0]}",
            f"{name} needs {'; '.join(sentence for _, sentence in missed)}",
            where=f"AprModel {name}, target {target.name}",
            hint="train a smaller model, choose another target, or raise the budget in the SConstruct",
        )


def checks(macro: str, budget: Budget) -> str:
    """Preprocessor lines for behind NAME_wcet.h: code that includes it for other budgets does not compile."""
    there = {"cycles": "WCET_CYCLES", "stack": "STACK_BYTES", "flash": "FLASH_BYTES"}
    lines = ["", "/* The budgets of the build. */"]
    for key, what in there.items():
        if key in budget.limits:
            limit = budget.limits[key]
            lines += [
                f"#if defined({macro}_{what}) && ({macro}_{what} > {limit}UL)",
                f'#error "{macro}_{what} is over its budget of {limit}"',
                "#endif",
            ]
    return "\n".join(lines) + "\n" if len(lines) > 2 else ""


def _wrong(key: str, what: str) -> UsageError:
    return UsageError("budget.key", what, where=f"budget {key}", hint="correct the dictionary")
