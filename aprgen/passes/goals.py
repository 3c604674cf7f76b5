"""What a choice of code can serve: little flash, few instructions of most rows, or few of the worst row."""

from __future__ import annotations

from typing import Literal, get_args

Goal = Literal["size", "mean", "wcet"]
GOALS: tuple[Goal, ...] = get_args(Goal)
