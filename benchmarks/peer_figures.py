"""What the comparison with other generators measures of one form of a model. Knows nothing of how."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """What one form of one model takes on one core.

    agree: share of labels that are the library's, edge: the same on rows at thresholds. error: the largest of values
    without labels, largest: the largest value. exact: as aprgen's own Program, bit for bit; None of others.
    """

    model: str
    core: str
    tool: str
    form: str
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int
    mean: float
    most: int
    agree: float | None
    edge: float | None
    error: float | None
    largest: float
    exact: bool | None
