"""Damaged and hostile v1 framing: cuts, flips, header claims, compression bombs, metadata bombs."""

from __future__ import annotations

import random
import struct

import lz4.block

from tests.hostile.bytesmith import (
    MINIMAL_METADATA,
    Named,
    fixture,
    flipped,
    framed,
    patched,
    repaired,
    with_crc,
    zstd_rle,
)

LINREG_PAYLOAD = b"\x01" + struct.pack("<Q2f", 2, 1.0, -2.0) + struct.pack("<f", 0.5) + b"\x01"
GIB = 1 << 30


def no_apr_files() -> Named:
    yield "empty", b""
    yield "text", b"just some text, no model at all\n" * 40
    yield "zeros", bytes(4096)
    yield "ones", b"\xff" * 4096
    yield "json", b'{"model_type": "LinearRegression", "coefficients": [1.0]}'
    yield "elf", b"\x7fELF\x02\x01\x01" + bytes(300)
    yield "png", b"\x89PNG\r\n\x1a\n" + bytes(300)
    yield "zip", b"PK\x03\x04" + bytes(300)
    yield "gguf", b"GGUF\x03\0\0\0" + bytes(300)
    yield "pickle", b"\x80\x04\x95\x10\0\0\0\0\0\0\0cos\nsystem\n." + bytes(64)
    yield "magic_only", b"APRN"
    yield "magic_lower_case", with_crc(b"aprn" + fixture("real/linreg")[4:-4])
    yield "magic_and_zeros", b"APRN" + bytes(96)
    yield "legacy_apr1", b"APR1" + bytes(200)
    yield "legacy_apr2", b"APR2" + bytes(200)
    yield "too_many_bytes", b"APRN" + bytes(81 << 20)
    rng = random.Random(7)
    for number in range(6):
        yield f"random_{number}", with_crc(b"APRN\x01\x00\x01\x00" + rng.randbytes(rng.randrange(24, 400)))


def cuts() -> Named:
    """Ends of the file at every boundary and inside every part, with the checksum as it falls and repaired."""
    for name in ("real/linreg", "real/rfc", "real/signed_linreg", "real/encpw_logreg"):
        data = fixture(name)
        metadata_size, payload_size = struct.unpack_from("<II", data, 8)
        start, end = 32 + metadata_size, 32 + metadata_size + payload_size
        marks = (1, 4, 6, 12, 22, 31, 32, 33, 36, start - 1, start, start + 1, end - 1, end, end + 2, len(data) - 1)
        for mark in sorted(set(marks)):
            stem = name.split("/")[1]
            yield f"{stem}_to_{mark}", data[:mark]
            if 36 <= mark < len(data) - 4:
                yield f"{stem}_to_{mark}_crc", with_crc(data[:mark])


def bit_flips() -> Named:
    """Single bits without the checksum repaired: each must be noticed."""
    rng = random.Random(11)
    for name in ("real/linreg", "real/kmeans_tie", "real/dtc_bc_depth", "real/signed_dtc", "real/meta_full_linreg"):
        data = fixture(name)
        for _ in range(6):
            bit = rng.randrange(32, 8 * len(data))
            yield f"{name.split('/')[1]}_bit_{bit}", flipped(data, bit, repair=False)


