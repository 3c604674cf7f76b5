"""The perfect hash: every name leads to itself, strangers lead nowhere, in Python and in C."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.bundle.lookup import make_lookup
from tests.bundle.examples import ALL_KINDS, bundle
from tests.differential.compiled import OPTIONS, compile_c, write_texts

names = st.binary(min_size=1, max_size=12).filter(lambda name: b"\0" not in name)


@given(chosen=st.lists(names, min_size=1, max_size=60, unique=True), strangers=st.lists(names, max_size=20))
@settings(max_examples=100)
def test_names_are_found_and_strangers_are_not(chosen: list[bytes], strangers: list[bytes]) -> None:
    """Each name has its own slot; another name may lead to a slot, whose name then differs."""
    lookup = make_lookup(chosen)

    assert list(range(len(chosen))) == [lookup.find(chosen, name) for name in chosen]
    assert [None] * len(strangers) == [lookup.find(chosen, name) for name in strangers if name not in chosen] + [
        None for name in strangers if name in chosen
    ]
    assert len(lookup.slots) <= max(2, 4 * len(chosen))


def test_a_thousand_names_have_a_slot() -> None:
    """The largest bundle: slots for each, and displacements that 16 bits hold."""
    many = [f"sensor/{number}".encode() for number in range(1000)]
    lookup = make_lookup(many)

    assert all(lookup.find(many, name) == position for position, name in enumerate(many))
    assert max(lookup.displacements) < 1 << 16
    assert len(lookup.slots) == 2048


def test_equal_names_are_our_own_mistake() -> None:
    """Two models of one name are refused before; here they are an error at once."""
    with pytest.raises(ValueError, match="equal names"):
        make_lookup([b"a", b"b", b"a"])


@pytest.fixture(scope="module")
def find(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes | None], int | None]:
    """fleet_find() of a bundle with ten models, as the offset of the entry in the registry."""
    folder = tmp_path_factory.mktemp("find")
    write_texts(bundle(*ALL_KINDS).texts, folder)
    compile_c("gcc", (*OPTIONS, "-fsanitize=undefined", "-shared", "-fPIC", "fleet.c", "-o", "fleet.so"), folder)
    library = ctypes.CDLL(str(folder / "fleet.so"))
    library.fleet_find.restype = ctypes.c_void_p
    library.fleet_at.restype = ctypes.c_void_p
    places = {library.fleet_at(ctypes.c_uint32(position)): position for position in range(len(ALL_KINDS))}
    assert len(places) == len(ALL_KINDS)
    assert library.fleet_at(ctypes.c_uint32(len(ALL_KINDS))) is None
    assert library.fleet_at(ctypes.c_uint32(0xFFFFFFFF)) is None
    places[None] = -1

    def called(name: bytes | None) -> int | None:
        position = places[library.fleet_find(name)]
        return None if position < 0 else position

    return called


def test_c_finds_every_name(find: Callable[[bytes | None], int | None]) -> None:
    """The C leads each name to its entry."""
    known = [word.partition(":")[0].encode() for word in ALL_KINDS]

    assert list(range(len(known))) == [find(name) for name in known]


def test_c_finds_no_stranger(find: Callable[[bytes | None], int | None]) -> None:
    """No name, prefixes, longer names, other bytes, and random ones: NULL."""
    known = [word.partition(":")[0].encode() for word in ALL_KINDS]
    generator = random.Random(20261128)
    strangers: list[bytes | None] = [None, b"", b"x" * 100_000, b"\xff\xfe", *(name[:-1] for name in known)]
    strangers += [name + b"x" for name in known] + [name.upper() for name in known] + [b"\x80" + n for n in known]
    strangers += [bytes(generator.randrange(1, 256) for _ in range(generator.randrange(1, 16))) for _ in range(5000)]

    assert {None} == {find(name) for name in strangers}


def test_the_source_holds_what_python_found(tmp_path: Path) -> None:
    """With the displacements or the slots changed, the self-test sees that a name is not found."""
    made = bundle("linreg", "kmeans", "rfc")
    text = made.texts["fleet.c"]
    start = text.index("fleet_slots[4] = {\n    ") + len("fleet_slots[4] = {\n    ")
    end = text.index(",\n}", start)
    turned = ", ".join(reversed(text[start:end].split(", ")))
    assert turned != text[start:end]
    write_texts({**made.texts, "fleet.c": text[:start] + turned + text[end:]}, tmp_path)
    compile_c("gcc", (*OPTIONS, "fleet.c", "fleet_selftest.c", "-o", "selftest"), tmp_path)

    assert run_status(tmp_path / "selftest") == 1


def run_status(program: Path) -> int:
    import subprocess

    return subprocess.run([str(program)], timeout=60, check=False).returncode
