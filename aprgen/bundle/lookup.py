"""A perfect hash: every name of a bundle has a slot of its own, found by one pass over the name.

Finds constants for arithmetic that C does in the same way (templates/bundle/bundle.c.j2); a stranger's name also leads
to a slot, so the name found there must be compared. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

FNV_BASIS = 0x811C9DC5  # FNV-1a; other bases are as good
FNV_PRIME = 0x01000193
SPREAD = 0x9E3779B1  # odd, near 2^32 over the golden ratio: spreads displacements over the upper bits
WORD = (1 << 32) - 1
NAMES_PER_BUCKET = 4
DISPLACEMENTS = 1 << 16  # they are stored in 16 bits


@dataclass(frozen=True)
class Lookup:
    """slots[slot_of(name)] is the position of the name, or the number of names where the slot is free.

    displacements and slots are powers of two long; shift takes a slot from the upper bits of a word.
    """

    basis: int
    displacements: tuple[int, ...]
    slots: tuple[int, ...]

    @property
    def shift(self) -> int:
        return 32 - (len(self.slots).bit_length() - 1)

    def slot_of(self, name: bytes) -> int:
        """With the arithmetic of the C."""
        hashed = _hash(name, self.basis)
        return _slot(hashed, self.displacements[hashed & (len(self.displacements) - 1)], self.shift)

    def find(self, names: Sequence[bytes], name: bytes) -> int | None:
        """The position of `name` among the names that the lookup was made for."""
        position = self.slots[self.slot_of(name)]
        return position if position < len(names) and names[position] == name else None


def make_lookup(names: Sequence[bytes]) -> Lookup:
    """Constants for these names, which must differ from each other. The same names give the same constants."""
    if len(set(names)) != len(names):
        raise ValueError("equal names cannot be told apart")
    n_slots = _power_of_two(max(2, len(names) + len(names) // 4))
    n_buckets = _power_of_two(-(-len(names) // NAMES_PER_BUCKET))
    for attempt in range(1024):
        basis = (FNV_BASIS + attempt) & WORD
        hashes = [_hash(name, basis) for name in names]
        if len(set(hashes)) == len(hashes):
            displacements = _displaced(hashes, n_buckets, n_slots)
            if displacements is not None:
                shift = 32 - (n_slots.bit_length() - 1)
                slots = [len(names)] * n_slots
                for position, hashed in enumerate(hashes):
                    slots[_slot(hashed, displacements[hashed & (n_buckets - 1)], shift)] = position
                return Lookup(basis, displacements, tuple(slots))
    raise AssertionError("no basis separates the names")


def _hash(name: Iterable[int], basis: int) -> int:
    """FNV-1a."""
    value = basis
    for byte in name:
        value = ((value ^ byte) * FNV_PRIME) & WORD
    return value


def _slot(hashed: int, displacement: int, shift: int) -> int:
    return (((hashed ^ (displacement * SPREAD)) * SPREAD) & WORD) >> shift


def _displaced(hashes: Sequence[int], n_buckets: int, n_slots: int) -> tuple[int, ...] | None:
    """A number for each bucket, the fullest first, with which all its names fall into slots that are still free."""
    shift = 32 - (n_slots.bit_length() - 1)
    buckets: list[list[int]] = [[] for _ in range(n_buckets)]
    for hashed in hashes:
        buckets[hashed & (n_buckets - 1)].append(hashed)
    displacements = [0] * n_buckets
    taken: set[int] = set()
    for bucket in sorted(range(n_buckets), key=lambda index: (-len(buckets[index]), index)):
        for displacement in range(DISPLACEMENTS):
            wanted = {_slot(hashed, displacement, shift) for hashed in buckets[bucket]}
            if len(wanted) == len(buckets[bucket]) and not wanted & taken:
                displacements[bucket] = displacement
                taken |= wanted
                break
        else:
            return None
    return tuple(displacements)


def _power_of_two(at_least: int) -> int:
    return 1 << max(0, at_least - 1).bit_length()