def header_claims() -> Named:
    good = framed(LINREG_PAYLOAD)
    for version in ((2, 0), (9, 9), (255, 255)):
        yield f"version_{version[0]}_{version[1]}", framed(LINREG_PAYLOAD, version=version)
    for kind in (0, 0x000B, 0x0013, 0x0022, 0x0031, 0x0041, 0x00FE, 0x0100, 0xFFFF):
        yield f"model_type_{kind:#06x}", framed(LINREG_PAYLOAD, kind=kind)
    for compression in (4, 5, 128, 255):
        yield f"compression_{compression}", framed(LINREG_PAYLOAD, compression=compression)
    for suite in (2, 3, 4, 5, 0x7F, 0xFF):
        yield f"suite_{suite:#04x}", patched(good, 23, bytes([suite]))
    for size in (0, 1, 46, 48, 10_000, 0x7FFFFFFF, 0xFFFFFFFF):
        yield f"metadata_size_{size}", framed(LINREG_PAYLOAD, metadata_size=size)
    for size in (0, 1, len(LINREG_PAYLOAD) - 1, len(LINREG_PAYLOAD) + 1, 10_000, 0x7FFFFFFF, 0xFFFFFFFF):
        yield f"payload_size_{size}", framed(LINREG_PAYLOAD, payload_size=size)
    for claim in (0, 1, len(LINREG_PAYLOAD) - 1, len(LINREG_PAYLOAD) + 1, 10_000, GIB, GIB + 1, 0xFFFFFFFF):
        yield f"uncompressed_size_{claim}", framed(LINREG_PAYLOAD, claim=claim)
    yield "sizes_that_wrap", framed(LINREG_PAYLOAD, metadata_size=0xFFFFFFFF, payload_size=0xFFFFFFFF)
    for extra in (1, 4, 95, 96, 97):
        yield f"between_{extra}", framed(LINREG_PAYLOAD, after=bytes(extra))
    for extra in (0, 1, 64, 95, 97, 192):
        yield f"signed_with_{extra}", framed(LINREG_PAYLOAD, flags=0x02, after=bytes(extra))
    yield "encrypted_plain_payload", framed(LINREG_PAYLOAD, flags=0x01)
    yield "encrypted_empty_payload", framed(b"", flags=0x01)
    yield "encrypted_and_signed", framed(bytes(100), flags=0x03, claim=56, after=bytes(96))
    yield "encrypted_flag_removed", patched(fixture("real/encpw_kmeans"), 21, b"\0")
    yield "encrypted_flag_removed_zstd", patched(fixture("real/encpw_logreg"), 21, b"\0")
    yield "signed_flag_removed", patched(fixture("real/signed_linreg"), 21, b"\0")


