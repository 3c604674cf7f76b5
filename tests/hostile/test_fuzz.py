"""The first files of the fuzzer, always the same mutations; `python -m tests.hostile.fuzz` goes on from there."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from aprgen.container import Access, Trust
from tests.hostile import fuzz as fuzzer
from tests.hostile.fuzz import Tally, check_protected, fuzz, mutated, read_once
from tests.hostile.protectedfiles import protected

FILES = 1_000


def test_first_files() -> None:
    """Each is opened or refused as it should be, and many checks are reached."""
    tally = fuzz(FILES, seed=1)

    assert tally.files == FILES
    assert tally.opened > 0
    reached = {"container.crc", "container.bounds", "security.signature", "security.decryption", "security.encrypted",
               "security.suite", "security.plain", "container.envelope", "container.trailing"}  # fmt: skip
    assert reached <= set(tally.codes)


def test_mutations_are_the_same_every_time() -> None:
    """A file that breaks a rule can be made again from its seed and number."""
    sources = [one.data for one in protected()]
    first, second = ([mutated(random.Random(n), sources[n % len(sources)], sources) for n in range(200)] for _ in "ab")

    assert first == second
    assert len({data for data in first if data not in sources}) > 190


@pytest.mark.parametrize("one", protected(), ids=lambda one: one.name)
def test_sound_files_open(one: fuzzer.Protected) -> None:
    """What is mutated is sound, and opens for whom it is meant."""
    assert read_once(one.data, one.access, one.name, Tally()) is not None


def test_the_fuzzer_notices() -> None:
    """A reader that took a changed signed file, or changed metadata of a bound one, would be found out."""
    by_name = {one.name: one for one in protected()}
    lax = replace(by_name["standard_signed"], access=Access(Trust()))
    other = by_name["hybrid_signed"].data
    with pytest.raises(AssertionError, match="changed signed file"):
        check_protected(lax, other, "x", Tally())
    bound = by_name["hybrid_encrypted"]
    with pytest.raises(AssertionError, match="changed encrypted file"):
        check_protected(replace(bound, data=by_name["hybrid_both"].data), bound.data, "x", Tally())
