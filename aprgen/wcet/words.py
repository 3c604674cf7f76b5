"""Values that code computes from one word of its input, exactly: piece by piece a multiple of the word plus a constant.

Knows 32-bit arithmetic and comparisons of such values, of integers and of floats by their bits. Knows no instructions:
an operation whose result has no such form, or too many pieces, gives None, which stands for any value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

END = 1 << 32
HALF = 1 << 31
INFINITY = 0x7F800000
MINUS_INFINITY = 0xFF800000
MAX_PIECES = 600  # an exponent has 512 values with the sign

Span = tuple[int, int]
Patterns = tuple[Span, ...]  # sets of input words: first and last pattern of each run, ascending and apart
EVERY: Patterns = ((0, END - 1),)
NOTHING: Patterns = ()

Line = tuple[int, int]  # factor and offset
Piece = tuple[int, int, int, int]  # first and last pattern, factor, offset; all values are in 0 to 2^32 - 1


@dataclass(frozen=True)
class Word:
    """What was computed from the input word `feature`; it may not be used for patterns outside of the pieces."""

    feature: int
    pieces: tuple[Piece, ...]


Value = int | Word | None


def input_word(feature: int) -> Word:
    return Word(feature, ((0, END - 1, 1, 0),))


def indicator(feature: int, ones: Patterns) -> Value:
    """1 for these patterns, 0 for the others."""
    pieces = [(first, last, 0, 1) for first, last in ones]
    pieces += [(first, last, 0, 0) for first, last in without(EVERY, ones)]
    return _word(feature, sorted(pieces))


# Sets of patterns -----------------------------------------------------------------------------------------------------


def both(one: Patterns, other: Patterns) -> Patterns:
    """The patterns in both sets."""
    if one == EVERY:
        return other
    found = []
    i = j = 0
    while i < len(one) and j < len(other):
        first, last = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if first <= last:
            found.append((first, last))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def without(one: Patterns, other: Patterns) -> Patterns:
    """The patterns of the first set that are not in the second."""
    gaps = []
    at = 0
    for first, last in other:
        if at < first:
            gaps.append((at, first - 1))
        at = last + 1
    if at < END:
        gaps.append((at, END - 1))
    return both(one, tuple(gaps))


def together(spans: list[Span]) -> Patterns:
    """The patterns in any of the spans."""
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


# Arithmetic -----------------------------------------------------------------------------------------------------------


def add(one: Value, other: Value) -> Value:
    return _combined(one, other, lambda a, b: (a[0] + b[0], a[1] + b[1]))


def subtract(one: Value, other: Value) -> Value:
    return _combined(one, other, lambda a, b: (a[0] - b[0], a[1] - b[1]))


def inverted(one: Value) -> Value:
    """All bits flipped."""
    return subtract(END - 1, one)


def shifted_left(one: Value, by: int) -> Value:
    if by >= 32:
        return None if one is None else 0
    return _combined(one, 0, lambda a, b: (a[0] << by, a[1] << by))


def shifted_right(one: Value, by: int, *, signed: bool) -> Value:
    if isinstance(one, int):
        return ((one - END if signed and one >= HALF else one) >> min(by, 32)) % END
    if one is None or by >= 32:
        return None
    pieces: list[Piece] = []
    for first, last, factor, offset in one.pieces:
        for low, high, shift in _halves(first, last, factor, offset) if signed else ((first, last, 0),):
            run = _quotients(low, high, factor, offset - shift, by)
            if run is None:
                return None
            pieces += [part for one_run in run for part in _wrapped(*one_run)]
    return _word(one.feature, pieces)


def masked(one: Value, mask: Value) -> Value:
    """Bits in both. Of masks, only unbroken runs of bits keep the form."""
    if isinstance(one, int) and isinstance(mask, int):
        return one & mask
    if isinstance(one, int):
        one, mask = mask, one
    if isinstance(one, Word) and isinstance(mask, Word):
        return _by_pieces(one, mask, masked)
    if mask == 0:
        return 0
    if not isinstance(one, Word) or not isinstance(mask, int):
        return None
    if mask & (mask + 1) == 0:  # the lowest bits
        return _modulo(one, mask + 1)
    lowest = mask & -mask
    if (mask + lowest) & mask:
        return None
    kept = masked(one, mask + lowest - 1)
    return subtract(kept, _modulo(kept, lowest)) if isinstance(kept, Word) else kept


def joined(one: Value, other: Value) -> Value:
    """Bits in either."""
    if isinstance(one, int) and isinstance(other, int):
        return one | other
    if isinstance(one, int):
        one, other = other, one
    if isinstance(one, Word) and isinstance(other, Word):
        return _by_pieces(one, other, joined)
    if other == 0:
        return one
    if other == END - 1:
        return END - 1
    return add(masked(one, END - 1 - other), other) if isinstance(other, int) else None


def exclusive(one: Value, other: Value) -> Value:
    """Bits in one of both."""
    if isinstance(one, int) and isinstance(other, int):
        return one ^ other
    if isinstance(one, int):
        one, other = other, one
    if isinstance(one, Word) and isinstance(other, Word):
        return _by_pieces(one, other, exclusive)
    if other == 0:
        return one
    if other == END - 1:
        return inverted(one)
    if other == HALF:
        return add(one, HALF)
    return add(inverted(one), HALF) if other == HALF - 1 else None


def _combined(one: Value, other: Value, operation: Callable[[Line, Line], Line]) -> Value:
    if isinstance(one, int) and isinstance(other, int):
        return operation((0, one), (0, other))[1] % END
    pieces: list[Piece] = []
    refined = _refined(one, other)
    if refined is None:
        return None
    feature, parts = refined
    for first, last, left, right in parts:
        for piece in _wrapped(first, last, *operation(left, right)):
            pieces.append(piece)
            if len(pieces) > 4 * MAX_PIECES:
                return None
    return _word(feature, pieces)


def _by_pieces(one: Word, other: Word, operation: Callable[[Value, Value], Value]) -> Value:
    """An operation that needs a constant, where on every piece one of both is constant."""
    refined = _refined(one, other)
    if refined is None:
        return None
    pieces: list[Piece] = []
    for first, last, left, right in refined[1]:
        parts = [value[1] if value[0] == 0 else Word(one.feature, ((first, last, *value),)) for value in (left, right)]
        if all(isinstance(part, Word) for part in parts):
            return None
        result = operation(parts[0], parts[1])
        if result is None:
            return None
        pieces += result.pieces if isinstance(result, Word) else [(first, last, 0, result)]
    return _word(one.feature, pieces)


def _refined(one: Value, other: Value) -> tuple[int, list[tuple[int, int, Line, Line]]] | None:
    """Both on common pieces; None when they do not depend on the same word."""
    if isinstance(one, Word) and isinstance(other, Word):
        if one.feature != other.feature:
            return None
        parts = []
        i = j = 0
        while i < len(one.pieces) and j < len(other.pieces):
            a, b = one.pieces[i], other.pieces[j]
            first, last = max(a[0], b[0]), min(a[1], b[1])
            if first <= last:
                parts.append((first, last, a[2:], b[2:]))
            if a[1] < b[1]:
                i += 1
            else:
                j += 1
        return one.feature, parts
    if isinstance(one, Word) and isinstance(other, int):
        return one.feature, [(first, last, (f, o), (0, other)) for first, last, f, o in one.pieces]
    if isinstance(one, int) and isinstance(other, Word):
        return other.feature, [(first, last, (0, one), (f, o)) for first, last, f, o in other.pieces]
    return None


def _wrapped(first: int, last: int, factor: int, offset: int) -> Iterator[Piece]:
    """The line modulo 2^32, cut where it wraps."""
    if factor == 0:
        yield first, last, 0, offset % END
        return
    while first <= last:
        wraps = (factor * first + offset) // END
        # The last pattern of this turn.
        end = ((wraps + 1) * END - 1 - offset) // factor if factor > 0 else (offset - wraps * END) // -factor
        yield first, min(last, end), factor, offset - wraps * END
        first = end + 1


def _quotients(first: int, last: int, factor: int, offset: int, by: int) -> list[Piece] | None:
    """The line divided by 2^by, rounded down."""
    if factor % (1 << by) == 0:
        return [(first, last, factor >> by, offset >> by)]
    ends = [(factor * pattern + offset) >> by for pattern in (first, last)]
    if abs(ends[1] - ends[0]) >= MAX_PIECES:
        return None
    pieces = []
    while first <= last:
        quotient = (factor * first + offset) >> by
        end = (((quotient + 1) << by) - 1 - offset) // factor if factor > 0 else (offset - (quotient << by)) // -factor
        pieces.append((first, min(last, end), 0, quotient))
        first = end + 1
    return pieces


def _modulo(one: Word, divisor: int) -> Value:
    """The remainder by a power of two."""
    pieces: list[Piece] = []
    for first, last, factor, offset in one.pieces:
        while first <= last:
            turns = (factor * first + offset) // divisor
            if factor == 0:
                end = last
            elif factor > 0:
                end = ((turns + 1) * divisor - 1 - offset) // factor
            else:
                end = (offset - turns * divisor) // -factor
            pieces.append((first, min(last, end), factor, offset - turns * divisor))
            first = end + 1
            if len(pieces) > MAX_PIECES:
                return None
    return _word(one.feature, pieces)


def _halves(first: int, last: int, factor: int, offset: int) -> Iterator[tuple[int, int, int]]:
    """The piece cut where the value passes 2^31, and what to take off for the value as a signed number."""
    while first <= last:
        upper = factor * first + offset >= HALF
        if factor == 0:
            end = last
        elif factor > 0:
            end = last if upper else (HALF - 1 - offset) // factor
        else:
            end = (offset - HALF) // -factor if upper else last
        yield first, min(last, end), END if upper else 0
        first = end + 1


def _word(feature: int, pieces: list[Piece]) -> Value:
    """A value of these pieces, neighbours on the same line as one."""
    merged: list[Piece] = []
    for piece in pieces:
        if merged and merged[-1][1] + 1 == piece[0] and merged[-1][2:] == piece[2:]:
            merged[-1] = (merged[-1][0], *piece[1:])
        else:
            merged.append(piece)
    if len(merged) > MAX_PIECES or not merged:
        return None
    if len(merged) == 1 and merged[0][2] == 0 and merged[0][:2] == (0, END - 1):
        return merged[0][3]
    return Word(feature, tuple(merged))


def alternatives(parts: list[tuple[Patterns, Value]], feature: int) -> Value:
    """The value that is the first part's on its patterns, and so on; the sets of patterns must be apart."""
    pieces: list[Piece] = []
    for patterns, value in parts:
        if isinstance(value, Word) and value.feature == feature:
            lines = value.pieces
        elif isinstance(value, int):
            lines = ((0, END - 1, 0, value),)
        else:
            return None
        for first, last, factor, offset in lines:
            pieces += [(low, high, factor, offset) for low, high in both(((first, last),), patterns)]
    return _word(feature, sorted(pieces))


