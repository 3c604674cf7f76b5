"""Values of one input word against the arithmetic of 32-bit integers and floats, pattern by pattern."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprgen.wcet import words
from aprgen.wcet.words import (
    END,
    EVERY,
    HALF,
    Patterns,
    Value,
    Word,
    both,
    input_word,
    together,
    where,
    where_float,
    without,
)
from aprgen.wcet.worst_row import bits_at, in_order

MASK = END - 1
SPECIAL = (
    0,
    1,
    2,
    5,
    0x3F800000,
    0x7F7FFFFF,
    0x7F800000,
    0x7F800001,
    HALF - 1,
    HALF,
    HALF + 1,
    0xBF800000,
    0xFF800000,
    MASK,
)
numbers = st.sampled_from(SPECIAL) | st.integers(0, MASK)
Function = Callable[[int], int]


def signed(value: int) -> int:
    return value - END if value >= HALF else value


def at(value: Value, pattern: int) -> int:
    """What the value is for an input."""
    if isinstance(value, int):
        return value
    assert value is not None
    ((factor, offset),) = [(f, o) for first, last, f, o in value.pieces if first <= pattern <= last]
    return factor * pattern + offset


def holds(found: bool | tuple[int, Patterns] | None, pattern: int) -> bool:
    assert found is not None
    return found if isinstance(found, bool) else any(first <= pattern <= last for first, last in found[1])


@st.composite
def computed(draw: st.DrawFn) -> tuple[Value, Function]:
    """A value made by up to five operations, and the same in Python's integers."""
    values: list[tuple[Value, Function]] = [(input_word(0), lambda p: p)]
    for _ in range(draw(st.integers(0, 5))):
        one, f = draw(st.sampled_from(values))
        other, g = draw(st.sampled_from(values))
        c, by = draw(numbers), draw(st.sampled_from((1, 2, 3, 23, 31)))
        mask = draw(st.sampled_from((0, 1, HALF - 1, HALF, 0x7F800000, 0xFFFFFFFE, 0xC0000000, MASK)))
        made: tuple[Value, Function]
        match draw(st.integers(0, 10)):
            case 0:
                made = words.add(one, c), lambda p, f=f, c=c: (f(p) + c) & MASK
            case 1:
                made = words.subtract(c, one), lambda p, f=f, c=c: (c - f(p)) & MASK
            case 2:
                made = words.inverted(one), lambda p, f=f: MASK ^ f(p)
            case 3:
                made = words.shifted_left(one, by), lambda p, f=f, by=by: (f(p) << by) & MASK
            case 4:
                made = words.shifted_right(one, by, signed=False), lambda p, f=f, by=by: f(p) >> by
            case 5:
                made = words.shifted_right(one, by, signed=True), lambda p, f=f, by=by: (signed(f(p)) >> by) & MASK
            case 6:
                made = words.masked(one, mask), lambda p, f=f, m=mask: f(p) & m
            case 7:
                made = words.exclusive(one, mask), lambda p, f=f, m=mask: f(p) ^ m
            case 8:
                made = words.joined(one, mask), lambda p, f=f, m=mask: f(p) | m
            case 9:
                made = words.subtract(one, other), lambda p, f=f, g=g: (f(p) - g(p)) & MASK
            case _:
                made = words.masked(one, other), lambda p, f=f, g=g: f(p) & g(p)
        if made[0] is not None:
            values.append(made)
    return values[-1]


@given(one=computed(), patterns=st.lists(numbers))
def test_arithmetic(one: tuple[Value, Function], patterns: list[int]) -> None:
    """A value is what integers of 32 bits give, for every input."""
    for pattern in (*SPECIAL, *patterns):
        assert one[1](pattern) == at(one[0], pattern)


CONDITIONS: dict[str, Callable[[int, int], bool]] = {
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "hs": lambda a, b: a >= b, "lo": lambda a, b: a < b,
    "hi": lambda a, b: a > b, "ls": lambda a, b: a <= b, "ge": lambda a, b: signed(a) >= signed(b),
    "lt": lambda a, b: signed(a) < signed(b), "gt": lambda a, b: signed(a) > signed(b),
    "le": lambda a, b: signed(a) <= signed(b),
}  # fmt: skip


