"""Part of the wide integers pass: the forms of what stands between sums of codes, and before and after them, for blocks
of rows. Knows no target by name and no C."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

from aprgen.costs import FloatCost, IntegerForm
from aprgen.ops import wide_maps
from aprgen.ops.decide import Argmax, Argmin
from aprgen.ops.integer import LARGEST, Dequantise, IntegerSoftmax, Interpolate
from aprgen.ops.integer_distance import IntegerGauss, IntegerNeighbours
from aprgen.ops.wide_code_steps import (
    QUAD,
    BlockCodeArgmax,
    BlockCodeNeighbours,
    BlockCodeSoftmax,
    BoundedCodeNeighbours,
    CodeNeighbours,
    InterpolateCodes,
    RowCodeNeighbours,
    block_argmax,
    block_gauss,
    block_softmax,
    code_neighbours,
)
from aprgen.ops.wide_integers import Lay
from aprgen.ops.wide_maps import BlockArgmax
from aprgen.ops.wide_points import RowTiles, counted_members
from aprgen.program import Op, PadsRows

KERNELS = (
    "interpolate_codes", "block_neighbours_codes", "block_gauss_codes", "block_softmax_codes", "block_argmax_codes",
    "bounded_neighbours_codes", "row_neighbours_codes", "block_argmax_f32",
)  # fmt: skip
PART = 2  # of the stack for a block, at most, that one step takes for itself


@dataclass(frozen=True)
class CodeSteps:
    """any_rows: those alone that take any number of rows. points: by op, what all forms of neighbours read."""

    floats: FloatCost
    form: IntegerForm
    any_rows: bool = False
    points: Mapping[int, CodeNeighbours] = field(default_factory=dict)

    def of_ops(self, ops: Iterable[Op]) -> CodeSteps:
        """With the points of these."""
        found = {id(op): code_neighbours(op, lay) for op in ops
                 if isinstance(op, IntegerNeighbours) and (lay := self.lay(op)) is not None}  # fmt: skip
        return replace(self, points=found)

    def for_any_rows(self) -> CodeSteps:
        return replace(self, any_rows=True)

    def lay(self, op: Op) -> Lay | None:
        """How codes lie for neighbours and Gaussians; None: it is neither, or has no form for blocks."""
        if self.any_rows or not isinstance(op, IntegerNeighbours | IntegerGauss):
            return None
        words = Lay("i32", op.source, self.form.width, 1, 1)
        if isinstance(op, IntegerGauss):
            return words
        pairs = Lay("i16", op.source, self.form.width, 2, self.form.pair_group)
        in_pairs = op.source == "i8" and op.shift == 0 and pairs.group == 2  # differences fit 16 bits
        whole = pairs.stride(op.points.data.shape[1]) % (2 * QUAD) == 0  # else four words of a row end in the next one
        lay = pairs if in_pairs and whole else words
        return lay if op.largest_sum < LARGEST["i32"] and self._neighbours(op, lay, 1) is not None else None

    def of_laid(self, op: Op, lay: Lay, rows: int) -> Op:
        """The form of what lay() says something of."""
        if isinstance(op, IntegerGauss):
            return block_gauss(op, rows, lay)
        assert isinstance(op, IntegerNeighbours)
        made = self._neighbours(op, lay, rows)
        assert made is not None  # see lay()
        return made

    def _neighbours(self, op: IntegerNeighbours, lay: Lay, rows: int) -> BlockCodeNeighbours | None:
        """With as many rows in a tile as the stack has room for."""
        points = self.points.get(id(op)) or code_neighbours(op, lay)
        own = {one.name: getattr(points, one.name) for one in fields(points)}
        for groups in range(max(1, min(self.floats.most_groups, rows // lay.width)), 0, -1):
            tile_points = min(self.floats.lane_sums // groups, op.n_points)
            form = BlockCodeNeighbours(**own, rows=rows, groups=groups, tile_points=tile_points)
            if PART * form.stack_bytes <= self.form.hidden_bytes:
                return self._bounded(form) or form
        return None

    def _bounded(self, form: BlockCodeNeighbours) -> BoundedCodeNeighbours | None:
        """None: its list is too long, or the stack too small."""
        own = {one.name: getattr(form, one.name) for one in fields(form)}
        made = BoundedCodeNeighbours(**(own | {"groups": 1}), members=counted_members(form.classes, form.n_classes))
        return made if made.unrolled and PART * made.stack_bytes <= self.form.hidden_bytes else None

    def of_row(self, op: Op) -> RowCodeNeighbours | None:
        """The form for one row; None: it has none."""
        points = self.points.get(id(op))
        if points is None or points.n_points < points.width:
            return None
        own = {one.name: getattr(points, one.name) for one in fields(points)}
        vectors = max(1, self.floats.lane_sums // QUAD)
        tiles = RowTiles(points.n_points, points.width, min(vectors, points.n_points // points.width))
        return RowCodeNeighbours(**own, tiles=tiles)

    def curve(self, op: Op, before: Op, rows: int) -> InterpolateCodes | None:
        """Of codes whose rows lie in whole vectors. before: what makes them."""
        lay = Lay("i16", "i16", self.form.width, 2, self.form.pair_group)
        if not isinstance(op, Interpolate) or not isinstance(before, PadsRows):
            return None
        same = before.row_elements == lay.stride(op.size)
        return InterpolateCodes(op.size, rows, lay, op.table, op.error) if same else None

    def decision(self, op: Op, before: Op, rows: int) -> BlockCodeArgmax | None:
        if self.any_rows or not isinstance(op, Argmax | Argmin) or op.element != "i32":
            return None
        stride = _stride(before)
        return None if stride is None else block_argmax(op, rows, self.form.width, stride)

    def shares(self, op: IntegerSoftmax, then: Dequantise, before: Op, rows: int) -> BlockCodeSoftmax | None:
        """As floats, of one scale."""
        stride = _stride(before)
        if self.any_rows or op.element != "i32" or stride is None or not then.uniform or then.offset is not None:
            return None
        made = block_softmax(op, float(then.scale.data[0]), rows, self.form.width, stride)
        return made if PART * made.stack_bytes <= self.form.hidden_bytes else None

    def label_of_shares(self, op: Argmax, shares: Op, rows: int) -> BlockArgmax | None:
        """By the floats of the shares, whose order is that of their codes: these have 16 bits."""
        if not isinstance(shares, BlockCodeSoftmax) or shares.scale <= 0:
            return None
        return wide_maps.block_argmax(Argmax("f32", op.size, op.labels, op.last_wins), rows, self.form.width)


def _stride(op: Op) -> int | None:
    """From one row to the next of what an op of a block makes; None: not in whole vectors of four."""
    return op.row_elements if isinstance(op, PadsRows) and op.row_elements % QUAD == 0 else None
