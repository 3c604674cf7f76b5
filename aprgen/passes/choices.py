"""Strategies for blocks of rows that somebody has chosen: by measuring, by costs that were learned, or to compare them.

Knows the names of the forms and the numbers of a block; the passes for wide targets do what is chosen here, and choose
the rest by cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from aprgen.costs import BatchCost, FloatCost
from aprgen.errors import UnsupportedError

TreeForm = Literal["levels", "permuted", "staged", "walked", "floats", "rows"]  # "rows": one by one
SumForm = Literal["panels", "lanes"]
TREE_FORMS: tuple[TreeForm, ...] = get_args(TreeForm)
SUM_FORMS: tuple[SumForm, ...] = get_args(SumForm)


@dataclass(frozen=True)
class Choices:
    """None: by cost, or as the target says.

    trees: for all trees. sums: for each layer that sums floats, in order; () keeps such a model row by row. rows: of a
    block of sums, a multiple of 16; kernels of trees are written for the rows that the target states. few_rows: fewer
    take the way for few rows. tile_rows, tile_panels: of a tile of sums that are not fused.
    """

    trees: TreeForm | None = None
    sums: tuple[SumForm, ...] | None = None
    rows: int | None = None
    few_rows: int | None = None
    tile_rows: int | None = None
    tile_panels: int | None = None

    def applied(self, cost: BatchCost) -> BatchCost:
        """The target's numbers with those that are chosen of blocks."""
        rows = cost.rows if self.rows is None else self.rows
        few_rows = cost.few_rows if self.few_rows is None else self.few_rows
        return replace(cost, rows=rows, few_rows=min(few_rows, rows))

    def tiled(self, floats: FloatCost) -> FloatCost:
        """The target's numbers with those that are chosen of tiles."""
        tile_rows = floats.tile_rows if self.tile_rows is None else self.tile_rows
        tile_panels = floats.tile_panels if self.tile_panels is None else self.tile_panels
        return replace(floats, tile_rows=tile_rows, tile_panels=tile_panels)


BY_COST = Choices()


def no_such_form(form: str, what: str) -> UnsupportedError:
    """A form is chosen that the target or these trees or layers do not have."""
    return UnsupportedError(
        "strategy.form", f"{what} cannot be computed in the form {form!r} on this target", where="the chosen strategy",
        hint="measure again with `aprgen tune`, or let the costs choose",
    )  # fmt: skip
