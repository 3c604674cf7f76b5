"""What the comparison with other generators measures of one form of a model. Knows nothing of how."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Bound:
    """Of any input, by the analysis of `aprgen wcet`. cycles: None where no time of the core is known.

    refused: why there is no bound.
    """

    instructions: int | None
    cycles: int | None
    stack_bytes: int | None
    refused: str = ""


@dataclass(frozen=True)
class Figures:
    """What one form of one model takes on one core.

    agree: share of labels that are the library's, edge: the same on rows at thresholds. error: the largest of values
    without labels, largest: the largest value. exact: as aprgen's own Program, bit for bit; None of others.
    bound: None where it was not asked for, as of others' code. built: the image, while it is there.
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
    bound: Bound | None = None
    built: Any = field(default=None, repr=False, compare=False)

    @property
    def most_stack(self) -> int:
        """Bytes: the bound, where there is one, else what runs wrote."""
        stated = None if self.bound is None else self.bound.stack_bytes
        return self.stack_bytes if stated is None else max(stated, self.stack_bytes)

    @property
    def contradicted(self) -> bool:
        """Whether a run took more than the bound: then the bound is wrong."""
        bound = self.bound
        if bound is None:
            return False
        seen = ((self.most, bound.instructions), (self.stack_bytes, bound.stack_bytes))
        return any(stated is not None and most > stated for most, stated in seen)


def facts_of(one: Figures) -> dict[str, object]:
    """For JSON: all but the image."""
    return {name: value for name, value in asdict(one).items() if name != "built"}