def compression_bombs() -> Named:
    yield "zstd_claims_1_gib", framed(zstd_rle(GIB), compression=1, claim=GIB)
    yield "zstd_claims_1_gib_level_19", framed(zstd_rle(GIB), compression=2, claim=GIB)
    yield "zstd_claims_less", framed(zstd_rle(GIB), compression=1, claim=54)
    yield "zstd_claims_63_mib_of_1_gib", framed(zstd_rle(GIB), compression=1, claim=63 << 20)
    yield "zstd_claims_more", framed(zstd_rle(100), compression=1, claim=101)
    yield "zstd_claims_60_mib_of_1_mib", framed(zstd_rle(1 << 20), compression=1, claim=60 << 20)
    yield "zstd_frames_of_1_gib", framed(zstd_rle(GIB // 8) * 8, compression=1, claim=1 << 20)
    yield "zstd_unfinished", framed(zstd_rle(1000, last=False), compression=1, claim=1000)
    yield "zstd_cut", framed(zstd_rle(1 << 20)[:-2], compression=1, claim=1 << 20)
    yield "zstd_header_only", framed(b"\x28\xb5\x2f\xfd", compression=1, claim=10)
    yield "zstd_garbage_after", framed(zstd_rle(54) + b"garbage", compression=1, claim=54)
    yield "zstd_wide_window", framed(zstd_rle(54, window=0xF8), compression=1, claim=54)
    yield "zstd_reserved_bit", framed(b"\x28\xb5\x2f\xfd\x08\x60\x03\0\0\0", compression=1, claim=54)
    yield "zstd_dictionary", framed(b"\x28\xb5\x2f\xfd\x01\x60\x07\x03\0\0\0", compression=1, claim=54)
    yield "zstd_skippable_flood", framed(b"\x50\x2a\x4d\x18\0\0\0\0" * 500_000, compression=1, claim=54)
    yield "zstd_tiny_frames", framed(zstd_rle(1) * 200_000, compression=1, claim=200_000)
    yield "zstd_skippable_too_long", framed(b"\x50\x2a\x4d\x18\xff\xff\xff\xff", compression=1, claim=54)
    yield "zstd_is_lz4", framed(_lz4(LINREG_PAYLOAD), compression=1, claim=len(LINREG_PAYLOAD))
    yield "zstd_is_plain", framed(LINREG_PAYLOAD, compression=1)
    yield "lz4_is_plain", framed(LINREG_PAYLOAD, compression=3)
    yield "lz4_is_zstd", framed(zstd_rle(54), compression=3, claim=54)
    yield "lz4_prefix_4_gib", framed(b"\xff\xff\xff\xff" + _lz4(LINREG_PAYLOAD)[4:], compression=3, claim=22)
    yield "lz4_claims_1_gib", framed(struct.pack("<I", GIB) + b"\x10\0", compression=3, claim=GIB)
    yield "lz4_claims_60_mib", framed(struct.pack("<I", 60 << 20) + b"\x10\0", compression=3, claim=60 << 20)
    yield "lz4_claims_more", framed(struct.pack("<I", 30) + _lz4(LINREG_PAYLOAD)[4:], compression=3, claim=30)
    yield "lz4_claims_less", framed(struct.pack("<I", 5) + _lz4(LINREG_PAYLOAD)[4:], compression=3, claim=5)
    yield "lz4_prefix_only", framed(struct.pack("<I", 22), compression=3, claim=22)
    yield "lz4_three_bytes", framed(b"\x16\0\0", compression=3, claim=22)
    yield "lz4_bad_offset", framed(struct.pack("<I", 22) + b"\x1f\x00\xff\xff\x05\x50abcde", compression=3, claim=22)
    yield "lz4_endless_length", framed(struct.pack("<I", 22) + b"\xf0" + b"\xff" * 5000, compression=3, claim=22)


def _lz4(payload: bytes) -> bytes:
    block: bytes = lz4.block.compress(payload, store_size=False)
    return struct.pack("<I", len(payload)) + block


def _fields(*more: bytes) -> bytes:
    """Metadata with the two required keys and the given key-value pairs in MessagePack."""
    return bytes([0x82 + len(more)]) + MINIMAL_METADATA[1:] + b"".join(more)


def _text(text: str) -> bytes:
    data = text.encode()
    return bytes([0xA0 + len(data)]) + data if len(data) < 32 else b"\xd9" + bytes([len(data)]) + data


def metadata_bombs() -> Named:
    def file(metadata: bytes) -> bytes:
        return framed(LINREG_PAYLOAD, metadata=metadata)

    custom = _text("custom")
    yield "nothing", file(b"")
    yield "nil", file(b"\xc0")
    yield "number", file(b"\x07")
    yield "text", file(_text("metadata"))
    yield "empty_map", file(b"\x80")
    yield "empty_array", file(b"\x90")
    yield "array_too_long", file(b"\x9d" + b"\xa11" * 13)
    yield "array_of_wrong_types", file(b"\x92\x01\x02")
    yield "one_key_only", file(b"\x81\xaacreated_at\xa11")
    yield "required_is_nil", file(b"\x82\xaacreated_at\xc0\xb0aprender_version\xa11")
    yield "cut_in_value", file(MINIMAL_METADATA[:-3])
    yield "map_of_4_billion", file(b"\xdf\xff\xff\xff\xff" + MINIMAL_METADATA[1:])
    yield "array_of_4_billion", file(_fields(custom + b"\xdd\xff\xff\xff\xff"))
    yield "text_of_4_billion", file(_fields(_text("model_name") + b"\xdb\xff\xff\xff\xff"))
    yield "deep_arrays_100", file(_fields(custom + b"\x81\xa1a" + b"\x91" * 100 + b"\xc0"))
    yield "deep_arrays_100000", file(_fields(custom + b"\x81\xa1a" + b"\x91" * 100_000 + b"\xc0"))
    yield "deep_maps_100000", file(_fields(custom + b"\x81\xa1a" * 100_000 + b"\xc0"))
    yield "deep_unknown", file(_fields(_text("later") + b"\x91" * 5000 + b"\xc0"))
    yield "many_arrays", file(_fields(custom + b"\x81\xa1a\xdd\x00\x0f\x42\x40" + b"\x90" * 1_000_000))
    yield "many_maps", file(_fields(custom + b"\x81\xa1a\xdd\x00\x0f\x42\x40" + b"\x80" * 1_000_000))
    yield "extension", file(_fields(custom + b"\x81\xa1a\xd4\x01\x00"))
    yield "extension_32", file(_fields(custom + b"\x81\xa1a\xc9\xff\xff\xff\xff\x01"))
    yield "timestamp", file(_fields(custom + b"\x81\xa1a\xd6\xff\0\0\0\0"))
    yield "reserved_marker", file(_fields(custom + b"\x81\xa1a\xc1"))
    yield "bytes", file(_fields(custom + b"\x81\xa1a\xc4\x02ab"))
    yield "number_as_key", file(_fields(custom + b"\x81\x01\x01"))
    yield "array_as_key", file(_fields(custom + b"\x81\x90\x01"))
    yield "nil_as_key", file(_fields(b"\xc0\xc0"))
    yield "repeated_required", file(_fields(b"\xaacreated_at\xa12"))
    yield "repeated_in_custom", file(_fields(custom + b"\x82\xa1a\x01\xa1a\x02"))
    yield "no_utf8_value", file(_fields(_text("model_name") + b"\xa2\xff\xfe"))
    yield "no_utf8_key", file(_fields(b"\xa2\xff\xfe\xc0"))
    yield "surrogate", file(_fields(_text("model_name") + b"\xa3\xed\xa0\x80"))
    yield "name_is_number", file(_fields(_text("model_name") + b"\x05"))
    yield "training_is_text", file(_fields(_text("training") + b"\xa1x"))
    yield "samples_negative", file(_fields(_text("training") + b"\x81\xa7samples\xff"))
    yield "samples_float", file(_fields(_text("training") + b"\x81\xa7samples\xcb" + struct.pack(">d", 3.0)))
    yield "custom_is_array", file(_fields(custom + b"\x91\x01"))
    yield "license_without_tier", file(_fields(_text("license") + b"\x82\xa4uuid\xa1x\xa4hash\xa1x"))
    tier = b"\x83\xa4uuid\xa1x\xa4hash\xa1x\xa4tier\xa4Free"
    yield "license_of_unknown_tier", file(_fields(_text("license") + tier))
    seats = b"\x84\xa4uuid\xa1x\xa4hash\xa1x\xa4tier\xa4Team\xa5seats\xcf\x00\x00\x00\x01\x00\x00\x00\x00"
    yield "license_of_2_32_seats", file(_fields(_text("license") + seats))
    yield "card_is_array", file(_fields(_text("model_card") + b"\x91\xa1x"))
    teacher = _text("ensemble_teachers") + b"\x91\x84\xa4hash\xa1x\xaamodel_type\xa3Svm\xabparam_count\x01"
    first = b"\x81\xa7teacher\x84\xa4hash\xa1x\xaamodel_type\xa3Svm"
    yield "endless_teachers", file(_fields(_text("distillation_info") + first + teacher * 200))
    yield "size_of_17_mib", file(_fields(_text("model_name") + struct.pack(">BI", 0xDB, 17 << 20) + b"x" * (17 << 20)))
    large = fixture("real/meta_large_kmeans")
    yield "large_cut", repaired(patched(large, 8, struct.pack("<I", 60_000)))


def odd_files() -> Named:
    """Sound enough to open: what a careful reader reports. The container must not crash on them."""
    rng = random.Random(13)
    for name in ("real/linreg", "real/rfc_even_ties", "real/meta_full_linreg", "real/signed_linreg", "real/rfr"):
        data = fixture(name)
        for _ in range(6):
            bit = rng.randrange(32, 8 * (len(data) - 4))
            yield f"{name.split('/')[1]}_bit_{bit}_crc", flipped(data, bit, repair=True)
    for version in ((0, 0), (0, 255), (1, 255)):
        yield f"version_{version[0]}_{version[1]}", framed(LINREG_PAYLOAD, version=version)
    for flags in (0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFC):
        yield f"flags_{flags:#04x}", framed(LINREG_PAYLOAD, flags=flags)
    yield "reserved_bytes", framed(LINREG_PAYLOAD, tail=b"\xff\x00" + b"\xff" * 8)
    yield "signed_by_nobody", framed(LINREG_PAYLOAD, flags=0x02, after=bytes(96))
    yield "bytes_after_metadata", framed(LINREG_PAYLOAD, metadata=MINIMAL_METADATA + b"rest")
    yield "nan_in_metadata", framed(LINREG_PAYLOAD, metadata=_fields(_text("custom") + b"\x81\xa1a\xca\x7f\xc0\0\0"))
    yield (
        "escape_codes_in_name",
        framed(LINREG_PAYLOAD, metadata=_fields(_text("model_name") + _text("\x1b[2J\x1b]0;x\x07\r\n[bold]"))),
    )
    yield (
        "zstd_skippable_and_two_frames",
        framed(b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zstd_rle(10) + zstd_rle(12), compression=1, claim=22),
    )
