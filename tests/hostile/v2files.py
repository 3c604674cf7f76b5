"""Damaged and hostile APR v2 files."""

from __future__ import annotations

import json
import random
import struct
import zlib

from tests.hostile.bytesmith import Named, fixture, flipped, with_crc

Entry = tuple[bytes, int, tuple[int, ...], int, int]  # name, type, shape, offset, size


def sealed(header: bytes, rest: bytes) -> bytes:
    """Both checksums made valid; `header` is 64 bytes, its checksum field anything."""
    crc = struct.pack("<I", zlib.crc32(header[:40] + header[44:]))
    return with_crc(header[:40] + crc + header[44:] + rest)


def packed(entry: Entry) -> bytes:
    name, kind, shape, offset, size = entry
    dims = struct.pack(f"<{len(shape)}Q", *shape)
    return struct.pack("<H", len(name)) + name + bytes([kind, len(shape)]) + dims + struct.pack("<QQ", offset, size)


def built(
    entries: list[Entry],
    data: bytes = b"",
    *,
    metadata: bytes = b'{"model_type": "x"}',
    flags: int = 0x0400,
    count: int | None = None,
    version: tuple[int, int] = (2, 0),
    metadata_offset: int = 64,
    metadata_size: int | None = None,
    index_offset: int | None = None,
    data_offset: int | None = None,
    reserved: bytes = bytes(20),
) -> bytes:
    """A v2 file that claims what it is told."""
    index = b"".join(packed(entry) for entry in entries)
    index_at = 64 + len(metadata) + -len(metadata) % 64
    data_at = index_at + len(index) + -len(index) % 64
    header = struct.pack(
        "<4sBBHIQIQQI20s",
        b"APR\0",
        *version,
        flags,
        len(entries) if count is None else count,
        metadata_offset,
        len(metadata) if metadata_size is None else metadata_size,
        index_at if index_offset is None else index_offset,
        data_at if data_offset is None else data_offset,
        0,
        reserved,
    )
    body = metadata.ljust(index_at - 64, b"\0") + index.ljust(data_at - index_at, b"\0")
    return sealed(header, body + data)


ONE = [(b"layer0.bias", 0, (2,), 0, 8)]
TWO = bytes(8)


def damaged() -> Named:
    """What the reader must refuse."""
    good = fixture("v2/v2_mlp_f32")
    for mark in (4, 5, 6, 40, 63, 64, 67, 68, 100, 640, 959, 960, 1000, len(good) - 5, len(good) - 1):
        yield f"to_{mark}", good[:mark]
        if 68 < mark < len(good) - 100:
            yield f"to_{mark}_crc", with_crc(good[:mark])
    rng = random.Random(19)
    for _ in range(12):
        bit = rng.randrange(32, 8 * len(good))
        yield f"bit_{bit}", flipped(good, bit, repair=False)
    for flags in (0x0401, 0x0402, 0x0404, 0x0408, 0x0410, 0x0C00, 0x0800, 0x041F):
        yield f"flags_{flags:#06x}", built(ONE, TWO, flags=flags)
    yield "tsp", b"APR\0" + struct.pack("<III", 1, 0x54535000, 0) + bytes(100)
    yield "version_3", built(ONE, TWO, version=(3, 0))
    yield "header_crc", with_crc(good[:40] + b"\0\0\0\0" + good[44:-4])
    for count in (2, 100, 0xFFFFFFFF):
        yield f"count_{count}", built(ONE, TWO, count=count)
    for size in (0, 1, 18, 20, 70, 0xFFFFFFFF):
        yield f"metadata_size_{size}", built(ONE, TWO, metadata_size=size)
    for offset in (0, 63, 65, 1 << 20, (1 << 64) - 1):
        yield f"metadata_offset_{offset}", built(ONE, TWO, metadata_offset=offset)
        yield f"index_offset_{offset}", built(ONE, TWO, index_offset=offset)
        yield f"data_offset_{offset}", built(ONE, TWO, data_offset=offset)
    for offset, size in ((1, 8), (0, 9), ((1 << 64) - 8, 8), (1 << 63, 1 << 63), (0, 0), (64, 8)):
        yield f"tensor_at_{offset}_size_{size}", built([(b"a", 0, (2,), offset, size)], TWO)
    for shape in ((3,), (1 << 62, 4), (1 << 32, 1 << 32), (1 << 63, 2), (0, 1 << 63), ((1 << 64) - 1,) * 8):
        yield f"shape_{'x'.join(map(str, shape))[:60]}", built([(b"a", 0, shape, 0, 8)], TWO)
    yield "nine_dimensions", built([(b"a", 0, (1,) * 9, 0, 4)], TWO)
    yield "255_dimensions", built([(b"a", 0, (1,) * 255, 0, 4)], TWO)
    for kind in (10, 11, 13, 15, 31, 127, 130, 255):
        yield f"type_{kind}", built([(b"a", kind, (2,), 0, 8)], TWO)
    yield "names_out_of_order", built([(b"b", 0, (1,), 0, 4), (b"a", 0, (1,), 4, 4)], TWO)
    yield "names_repeated", built([(b"a", 0, (1,), 0, 4), (b"a", 0, (1,), 4, 4)], TWO)
    yield "name_no_utf8", built([(b"\xff\xfe", 0, (2,), 0, 8)], TWO)
    yield "name_of_300", built([(b"a" * 300, 0, (2,), 0, 8)], TWO)
    yield "name_of_65535", built([(b"a" * 65_535, 0, (2,), 0, 8)], TWO)
    many = [(f"t{number:05}".encode(), 0, (2,), 0, 8) for number in range(10_000)]
    yield "tensors_10000", built(many, TWO)
    overlapping = [(f"t{number:04}".encode(), 0, (1 << 20,), 0, 4 << 20) for number in range(100)]
    yield "tensors_100_on_4_mib", built(overlapping, bytes(4 << 20))
    yield "q4_of_60_million", built([(b"a", 8, (60_000_000,), 0, 33_750_000)], bytes(33_750_000))
    for name, metadata in _json_bombs():
        yield f"json_{name}", built(ONE, TWO, metadata=metadata)


