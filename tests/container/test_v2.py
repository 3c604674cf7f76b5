"""APR v2: tensors against the original reader, every element type, and every refusal."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.container import AprV2File, Limits, inspect_container, inspect_v2, open_container, read_v2
from aprgen.container.tensortypes import TENSOR_TYPES
from aprgen.errors import AprgenError
from tests.container import files
from tests.container.files import Fixture, bits, floats
from tests.hostile.v2files import ONE, TWO, built, sealed

EVERY_V2 = pytest.mark.parametrize("fixture", files.V2, ids=lambda fixture: fixture.name)


def refusal(data: bytes, limits: Limits | None = None) -> AprgenError:
    with pytest.raises(AprgenError) as caught:
        open_container(data, limits or Limits())
    return caught.value


@EVERY_V2
def test_tensors_of_fixture(fixture: Fixture) -> None:
    """Names, types, shapes and values equal the original reader's, bit for bit."""
    expected = fixture.expected
    file = open_container(fixture.data)
    assert isinstance(file, AprV2File)

    assert [tensor["name"] for tensor in expected["tensors"]] == [tensor.name for tensor in file.tensors]
    for tensor, found in zip(expected["tensors"], file.tensors, strict=True):
        assert tuple(tensor["shape"]) == found.values.shape
        assert (tensor["offset"], tensor["size"]) == (found.entry.offset, found.entry.size)
        assert bits(floats(tensor["values_f32"])) == bits(found.values)
        assert not found.values.flags.writeable


@EVERY_V2
def test_metadata_of_fixture(fixture: Fixture) -> None:
    """The JSON metadata is read whole, unknown keys and nulls included; flags are named."""
    file = read_v2(fixture.data)

    assert fixture.expected["metadata"] == file.metadata
    assert fixture.expected["flags"] == file.header.flags
    assert "ROW_MAJOR" in file.header.flag_names
    assert () == file.findings


def test_tensor_by_name() -> None:
    """A tensor is found by its name, or not at all."""
    file = read_v2(built(ONE, struct.pack("<2f", 1.0, -2.0)))
    tensor = file.tensor("layer0.bias")
    assert tensor is not None

    assert [1.0, -2.0] == tensor.values.tolist()
    assert file.tensor("layer1.bias") is None


@pytest.mark.parametrize(
    ("kind", "name", "data", "values"),
    [
        (0, "F32", struct.pack("<2f", 1.5, -2.0), [1.5, -2.0]),
        (1, "F16", struct.pack("<2e", 1.5, -2.0), [1.5, -2.0]),
        (2, "BF16", b"\xc0\x3f\x00\xc0", [1.5, -2.0]),
        (30, "BF16", b"\xc0\x3f\x00\xc0", [1.5, -2.0]),
        (3, "F64", struct.pack("<2d", 1.5, 1.0 + 2.0**-24 + 2.0**-50), [1.5, 1.0 + 2.0**-23]),
        (4, "I32", struct.pack("<2i", -5, (1 << 24) + 1), [-5.0, float(1 << 24)]),
        (5, "I64", struct.pack("<2q", -5, 1 << 62), [-5.0, 2.0**62]),
        (6, "I8", b"\x80\x7f", [-128.0, 127.0]),
        (7, "U8", b"\x80\x7f", [128.0, 127.0]),
        (8, "Q4", b"\x00\x38" + b"\x1f" + b"\0" * 15, [3.5, -3.5]),
        (128, "Q4", b"\x00\x38" + b"\x1f" + b"\0" * 15, [3.5, -3.5]),
        (9, "Q8", struct.pack("<f2b", 0.5, -3, 4), [-1.5, 2.0]),
        (129, "Q8", struct.pack("<f2b", 0.5, -3, 4), [-1.5, 2.0]),
        (12, "Q4_K", b"\x00\x3c\x00\x3c" + b"\x02\0\0\0\x01\0\0\0" + bytes(4) + b"\x05\x06" + bytes(126), [9.0, 11.0]),
        (14, "Q6_K", b"\x05\x06" + bytes(190) + b"\x02" + bytes(15) + b"\x00\x3c", [-54.0, -52.0]),
    ],
)
def test_element_types(kind: int, name: str, data: bytes, values: list[float]) -> None:
    """Every element type becomes float32, rounded to nearest where it is wider."""
    tensor = read_v2(built([(b"t", kind, (2,), 0, len(data))], data)).tensors[0]

    assert name == tensor.entry.type.name
    assert values == tensor.values.tolist()


def test_shapes() -> None:
    """A scalar has one element, a shape with a zero none; eight dimensions are read."""
    entries = [(b"a", 0, (), 0, 4), (b"b", 0, (3, 0), 4, 0), (b"c", 0, (1,) * 7 + (2,), 4, 8)]
    file = read_v2(built(entries, bytes(12)))

    assert [(), (3, 0), (1, 1, 1, 1, 1, 1, 1, 2)] == [tensor.values.shape for tensor in file.tensors]