# Comparisons ----------------------------------------------------------------------------------------------------------

_SIGNED = {"lt": "lo", "ge": "hs", "gt": "hi", "le": "ls"}


def where(one: Value, other: Value, condition: str) -> bool | tuple[int, Patterns] | None:
    """For which patterns of which word a comparison of integers holds: eq, ne, hs, lo, hi, ls, ge, lt, gt, le."""
    if isinstance(one, int) and isinstance(other, int):
        return bool(_holding(0, 0, (0, one), (0, other), condition))
    refined = _refined(one, other)
    if refined is None:
        return None
    spans = [span for part in refined[1] for span in _holding(*part, condition)]
    return refined[0], together(spans)


def _holding(first: int, last: int, left: Line, right: Line, condition: str) -> list[Span]:
    """Where the comparison of two lines holds."""
    if condition not in _SIGNED:
        return _ordered(first, last, left[0] - right[0], left[1] - right[1], condition)
    spans = []
    for low, high, off_left in _halves(first, last, *left):
        for begin, end, off_right in _halves(low, high, *right):
            difference = left[1] - off_left - right[1] + off_right
            spans += _ordered(begin, end, left[0] - right[0], difference, _SIGNED[condition])
    return spans


def _ordered(first: int, last: int, factor: int, offset: int, condition: str) -> list[Span]:
    """Where factor * pattern + offset, a difference, is zero, at least zero, and so on."""
    if condition == "ne":
        return list(without(((first, last),), tuple(_ordered(first, last, factor, offset, "eq"))))
    if condition in ("lo", "ls"):  # the negated difference: above zero, at least zero
        return _ordered(first, last, -factor, -offset, "hi" if condition == "lo" else "hs")
    if condition == "hi":
        return _ordered(first, last, factor, offset - 1, "hs")
    if factor == 0:
        return [(first, last)] if (offset == 0 if condition == "eq" else offset >= 0) else []
    if condition == "eq":
        pattern, rest = divmod(-offset, factor)
        return [(pattern, pattern)] if rest == 0 and first <= pattern <= last else []
    low, high = (-(offset // factor), last) if factor > 0 else (first, offset // -factor)
    return [(max(first, low), min(last, high))] if max(first, low) <= min(last, high) else []


# How a comparison of floats can end, by the condition that it is tested for.
_FLOAT_ENDS = {
    "eq": "=", "ne": "<>?", "hs": "=>?", "cs": "=>?", "lo": "<", "cc": "<", "mi": "<", "pl": "=>?", "vs": "?",
    "vc": "<=>", "hi": ">?", "ls": "<=", "ge": "=>", "lt": "<?", "gt": ">", "le": "<=?",
}  # fmt: skip


def where_float(one: Value, other: Value, condition: str) -> bool | tuple[int, Patterns] | None:
    """As where(), for floats: only input words as they are, and constants."""
    swapped = isinstance(one, int) and not isinstance(other, int)
    word, constant = (other, one) if swapped else (one, other)
    ends = _FLOAT_ENDS.get(condition)
    if ends is None or not isinstance(constant, int) or word is None:
        return None
    if isinstance(word, int):
        outcome = next(end for end, patterns in _against(constant).items() if both(((word, word),), patterns))
        return outcome in ends
    if any(piece[2:] != (1, 0) for piece in word.pieces):
        return None
    turned = {"<": ">", ">": "<"} if swapped else {}
    found = _against(constant)
    return word.feature, together([span for end in ends for span in found[turned.get(end, end)]])


@cache
def _against(constant: int) -> dict[str, Patterns]:
    """The floats that are less than a float, equal, greater and not comparable, by their bits."""
    nan = ((INFINITY + 1, HALF - 1), (MINUS_INFINITY + 1, END - 1))
    if both(((constant, constant),), nan):
        return {"<": NOTHING, "=": NOTHING, ">": NOTHING, "?": EVERY}
    if constant & (HALF - 1) == 0:
        less: list[Span] = [(HALF + 1, MINUS_INFINITY)]
        equal: list[Span] = [(0, 0), (HALF, HALF)]
    elif constant < HALF:
        less = [(0, constant - 1), (HALF, MINUS_INFINITY)]
        equal = [(constant, constant)]
    else:
        less = [(constant + 1, MINUS_INFINITY)] if constant < MINUS_INFINITY else []
        equal = [(constant, constant)]
    rest = without(EVERY, together([*less, *equal, *nan]))
    return {"<": together(less), "=": together(equal), ">": rest, "?": nan}