@given(one=computed(), other=computed(), constant=numbers, condition=st.sampled_from(sorted(CONDITIONS)))
def test_comparisons(one: tuple[Value, Function], other: tuple[Value, Function], constant: int, condition: str) -> None:
    """A comparison holds for exactly the inputs for which it does in integers, also next to where it turns."""
    fixed: tuple[Value, Function] = (constant, lambda p: constant)
    for left, right in ((one, fixed), (fixed, one), (one, other)):
        found = where(left[0], right[0], condition)
        ends = [] if isinstance(found, bool) or found is None else [end for span in found[1] for end in span]
        for pattern in {*SPECIAL, *(max(0, min(MASK, end + d)) for end in ends for d in (-1, 0, 1))}:
            assert CONDITIONS[condition](left[1](pattern), right[1](pattern)) == holds(found, pattern)


def number(bits: int) -> float:
    (value,) = struct.unpack("<f", struct.pack("<I", bits))
    return float(value)


FLOAT_CONDITIONS: dict[str, Callable[[float, float], bool]] = {
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "ls": lambda a, b: a <= b, "mi": lambda a, b: a < b,
    "ge": lambda a, b: a >= b, "gt": lambda a, b: a > b, "hi": lambda a, b: not a <= b, "pl": lambda a, b: not a < b,
    "lt": lambda a, b: not a >= b, "le": lambda a, b: not a > b, "vs": lambda a, b: a != a or b != b,
    "vc": lambda a, b: a == a and b == b,
}  # fmt: skip


@given(constant=numbers, patterns=st.lists(numbers), condition=st.sampled_from(sorted(FLOAT_CONDITIONS)))
def test_comparisons_of_floats(constant: int, patterns: list[int], condition: str) -> None:
    """After a comparison of floats, conditions hold as IEEE 754 says, NaNs and zeros included, on either side."""
    near = [max(0, min(MASK, constant + d)) for d in (-1, 0, 1)]
    for pattern in (*SPECIAL, *near, *patterns):
        for sides in ((pattern, constant), (constant, pattern)):
            expected = FLOAT_CONDITIONS[condition](number(sides[0]), number(sides[1]))
            word = [input_word(0) if side == pattern else side for side in sides]
            if pattern != constant:
                assert expected == holds(where_float(word[0], word[1], condition), pattern)
            assert expected == holds(where_float(*sides, condition), pattern)


@given(spans=st.lists(st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair)))), pattern=numbers)
def test_sets(spans: list[tuple[int, int]], pattern: int) -> None:
    """A set and the rest share nothing and are everything."""
    chosen = together(spans)
    rest = without(EVERY, chosen)

    assert any(first <= pattern <= last for first, last in spans) == holds((0, chosen), pattern)
    assert both(chosen, rest) == ()
    assert together([*chosen, *rest]) == EVERY


def test_too_many_pieces() -> None:
    """A value of very many pieces is any value."""
    assert words.shifted_left(input_word(0), 12) is None
    assert isinstance(words.shifted_left(input_word(0), 3), Word)


@given(pattern=numbers, other=numbers)
def test_order_of_floats(pattern: int, other: int) -> None:
    """Places order floats by size, -0 before +0 and NaNs last, and are turned back to the same bits."""
    ((place, last),) = in_order(((pattern, pattern),))
    ((elsewhere, _),) = in_order(((other, other),))

    assert (place, pattern) == (last, bits_at(place))
    if number(pattern) < number(other) or (number(other) != number(other) and number(pattern) == number(pattern)):
        assert place < elsewhere


@pytest.mark.parametrize("patterns", [EVERY, ((0, HALF - 1),), ((HALF, MASK),), ((0, 0), (HALF, HALF))])
def test_ranges_keep_their_size(patterns: Patterns) -> None:
    """As many places as patterns."""
    assert sum(b - a + 1 for a, b in patterns) == sum(b - a + 1 for a, b in in_order(patterns))