@pytest.mark.parametrize("kind", sorted(TENSOR_TYPES))
def test_empty_tensors(kind: int) -> None:
    """A tensor without elements is read, whatever its type."""
    size = TENSOR_TYPES[kind].stored_bytes(0)
    tensor = read_v2(built([(b"t", kind, (0, 5), 0, size)], TWO)).tensors[0]

    assert (0, 5) == tensor.values.shape


GOOD = built(ONE, TWO)
HEADER_DAMAGED = GOOD[:50] + b"?" + GOOD[51:]

# name: (file, code, words of the message, words of the place, exit status)
CASES: dict[str, tuple[bytes, str, str, str, int]] = {
    "short": (GOOD[:67], "container.truncated", "67 bytes", "byte 67", 3),
    "tsp": (b"APR\0\1\0\0\0" + bytes(80), "container.tsp", "aprender-tsp", "byte 4", 5),
    "version": (built(ONE, TWO, version=(3, 1)), "container.version", "3.1", "byte 4", 3),
    "header_crc": (
        sealed(GOOD[:64], GOOD[64:-4])[:40] + b"\0\0\0\0" + GOOD[44:],
        "container.crc",
        "header",
        "byte 40",
        3,
    ),
    "header_byte": (HEADER_DAMAGED, "container.crc", "header checksum", "byte 40", 3),
    "footer_crc": (GOOD[:-6] + b"?" + GOOD[-5:], "container.crc", "checksum mismatch", f"byte {len(GOOD) - 4}", 3),
    "encrypted": (built(ONE, TWO, flags=0x0404), "security.encrypted", "encrypted", "byte 6", 4),
    "signed": (built(ONE, TWO, flags=0x0408), "security.signature", "no place for a signature", "byte 6", 4),
    "lz4": (built(ONE, TWO, flags=0x0401), "container.flags", "compressed", "byte 6", 5),
    "zstd": (built(ONE, TWO, flags=0x0402), "container.flags", "compressed", "byte 6", 5),
    "sharded": (built(ONE, TWO, flags=0x0410), "container.flags", "one shard of several", "byte 6", 5),
    "column_major": (built(ONE, TWO, flags=0x0C00), "container.layout", "column-major", "byte 6", 3),
    "metadata_bounds": (built(ONE, TWO, metadata_size=1 << 20), "container.bounds", "outside the file", "byte 12", 3),
    "index_in_header": (built(ONE, TWO, index_offset=8), "container.bounds", "tensor index at byte 8", "byte 24", 3),
    "index_in_metadata": (built(ONE, TWO, index_offset=70), "container.bounds", "inside the metadata", "byte 24", 3),
    "data_outside": (built(ONE, TWO, data_offset=1 << 40), "container.bounds", "data at 1099511627776", "byte 24", 3),
    "count": (built(ONE, TWO, count=1 << 31), "container.limit", "2147483648 tensors", "byte 8", 3),
    "index_short": (built(ONE, TWO, count=2, data_offset=167), "container.index", "runs into the data", "entry 1", 3),
    "tensor_outside": (built([(b"a", 0, (2,), 8, 8)], TWO), "container.bounds", "ends 16 bytes into", "entry 0", 3),
    "tensor_wraps": (
        built([(b"a", 0, (2,), (1 << 64) - 8, 8)], TWO),
        "container.bounds",
        "ends 18446744073709551616 bytes into a data section of 8",
        "entry 0",
        3,
    ),
    "shape_wraps": (
        built([(b"a", 0, (1 << 62, 4), 0, 0)], TWO),
        "container.tensor",
        "takes 73786976294838206464 bytes as F32, the index says 0",
        "entry 0",
        3,
    ),
    "size": (built([(b"a", 8, (33,), 0, 18)], bytes(18)), "container.tensor", "takes 36 bytes as Q4", "entry 0", 3),
    "dtype": (built([(b"a", 10, (2,), 0, 8)], TWO), "container.dtype", "unknown type 10", "entry 0", 3),
    "dimensions": (built([(b"a", 0, (1,) * 9, 0, 4)], TWO), "container.index", "9 dimensions", "entry 0", 3),
    "order": (
        built([(b"b", 0, (1,), 0, 4), (b"a", 0, (1,), 4, 4)], TWO),
        "container.index",
        "'a' is not in the order of names",
        "entry 1",
        3,
    ),
    "repeated": (
        built([(b"a", 0, (1,), 0, 4), (b"a", 0, (1,), 4, 4)], TWO),
        "container.index",
        "'a' repeats a name",
        "entry 1",
        3,
    ),
    "name": (built([(b"\xff", 0, (2,), 0, 8)], TWO), "container.index", "no UTF-8", "entry 0", 3),
    "long_name": (built([(b"a" * 257, 0, (2,), 0, 8)], TWO), "container.index", "257 bytes", "entry 0", 3),
    "json": (built(ONE, TWO, metadata=b"{'a': 1}"), "container.metadata", "no JSON", "byte 65", 3),
    "json_array": (built(ONE, TWO, metadata=b"[1]"), "container.metadata", "no JSON object", "byte 64", 3),
    "json_repeated": (built(ONE, TWO, metadata=b'{"a":1,"a":2}'), "container.metadata", "occurs twice", "byte 64", 3),
    "json_nan": (built(ONE, TWO, metadata=b'{"a":NaN}'), "container.metadata", "NaN is no JSON", "byte 64", 3),
    "json_huge": (built(ONE, TWO, metadata=b'{"a":1e999}'), "container.metadata", "too large", "byte 64", 3),
    "json_utf8": (built(ONE, TWO, metadata=b'{"a":"\xff"}'), "container.metadata", "no UTF-8", "byte 70", 3),
    "json_surrogate": (built(ONE, TWO, metadata=b'{"a":"\\udc00"}'), "container.metadata", "surrogate", "byte 64", 3),
    "json_deep": (built(ONE, TWO, metadata=b"[" * 99_999), "container.metadata", "nested too deep", "byte 64", 3),
    "json_digits": (
        built(ONE, TWO, metadata=b'{"a":' + b"1" * 5000 + b"}"),
        "container.metadata",
        "a number cannot be read",
        "byte 64",
        3,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_refused(case: tuple[bytes, str, str, str, int]) -> None:
    """Each check has its code, its message, its place, a hint, and an exit status."""
    data, code, what, where, status = case
    error = refusal(data)

    assert (code, status) == (error.code, error.exit_status)
    assert what in error.what
    assert where in error.where
    assert error.hint


def test_limits() -> None:
    """File, metadata, tensor count and unpacked values are limited, each by name."""
    assert "Limits.file_bytes" in refusal(GOOD, Limits(file_bytes=100)).hint
    assert "Limits.json_bytes" in refusal(GOOD, Limits(json_bytes=5)).hint
    assert "Limits.tensors" in refusal(GOOD, Limits(tensors=0)).hint
    assert "Limits.payload_bytes" in refusal(GOOD, Limits(payload_bytes=7)).hint


@pytest.mark.parametrize(
    ("data", "finding"),
    [
        (built(ONE, TWO, flags=0), "ROW_MAJOR flag is missing"),
        (built(ONE, TWO, flags=0x8400), "unknown flags 0x8000"),
        (built(ONE, TWO, reserved=bytes(19) + b"\1"), "reserved header bytes"),
        (built([(b"a", 0, (1,), 4, 4)], TWO), "is not aligned to 64 bytes"),
        (built([(b"a", 0, (2,), 0, 8), (b"b", 0, (1,), 0, 4)], TWO), "overlaps another one"),
        (built(ONE, TWO + b"hidden"), "bytes after the last tensor"),
        (built([(b"a", 0, (1,), 64, 4)], b"x" + bytes(67)), "bytes before tensor 'a'"),
    ],
)
def test_reported(data: bytes, finding: str) -> None:
    """What is odd but harmless opens, with one finding that says so."""
    findings = read_v2(data).findings

    assert 1 == len(findings)
    assert finding in findings[0]


def test_inspection_lists_every_problem() -> None:
    """Header, footer, flags and index are judged independently; what can be shown is shown."""
    data = built([(b"a", 77, (2,), 0, 8)], TWO, flags=0x0404, metadata=b"{")
    found = inspect_v2(data[:-1] + bytes([data[-1] ^ 1]))

    assert [problem.code for problem in found.problems] == [
        "container.crc",
        "security.encrypted",
        "container.metadata",
        "container.dtype",
    ]
    assert found.header is not None
    assert not found.crc_valid
    assert () == inspect_container(GOOD).problems


@settings(deadline=None)
@given(st.integers(0, 8 * len(GOOD) - 1))
def test_no_flipped_bit_passes(bit: int) -> None:
    """Header and footer checksum together notice every single flipped bit."""
    data = bytearray(GOOD)
    data[bit // 8] ^= 1 << bit % 8

    assert refusal(bytes(data)).exit_status in (3, 5)


def test_half_floats_are_exact() -> None:
    """All 63,488 finite half floats become the same number as float32."""
    every = np.arange(1 << 16, dtype="<u2")
    halves = every.view("<f2")
    data = every[np.isfinite(halves)].tobytes()
    tensor = read_v2(built([(b"t", 1, (63_488,), 0, len(data))], data)).tensors[0]

    assert halves[np.isfinite(halves)].astype(np.float64).tolist() == tensor.values.astype(np.float64).tolist()
