"""What a careful reader of v1 files refuses: the message, the place, and the exit status."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from aprgen.container import Limits, open_container
from aprgen.errors import AprgenError
from tests.hostile.bytesmith import (
    MINIMAL_METADATA,
    fixture,
    framed,
    patched,
    zstd_rle,
)
from tests.hostile.framing import LINREG_PAYLOAD

GOOD = framed(LINREG_PAYLOAD)
METADATA_END = 32 + len(MINIMAL_METADATA)


def refusal(data: bytes, limits: Limits | None = None) -> AprgenError:
    with pytest.raises(AprgenError) as caught:
        open_container(data, limits or Limits())
    return caught.value


# name: (file, code, words of the message, words of the place, exit status)
CASES: dict[str, tuple[bytes, str, str, str, int]] = {
    "empty": (b"", "container.magic", "the file is empty", "byte 0", 3),
    "text": (b"hello world", "container.magic", "starts with 68 65 6c 6c", "byte 0", 3),
    "legacy": (b"APR1" + bytes(99), "container.legacy", "APR1", "byte 0", 3),
    "35_bytes": (GOOD[:35], "container.truncated", "35 bytes", "byte 35", 3),
    "checksum": (
        patched(GOOD, 60, b"?", repair=False),
        "container.crc",
        "checksum mismatch",
        f"byte {len(GOOD) - 4}",
        3,
    ),
    "truncated": (GOOD[:-6], "container.crc", "checksum mismatch", f"byte {len(GOOD) - 10}", 3),
    "version": (framed(LINREG_PAYLOAD, version=(2, 0)), "container.version", "format version 2.0", "byte 4", 3),
    "model_type": (framed(LINREG_PAYLOAD, kind=11), "container.model_type", "0x000b", "byte 6", 3),
    "over_1_gib": (
        framed(LINREG_PAYLOAD, claim=(1 << 30) + 1),
        "container.size",
        "more than the format's 1 GiB",
        "byte 16",
        3,
    ),
    "over_limit": (framed(LINREG_PAYLOAD, claim=1 << 30), "container.limit", "limit is 67108864", "byte 16", 3),
    "compression": (framed(LINREG_PAYLOAD, compression=4), "container.compression", "compression 4", "byte 20", 3),
    "bounds": (framed(LINREG_PAYLOAD, payload_size=1000), "container.bounds", "end at byte 1070", "byte 8", 3),
    "metadata_bounds": (framed(LINREG_PAYLOAD, metadata_size=1 << 31), "container.bounds", "2147483648", "byte 8", 3),
    "suite_2": (patched(GOOD, 23, b"\2"), "security.suite", "neither signed nor encrypted", "byte 23", 4),
    "suite_4": (patched(GOOD, 23, b"\4"), "security.suite", "GovHighAssurance", "byte 23", 4),
    "suite_ff": (patched(GOOD, 23, b"\xff"), "security.suite", "LegacyRSA, which is refused", "byte 23", 4),
    "suite_7f": (patched(GOOD, 23, b"\x7f"), "security.suite", "unknown cipher suite", "byte 23", 4),
    "between": (
        framed(LINREG_PAYLOAD, after=b"abc"),
        "container.trailing",
        "3 bytes between",
        f"byte {len(GOOD) - 4}",
        3,
    ),
    "signed_without_block": (
        framed(LINREG_PAYLOAD, flags=2, after=bytes(95)),
        "security.signature",
        "95 bytes follow",
        f"byte {len(GOOD) - 4}",
        4,
    ),
    "signed_with_more": (
        framed(LINREG_PAYLOAD, flags=2, after=bytes(99)),
        "container.trailing",
        "3 bytes between",
        "after the signature block",
        3,
    ),
    "encrypted": (fixture("real/encpw_kmeans"), "security.encrypted", "no key or password", "byte 21", 4),
    "encrypted_flag_removed": (
        patched(fixture("real/encpw_kmeans"), 21, b"\0"),
        "container.size",
        "the header claims 1323",
        "in the payload",
        3,
    ),
    "signed_flag_removed": (
        patched(fixture("real/signed_linreg"), 21, b"\0"),
        "container.trailing",
        "96 bytes between",
        "after the payload",
        3,
    ),
    "plain_length": (framed(LINREG_PAYLOAD, claim=21), "container.size", "claims 21", f"byte {METADATA_END}", 3),
    "zstd_longer": (framed(zstd_rle(55), compression=1, claim=54), "container.size", "more than 54", "payload", 3),
    "zstd_shorter": (framed(zstd_rle(53), compression=1, claim=54), "container.size", "unpacks to 53", "payload", 3),
    "zstd_cut": (framed(zstd_rle(54)[:-1], compression=1, claim=54), "container.decompress", "cut off", "payload", 3),
    "zstd_rest": (
        framed(zstd_rle(54) + b"x" * 9, compression=1, claim=54),
        "container.decompress",
        "corrupt",
        "byte",
        3,
    ),
    "zstd_ratio": (framed(b"x" * 99, compression=1, claim=60 << 20), "container.decompress", "cannot hold", "byte", 3),
    "lz4_prefix": (
        framed(struct.pack("<I", 99) + bytes(30), compression=3, claim=22),
        "container.size",
        "says 99 bytes, the header claims 22",
        "payload",
        3,
    ),
    "lz4_corrupt": (
        framed(struct.pack("<I", 22) + b"\x1f\x00\xff\xff\x05", compression=3, claim=22),
        "container.decompress",
        "corrupt",
        "payload",
        3,
    ),
    "no_metadata": (framed(LINREG_PAYLOAD, metadata=b""), "container.metadata", "ends inside a value", "byte 32", 3),
    "metadata_repeated": (
        framed(LINREG_PAYLOAD, metadata=b"\x82\xa1a\x01\xa1a\x02"),
        "container.metadata",
        "'a' occurs twice",
        "byte 38",
        3,
    ),
    "metadata_missing": (
        framed(LINREG_PAYLOAD, metadata=b"\x80"),
        "container.metadata",
        "created_at is missing",
        "key created_at",
        3,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_refused(case: tuple[bytes, str, str, str, int]) -> None:
    """Each check of the format has its code, its message, its place, a hint, and an exit status."""
    data, code, what, where, status = case
    error = refusal(data)

    assert (code, status) == (error.code, error.exit_status)
    assert what in error.what
    assert where in error.where
    assert error.hint
    assert 3 == len(str(error).splitlines())


def test_file_limit() -> None:
    """A file above the limit is refused before anything in it is believed."""
    assert "container.limit" == refusal(GOOD, replace(Limits(), file_bytes=len(GOOD) - 1)).code


def test_metadata_limits() -> None:
    """Bytes, values and depth of the metadata are limited, each by name."""
    deep = framed(LINREG_PAYLOAD, metadata=b"\x83" + MINIMAL_METADATA[1:] + b"\xa1x" + b"\x91" * 63 + b"\xc0")

    assert open_container(deep)
    assert "nested deeper than 63" in refusal(deep, Limits(metadata_depth=63)).what
    assert "Limits.metadata_items" in refusal(GOOD, Limits(metadata_items=4)).hint
    assert "Limits.metadata_bytes" in refusal(GOOD, Limits(metadata_bytes=10)).hint


def test_claim_within_raised_limit() -> None:
    """Who trusts a file can raise the limit: 80 MiB of zeros open then."""
    size = 80 << 20
    data = framed(zstd_rle(size), compression=1, claim=size)

    assert "Limits.payload_bytes" in refusal(data).hint
    file = open_container(data, Limits(payload_bytes=size))
    assert size == len(file.payload)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("data", "finding"),
    [
        (framed(LINREG_PAYLOAD, version=(0, 9)), "format version 0 was never released"),
        (framed(LINREG_PAYLOAD, version=(1, 3)), "1.3 is newer than 1.0"),
        (framed(LINREG_PAYLOAD, flags=0x80), "reserved flag 0x80"),
        (framed(LINREG_PAYLOAD, flags=0x04), "STREAMING flag"),
        (framed(LINREG_PAYLOAD, flags=0x20), "QUANTIZED flag"),
        (framed(LINREG_PAYLOAD, flags=0x08), "holds no license"),
        (framed(LINREG_PAYLOAD, flags=0x40), "holds no model card"),
        (framed(LINREG_PAYLOAD, tail=b"\xc8" + bytes(9)), "quality score 200"),
        (framed(LINREG_PAYLOAD, tail=bytes(9) + b"\1"), "reserved header bytes 24 to 31"),
        (framed(LINREG_PAYLOAD, metadata=MINIMAL_METADATA + b"1234"), "4 bytes after the metadata map"),
        (
            framed(LINREG_PAYLOAD, metadata=b"\x83" + MINIMAL_METADATA[1:] + b"\xa5later\x01"),
            "unknown metadata keys: later",
        ),
    ],
)
def test_reported(data: bytes, finding: str) -> None:
    """What is odd but harmless opens, with one finding that says so."""
    file = open_container(data)

    assert 1 == len(file.findings)
    assert finding in file.findings[0]


def test_suite_1_is_the_default_algorithms() -> None:
    """Byte 23 may say 0x01, which names what aprender does."""
    assert "Standard2025" == open_container(patched(GOOD, 23, b"\1")).header.suite_name  # type: ignore[union-attr]
