"""Load times: the formula's sums by hand, platforms of one's own, and the largest model that fits a budget."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path

import pytest

from aprgen.errors import AprgenError, UnsupportedError, UsageError
from aprgen.wcet.load import FileSize, budget_of, file_size, load_platform, load_time, platform_names
from tests.examples import loaded

SIZE = FileSize(stored_bytes=1 << 20, unpacked_bytes=2 << 20, signed=True)
OWN = """
name = "my-board"
summary = "a board"
source = "measured on 2026-01-01"
read_mib_per_s = 8.5
decompress_mib_per_s = 40
crc_mib_per_s = 60
ed25519_us = 9000
decode_bytes_per_s = 30000000
policy_margin = 1.25
"""


def test_formula() -> None:
    """Every term is that of the format's documents, and the sum with its margin is rounded up."""
    found = load_time(SIZE, load_platform("AUTOMOTIVE_S32G"))

    assert {
        "header": 1.0, "read": 20_000.0, "decompress": 10_000.0, "checksum": 500.0, "signature": 800.0,
        "decode": 4_194.304,
    } == {term.name: term.us for term in found.terms}  # fmt: skip
    assert math.ceil(1.1 * 35_495.304) == found.total_us == 39_045
    assert ("estimate", 1.1) == (found.status, found.policy_margin)


def test_unsigned() -> None:
    """Without a signature there is no term for one."""
    found = load_time(replace(SIZE, signed=False), load_platform("automotive-s32g"))

    assert "signature" not in {term.name for term in found.terms}
    assert math.ceil(1.1 * 34_695.304) == found.total_us


@pytest.mark.parametrize(
    ("name", "total"),
    [  # microseconds of 1 MiB stored, 2 MiB unpacked, signed; by hand from the documents' table
        ("AUTOMOTIVE_S32G", 39_045), ("AEROSPACE_RAD750", 216_639), ("EDGE_RPI4", 19_395), ("DESKTOP_X86", 6_380),
        ("WASM_BROWSER", 91_836), ("INDUSTRIAL_PLC", 98_145),
    ],
)  # fmt: skip
def test_platforms(name: str, total: int) -> None:
    """All six platforms of the documents are there, with the documents' rates."""
    assert total == load_time(SIZE, load_platform(name)).total_us
    assert 6 == len(platform_names())


def test_budget() -> None:
    """The largest model that fits a budget fits it, and one byte more does not."""
    platform = load_platform("industrial-plc")
    budget = Fraction(50_000)
    found = load_time(FileSize(1 << 20, 1 << 20, False), platform, budget)
    most = found.largest_unpacked_bytes

    assert found.within_budget is False
    assert most is not None
    assert load_time(FileSize(most, most, False), platform, budget).within_budget
    assert not load_time(FileSize(most + 1, most + 1, False), platform, budget).within_budget


def test_nothing_fits() -> None:
    """Where the constant parts alone take longer than the budget, no model fits."""
    found = load_time(SIZE, load_platform("industrial-plc"), Fraction(100))

    assert (False, 0) == (found.within_budget, found.largest_unpacked_bytes)


def test_own_platform(tmp_path: Path) -> None:
    """A user's file adds a platform, with a margin of its own."""
    path = tmp_path / "my-board.toml"
    path.write_text(OWN)
    platform = load_platform(str(path))
    found = load_time(FileSize(1 << 20, 1 << 20, False), platform)

    assert "my-board" == found.platform
    expected = Fraction(5, 4) * (1 + Fraction(10**6) * (Fraction(2, 17) + Fraction(1, 40) + Fraction(1, 60))
                                 + Fraction(2**20 * 10**6, 30_000_000))  # fmt: skip
    assert math.ceil(expected) == found.total_us
    assert json.loads(json.dumps(asdict(found)))["policy_margin"] == 1.25


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("8.5", "0"), "read_mib_per_s is 0"),
        (("8.5", "-1"), "read_mib_per_s is -1"),
        (("8.5", "nan"), "read_mib_per_s is NaN"),
        (("read_mib_per_s = 8.5\n", ""), "read_mib_per_s is missing"),
        (("1.25", "0.9"), "policy_margin is 0.9, less than 1"),
        (("summary", "colour"), "summary is missing"),
        (("policy_margin", "margin"), "margin is not known"),
        (("name =", "name"), "no valid TOML"),
    ],
)
def test_hostile_platform(change: tuple[str, str], says: str, tmp_path: Path) -> None:
    """A platform's file that makes no sense is refused, and the key is named."""
    path = tmp_path / "my-board.toml"
    path.write_text(OWN.replace(*change))
    with pytest.raises(AprgenError) as caught:
        load_platform(str(path))
    assert says in caught.value.what
    assert "load.platform" == caught.value.code


def test_unknown_platform() -> None:
    """An unknown name brings the nearest ones, a missing file its name."""
    with pytest.raises(UnsupportedError) as caught:
        load_platform("automotive-s32")
    assert "automotive-s32g" in caught.value.hint
    with pytest.raises(UsageError) as missing:
        load_platform("./nowhere.toml")
    assert "No such file" in missing.value.what


def test_sizes_of_files() -> None:
    """A file's sizes are those of its header; version 2 has no formula."""
    container = loaded("kmeans").container
    found = file_size(container)

    assert not found.signed
    assert found.stored_bytes == container.header.payload_size  # type: ignore[union-attr]
    assert file_size(loaded("signed_dtc").container).signed
    with pytest.raises(UnsupportedError) as caught:
        file_size(loaded("v2_mlp_f32").container)
    assert "load.format" == caught.value.code


def test_budget_of_the_command_line() -> None:
    """A budget is taken as it was written, not as its nearest binary number."""
    assert Fraction(1, 10) == budget_of(0.1)
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(UsageError):
            budget_of(wrong)


def test_ring_buffer_for_a_jitter() -> None:
    """50 MiB/s for 1,000 us are 52,428.8 bytes, 57,672 with the margin: 65,536; a short pause needs little, no pause
    one byte. Without a jitter nothing is said."""
    platform = load_platform("automotive-s32g")
    size = FileSize(1000, 2000, signed=False)

    assert load_time(size, platform, jitter_us=Fraction(1000)).ring_bytes == 65_536
    assert load_time(size, platform, jitter_us=Fraction(1)).ring_bytes == 64
    assert load_time(size, platform, jitter_us=Fraction(1, 1000)).ring_bytes == 1
    assert load_time(size, platform).ring_bytes is None
