"""What operations and forms of kernels cost on a target, as its file states it: numbers by which passes choose.

Knows names of costs and their units; knows no target and no file.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

ByteCodes = Literal["unsigned", "signed", "none"]  # see IntegerForm


@dataclass(frozen=True)
class Cost:
    """Cycles of the operations between which the strategy pass chooses.

    any_address: words of 32 bits are loaded and stored wherever they begin. last_calls: a call that ends a function is
    a jump, and returns to that function's caller. frame_bytes: of the stack, what the functions of trees take beside a
    row and what they add up, where stack is scarce; None: it is not.
    """

    float_compare: int
    integer_compare: int
    float_to_key: int
    any_address: bool = False
    last_calls: bool = False
    frame_bytes: int | None = None


_FUSED_ALONE = ("column", "total", "nearest_vectors", "coded", "coded_lane")


@dataclass(frozen=True)
class FusedCost:
    """Of FloatCost what is another where products are added with one rounding; and, for a column and output, `column`:
    of vectors of columns, and for an output of any number of them `total`: of adding up a vector. nearest_vectors:
    of sums and of columns in a tile that screens points; 0: there is no kernel for it. coded and coded_lane: as turned
    and lane, where points are screened by products of codes; 0: there is no kernel for it."""

    tile_rows: int
    tile_panels: int
    lane_sums: int
    most_groups: int
    panel: int
    lane: int
    turned: int
    square_panel: int
    square_lane: int
    column: int
    total: int
    turned_eight: int = 0
    nearest_vectors: int = 0
    coded: int = 0
    coded_lane: int = 0


@dataclass(frozen=True)
class FloatCost:
    """Sums of floats for blocks of rows, in cycles for 1,000 rows and a column.

    width: floats of a vector. tile_rows and tile_panels: of a tile, so that its sums stay in registers. lane_sums:
    vectors of sums that rows in lanes run at once, of at most most_groups rows of vectors. turned_eight: up to so many
    leave registers for eight columns that are turned at once, in place of four; 0: there is no kernel for it.
    hidden_bytes: of the stack that a block may take between layers. panel: of a vector of outputs. lane: of an output,
    rows in lanes, which takes `turned` before. square_panel and square_lane: the same for distances.
    """

    width: int
    tile_rows: int
    tile_panels: int
    lane_sums: int
    most_groups: int
    hidden_bytes: int
    panel: int
    lane: int
    turned: int
    square_panel: int
    square_lane: int
    turned_eight: int = 0
    fused: FusedCost | None = None

    @property
    def when_fused(self) -> FloatCost:
        """The same for sums that are fused."""
        own = {field.name: getattr(self.fused, field.name) for field in fields(FusedCost)} if self.fused else {}
        return replace(self, **{name: value for name, value in own.items() if name not in _FUSED_ALONE})


@dataclass(frozen=True)
class IntegerForm:
    """Sums of integers for blocks of rows: how kernels read codes and weights.

    width: sums of a vector. tile_rows and tile_panels: of a tile, so that its sums stay in registers. hidden_bytes: of
    the stack that a block may take between layers. byte_codes: whether codes of 8 bits are multiplied four at once, and
    with which sign; "none": they are widened and taken in pairs, as codes of 16 bits are. byte_group and pair_group:
    neighbouring columns that go into one sum by one instruction. column_total: instructions that add up the lanes of a
    vector; None: there are no kernels with columns in lanes.
    """

    width: int
    tile_rows: int
    tile_panels: int
    hidden_bytes: int
    byte_codes: ByteCodes
    byte_group: int
    pair_group: int
    column_total: int | None = None


@dataclass(frozen=True)
class BatchCost:
    """Kernels for blocks of rows, in cycles for 1,000 rows; None: there is no such kernel.

    rows: of a block. few_rows: of sums with rows in lanes, fewer are computed otherwise; of trees it follows from the
    others. buffer_bytes: of the stack that a block may take for codes; sums_bytes: for sums of outputs, before and
    after a group of trees; None: as many as there are. grouped: codes of 8 bits by permuted thresholds. counted: few
    thresholds one after the other. spans: a search may begin where that of a value's span does. fan: keys
    of a vector. signed: vectors compare bytes with a sign.
    level_rows: of a block of levels where splits give bits of rows, more than `rows`; only splits that are there are
    compared then. bit_rows: of a block where splits read lines of bits, as many as a vector has bits; line_bytes: of
    the stack that these may take. turned_rows: of a block of turned trees. split: passed by one row alone.
    """

    rows: int
    few_rows: int
    buffer_bytes: int
    sums_bytes: int | None
    grouped: bool
    counted: bool
    spans: bool
    fan: int
    signed: bool
    level_rows: int | None
    turned_rows: int | None
    bit_rows: int | None
    line_bytes: int
    split: int
    code: int
    level_tree: int
    level_split: int | None
    bit_split: int | None  # of complete trees, by lines of bits
    permuted_tree: int | None  # by codes of 16 bits
    permuted_bytes: int | None  # a tree, by codes of 8 bits
    turned_tree: int | None  # the same, six levels split by split in many rows at once
    turned_bytes: int | None
    turned_code: int | None  # of 8 bits for six levels, from one of 16 bits
    permuted_row: int | None  # six levels of a tree, or all below, rows one by one and many trees together
    walked_row: int | None  # a split, rows one by one and trees together
    walked_split: int | None
    walked_top: int | None  # the first levels of a tree, in vectors
    walked_lines: int | None  # the same by lines of bits
    floats: FloatCost | None = None
    integers: IntegerForm | None = None
    staged_tree: int | None = None  # its first six levels
    staged_step: int | None = None  # up to four more
    stepped_row: int | None = None  # six levels of a tree, or up to four more, rows and trees one by one
    float_split: int | None = None
    float_row: int | None = None  # a split, rows one by one and trees together
    far_level: int | None = None  # besides, of a tree that is walked, each time its tables double beyond near caches


@dataclass(frozen=True)
class TextCost:
    """Looking up the tokens of a text, in a sorted list or by perfect hashing; the numbers are those of a wide core.

    In cycles: narrowed, of a byte in the sorted list, beside `halving`, of each halving of a span; hashed, of a byte
    that goes into a hash; found, of a hash's string, beside `compared`, of each of its bytes. In bytes of code: what
    the two forms take for single tokens, for n-grams and for contexts of completions. ring_bytes: of the stack that
    the last bytes of a text may take.
    """

    narrowed: int = 8
    halving: int = 12
    hashed: int = 4
    found: int = 25
    compared: int = 2
    sorted_tokens: int = 1500
    hashed_tokens: int = 1490
    sorted_grams: int = 1950
    hashed_grams: int = 1690
    sorted_contexts: int = 4960
    hashed_contexts: int = 5170
    ring_bytes: int = 4096
