"""Perfect hashing of strings: a slot for each, whatever they are, and always the same."""

from __future__ import annotations

import ctypes
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.ops.perfect_hash import MOST_STRINGS, NARROW_SLOTS, PerfectHash, perfect_hash
from tests.text import compiled


def words(count: int, seed: int = 1) -> list[bytes]:
    """Distinct words of 2 to 11 letters."""
    chance = random.Random(seed)
    made: dict[bytes, None] = {}
    while len(made) < count:
        made[bytes(chance.choice(b"etaoinshrdlucmfwypvbgk") for _ in range(chance.randint(2, 11)))] = None
    return list(made)


def thue_morse(size: int) -> tuple[bytes, bytes]:
    """Two words whose polynomials are equal modulo 2^32 from 128 letters on, whatever the odd multiplier."""
    word = bytes(97 + bin(at).count("1") % 2 for at in range(size))
    return word, word.translate(bytes.maketrans(b"ab", b"ba"))


def assert_perfect(made: tuple[PerfectHash, tuple[bytes, ...]] | None, strings: set[bytes]) -> None:
    assert made is not None
    found, by_slot = made
    assert len(by_slot) == found.n_slots <= len(strings) + len(strings) // 64
    assert sorted(strings) == sorted(filter(None, by_slot))
    seen = range(0, len(by_slot), 1 + len(by_slot) // 2_000)
    assert all(slot == found.slot(found.hash(by_slot[slot])) for slot in seen if by_slot[slot])


@settings(max_examples=60, deadline=None)
@given(st.sets(st.binary(min_size=1, max_size=5), min_size=1, max_size=200), st.randoms())
def test_every_string_has_a_slot_of_its_own(strings: set[bytes], chance: random.Random) -> None:
    """Any bytes; the order and repetitions make no difference to any table."""
    made = perfect_hash(strings)
    other = [*strings, *strings]
    chance.shuffle(other)
    again = perfect_hash(other)

    assert_perfect(made, strings)
    assert made is not None
    assert again is not None
    assert made[1] == again[1]
    assert made[0].displacement.data.tobytes() == again[0].displacement.data.tobytes()
    assert [vars(one)[name] for one in (made[0],) for name in ("multiplier", "mixer", "shift", "n_slots")] == [
        vars(again[0])[name] for name in ("multiplier", "mixer", "shift", "n_slots")
    ]


HOSTILE = {
    "one": {b"a"},
    "prefixes": {b"a" * size for size in range(1, 400)},
    "nul": {b"\0" * size for size in range(1, 100)},
    "counters": {number.to_bytes(4, "big") for number in range(5_000)},
    "top_bytes": {bytes([byte]) + b"\0\0\0" for byte in range(256)},
    "not_ascii": {chr(code).encode() for code in range(0xA0, 0x3000) if chr(code).isprintable()},
    "long": {b"x" * 4095 + bytes([byte]) for byte in range(256)},
    "alike_for_33": {bytes([65 + i, 97 - 33 * i]) + tail for i in range(2) for tail in (b"", b"x", b"yy")},
    "thue_morse_64": set(thue_morse(64)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_strings(name: str) -> None:
    """Strings that begin or end alike, that differ in the top or last byte, or that collide for a small multiplier."""
    assert_perfect(perfect_hash(HOSTILE[name]), HOSTILE[name])


def test_a_hundred_thousand_strings() -> None:
    """More than 16 bits number; half a byte or a little more for each."""
    strings = set(words(100_000))
    made = perfect_hash(strings)

    assert_perfect(made, strings)
    assert made is not None
    assert made[0].is_wide
    assert made[0].displacement.n_bytes <= 0.7 * len(strings)


def test_where_there_is_none() -> None:
    """No strings, an empty one, too many, and two that no polynomial tells apart: the answer is None, and soon."""
    assert perfect_hash([]) is None
    assert perfect_hash([b"", b"a"]) is None
    assert perfect_hash(number.to_bytes(4, "big") for number in range(MOST_STRINGS + 1)) is None
    assert perfect_hash(thue_morse(128)) is None
    assert perfect_hash([*thue_morse(512), *words(50)]) is None


def with_hash(wanted: int) -> bytes:
    """A string whose hash is the one wanted, for the multiplier 33: bytes that are left when multiplying is undone."""
    chance = random.Random(wanted)
    while True:
        made = bytes(chance.randrange(256) for _ in range(6))
        value = 1
        for byte in made:
            value = (value * 33 + byte) & 0xFFFFFFFF
        left = (wanted - value * 33**5) & 0xFFFFFFFF
        digits = []
        for power in range(4, -1, -1):
            digits.append(min(255, left // 33**power))
            left -= digits[-1] * 33**power
        if left == 0:
            return made + bytes(digits)


def test_strings_that_crowd_one_bucket() -> None:
    """Made for the first mixer, they all lie in its first bucket; another mixer is taken, and little memory."""
    first = perfect_hash(words(300))
    assert first is not None
    inverse = pow(first[0].mixer, -1, 1 << 32)
    mixed = [low * inverse & 0xFFFFFFFF for low in range(1_500)]
    strings = {with_hash(value ^ value >> 15 ^ value >> 30) for value in mixed}
    made = perfect_hash(strings)

    assert_perfect(made, strings)
    assert made is not None
    assert made[0].multiplier == 33
    assert made[0].mixer != first[0].mixer


def test_slots_in_c(tmp_path: Path) -> None:
    """apr_hash.h computes the slots of Python, for few slots and for more than 65,536."""
    text = """#include "apr_hash.h"
    uint32_t mixed(uint32_t hash, uint32_t mixer);
    uint32_t slot(uint32_t mixed, uint32_t displacement, uint32_t n);
    uint32_t mixed(uint32_t hash, uint32_t mixer) { return apr_mixed(hash, mixer); }
    uint32_t slot(uint32_t mixed, uint32_t displacement, uint32_t n)
    {
        const uint32_t displaced = apr_displaced(mixed, displacement);
        return (n > 65536U) ? apr_wide_slot(displaced, n) : apr_slot(displaced, n);
    }
    """
    (tmp_path / "t.c").write_text(text)
    arguments = [*compiled.STANDARD, "-shared", "-fPIC", str(tmp_path / "t.c"), "-o", str(tmp_path / "t.so")]
    compiled.compile_c(["gcc"], arguments, tmp_path)
    library = ctypes.CDLL(str(tmp_path / "t.so"))
    library.slot.restype = library.mixed.restype = ctypes.c_uint32
    chance = random.Random(3)
    hashes = [made[0] for made in map(perfect_hash, map(words, (1, 7, 300, 3_000))) if made is not None]
    hashes.append(replace(hashes[-1], n_slots=NARROW_SLOTS + 3_000))
    for found in hashes:
        for _ in range(1_000):
            hashed = chance.getrandbits(32)
            mixed = library.mixed(ctypes.c_uint32(hashed), ctypes.c_uint32(found.mixer))
            moved = int(found.displacement.data[mixed >> found.shift])
            numbers = map(ctypes.c_uint32, (mixed, moved, found.n_slots))
            assert found.slot(hashed) == library.slot(*numbers) < found.n_slots
