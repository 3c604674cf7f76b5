"""Perfect hashing of strings: hash, and displace each bucket of hashes to slots that are free.

After Belazzougui, Botelho and Dietzfelbinger, Hash, displace, and compress, ESA 2009: buckets go in order of size, and
each takes the first displacement that sends its strings to free slots. Displacements are not compressed. Buckets are
the top bits of a product (Dietzfelbinger, Hagerup, Katajainen and Penttonen, A reliable randomized algorithm for the
closest-pair problem, 1997). The evaluation is that of runtime_c/apr_hash.h; knows no text and no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.program import Table

WORD = 0xFFFFFFFF
START = 1  # the hash of no bytes: not 0, so that strings of NUL differ by their length
SPREAD = 0x2C1B3C6D  # odd; multiplies what was displaced. gcc for Armv6-M makes it one multiplication, not shifts
FOLDED = 15  # bits by which a hash is shifted before the mixer: strings of digits make lattices
DISPLACED = 11  # bits by which a displacement is shifted
MOST_STRINGS = 131_071  # what 17 halvings of a span reach, as of the sorted list
MAX_BUCKET = 4  # strings of a bucket, on the average
FEW = 64  # buckets that search a place one by one
CROWDED = 64  # as many are no accident: another mixer may separate them
MAX_DISPLACEMENT = 0xFFFF
NARROW_SLOTS = 1 << 16  # up to here a product of two numbers of 16 bits reaches every slot
TRIES = 4  # multipliers for few strings: one tells 10,000 apart with a chance of 0.99
MORE_TRIES = 32  # for many: one tells 100,000 apart with a chance of 0.3
MANY = 10_000
MIXES = 8

_Words = NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class PerfectHash:
    """A slot for each of a set of strings, no two alike; any other string gets a slot, too.

    The hash of a string is built byte by byte, h = h * multiplier + byte from START on, so that the hash of two strings
    joined follows from theirs. Its bucket is the bits above `shift` of a product with `mixer`.
    """

    multiplier: int  # odd
    mixer: int  # odd
    shift: int  # [15, 31]
    n_slots: int  # at most a 64th more than strings
    displacement: Table  # u8 or u16 [2^(32 - shift)]

    @property
    def is_wide(self) -> bool:
        """Whether slots are more than 16 bits can number."""
        return self.n_slots > NARROW_SLOTS

    def hash(self, string: Iterable[int], start: int = START) -> int:
        """Of bytes behind those that have the hash `start`."""
        for byte in string:
            start = (start * self.multiplier + byte) & WORD
        return start

    def slot(self, hashed: int) -> int:
        mixed = (hashed ^ hashed >> FOLDED) * self.mixer & WORD
        moved = mixed + (int(self.displacement.data[mixed >> self.shift]) << DISPLACED) & WORD
        spread = (moved ^ moved >> 16) * SPREAD & WORD
        return spread * self.n_slots >> 32 if self.is_wide else (spread >> 16) * self.n_slots >> 16


def perfect_hash(strings: Iterable[bytes]) -> tuple[PerfectHash, tuple[bytes, ...]] | None:
    """The hash of distinct strings, and the strings by slot, empty where a slot has none.

    None when there is none to be found: no strings, an empty one, too many, or strings that collide for every
    multiplier, as Thue and Morse's words of 128 letters do. The same strings in any order give the same hash.
    """
    ordered = sorted(set(strings))
    if not 0 < len(ordered) <= MOST_STRINGS or not ordered[0]:
        return None
    for multiplier in _multipliers(TRIES if len(ordered) < MANY else MORE_TRIES):
        hashes = _hashes(ordered, multiplier)
        if len(np.unique(hashes)) == len(ordered):
            return _placed(ordered, hashes, multiplier)
    return None


def _multipliers(at_random: int) -> Iterator[int]:
    """First those that are a shift and an addition, for cores that multiply slowly; then odd numbers at random."""
    yield from ((1 << bits) + 1 for bits in (5, 7, 11, 13))
    number = SPREAD
    for _ in range(at_random):
        number = (number * 1664525 + 1013904223) & WORD
        yield number | 1


def _hashes(strings: Sequence[bytes], multiplier: int) -> _Words:
    """[strings]; byte by byte for all strings that are that long."""
    by_length = sorted(range(len(strings)), key=lambda index: -len(strings[index]))
    lengths = np.array([len(strings[index]) for index in by_length])
    starts = np.cumsum(lengths) - lengths
    text = np.frombuffer(b"".join(strings[index] for index in by_length), np.uint8)
    hashes = np.full(len(strings), START, np.uint32)
    for at in range(int(lengths[0])):
        longer = int(np.searchsorted(-lengths, -at, side="left"))
        hashes[:longer] = hashes[:longer] * np.uint32(multiplier) + text[starts[:longer] + at]
    found = np.empty_like(hashes)
    found[by_length] = hashes
    return found


def _placed(strings: Sequence[bytes], hashes: _Words, multiplier: int) -> tuple[PerfectHash, tuple[bytes, ...]] | None:
    """With the first mixer for which all buckets find a place, in more buckets if need be."""
    n = len(strings)
    n_slots = n + n // 64
    bits = max(1, (-(-n // MAX_BUCKET) - 1).bit_length())
    for more in range(3):
        mixer = SPREAD
        for _ in range(MIXES):
            mixer = (mixer * 1664525 + 1013904223 & WORD) | 1
            shift = 32 - min(bits + more, 17)
            mixed = (hashes ^ hashes >> np.uint32(FOLDED)) * np.uint32(mixer)
            found = _displacements(mixed, shift, n_slots)
            if found is not None:
                slots, displacement = found
                by_slot = [b""] * n_slots
                for string, slot in zip(strings, slots.tolist(), strict=True):
                    by_slot[slot] = string
                kept = np.uint8 if int(displacement.max()) < 1 << 8 else np.uint16
                return PerfectHash(multiplier, mixer, shift, n_slots, Table(displacement, kept)), tuple(by_slot)
    return None


def _displacements(mixed: _Words, shift: int, n_slots: int) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Slots by string and displacements by bucket; None when a bucket finds no place."""
    bucket = (mixed >> np.uint32(shift)).astype(np.int64)
    sizes = np.bincount(bucket, minlength=1 << (32 - shift))
    if int(sizes.max()) >= CROWDED:
        return None
    members = np.argsort(bucket, kind="stable")
    firsts = np.cumsum(sizes) - sizes
    displacement = np.zeros(len(sizes), np.int64)
    slots = np.zeros(len(mixed), np.int64)
    taken, wants = np.zeros(n_slots, bool), np.zeros(n_slots, np.int64)
    for size in range(int(sizes.max()), 0, -1):
        left = np.flatnonzero(sizes == size)
        own = members[firsts[left, None] + np.arange(size)]
        tried = 0
        while len(left) > FEW and tried <= MAX_DISPLACEMENT:
            places = _slots(mixed[own] + np.uint32(tried << DISPLACED), n_slots)
            fits = _first_come(places, taken, wants)
            displacement[left[fits]] = tried
            slots[own[fits]] = places[fits]
            taken[places[fits]] = True
            left, own, tried = left[~fits], own[~fits], tried + 1
        for number, strings in zip(left.tolist(), own, strict=True):
            found = _alone(mixed[strings], taken, tried)
            if found is None:
                return None
            displacement[number], slots[strings] = found
            taken[slots[strings]] = True
    return slots, displacement