def _json_bombs() -> Named:
    yield "nothing", b" "
    yield "array", b"[]"
    yield "number", b"7"
    yield "cut", b'{"model_type": '
    yield "deep_arrays", b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    yield "deep_objects", b'{"a": ' * 100_000 + b"1" + b"}" * 100_000
    yield "repeated", b'{"a": 1, "a": 2}'
    yield "nan", b'{"a": NaN}'
    yield "infinity", b'{"a": -Infinity}'
    yield "too_large", b'{"a": 1e999}'
    yield "many_digits", b'{"a": ' + b"9" * 5000 + b"}"
    yield "surrogate", b'{"a": "\\ud800"}'
    yield "no_utf8", b'{"a": "\xff"}'
    yield "byte_order_mark", b"\xef\xbb\xbf{}"
    yield "size_of_5_mib", json.dumps({"a": "x" * (5 << 20)}).encode()


def odd() -> Named:
    """Opens, or fails later: tensors that form no network, values that are no numbers."""
    yield "no_tensors", built([])
    yield "bias_only", built(ONE, TWO)
    yield "nan_values", built(ONE, struct.pack("<2f", float("nan"), 1.0))
    yield "unknown_flags", built(ONE, TWO, flags=0xF400)
    yield "no_layout_flag", built(ONE, TWO, flags=0)
    yield "reserved_bytes", built(ONE, TWO, reserved=b"\xff" * 20)
    yield "scalar", built([(b"layer0.bias", 0, (), 0, 4)], TWO)
    for kind in (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 14, 30, 128):
        yield f"empty_type_{kind}", built([(b"layer0.bias", kind, (0,), 0, 0)])
    yield "unaligned", built([(b"a", 0, (1,), 3, 4)], TWO)
    yield "overlapping", built([(b"a", 0, (2,), 0, 8), (b"b", 0, (2,), 0, 8)], TWO)
    yield "half_infinite", built([(b"layer0.bias", 1, (4,), 0, 8)], b"\x00\x7c" * 4)
    yield "q8_scale_nan", built([(b"layer0.bias", 9, (4,), 0, 8)], struct.pack("<f4b", float("nan"), 1, 2, 3, 4))
    yield "q4_scale_infinite", built([(b"layer0.bias", 8, (32,), 0, 18)], b"\x00\x7c" + b"\x98" * 16)
    yield "f64_too_large", built([(b"layer0.bias", 3, (1,), 0, 8)], struct.pack("<d", 1e300))
    shapes = [(b"layer0.bias", 0, (2,), 0, 8), (b"layer0.weight", 0, (3, 2), 64, 24)]
    yield "bias_and_weight_disagree", built(shapes, bytes(88))
    yield "deep_json_50", built(ONE, TWO, metadata=b'{"a": ' + b"[" * 50 + b"]" * 50 + b"}")
    yield "bytes_after_tensors", built(ONE, TWO + b"more")
    good = fixture("v2/v2_mlp_q8")
    rng = random.Random(23)
    for _ in range(8):
        bit = rng.randrange(8 * 64, 8 * (len(good) - 4))
        yield f"bit_{bit}_crc", flipped(good, bit, repair=True)