def _first_come(places: NDArray[np.int64], taken: NDArray[np.bool_], wants: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which buckets [buckets, size] find their places free, all different, and wanted by no bucket before them.

    wants: room for who wants each place.
    """
    fits = ~taken[places].any(axis=1) & _different(places)
    able = np.flatnonzero(fits)
    wants[places[able][::-1]] = able[::-1, None]  # of several values the last one stays
    fits[able] = (wants[places[able]] == able[:, None]).all(axis=1)
    return fits


def _different(places: NDArray[np.int64]) -> NDArray[np.bool_]:
    lying = np.sort(places, axis=1)
    return np.asarray((lying[:, 1:] != lying[:, :-1]).all(axis=1))


def _alone(mixed: _Words, taken: NDArray[np.bool_], first: int) -> tuple[int, NDArray[np.int64]] | None:
    """The first displacement from `first` on that sends these hashes to free slots, and the slots."""
    step = 32
    while first <= MAX_DISPLACEMENT:
        tried = np.arange(first, min(first + step, MAX_DISPLACEMENT + 1), dtype=np.uint32)
        places = _slots(mixed + (tried[:, None] << np.uint32(DISPLACED)), len(taken))
        fits = np.flatnonzero(~taken[places].any(axis=1) & _different(places))
        if len(fits):
            return int(tried[fits[0]]), places[fits[0]]
        first, step = first + step, min(4 * step, 4096)
    return None


def _slots(moved: _Words, n_slots: int) -> NDArray[np.int64]:
    spread = ((moved ^ moved >> np.uint32(16)) * np.uint32(SPREAD)).astype(np.uint64)
    if n_slots > NARROW_SLOTS:
        return (spread * np.uint64(n_slots) >> np.uint64(32)).astype(np.int64)
    return ((spread >> np.uint64(16)) * np.uint64(n_slots) >> np.uint64(16)).astype(np.int64)
