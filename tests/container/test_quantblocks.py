"""Quantized blocks: against the original library's bytes, and K-quants against a reading value by value."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from aprgen.container import quantblocks as q
from aprgen.container.bincode import Vec, decode
from aprgen.container.v1 import read_v1
from tests.container.files import bits, floats, named
from tests.container.test_bincode import QUANTIZED

SPECIALS = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, 3e38, -3e38, 1.0], np.float32)


@pytest.mark.parametrize(
    ("name", "quantize", "dequantize"),
    [
        ("real/qblock_q8_0", q.quantize_q8_0, q.dequantize_q8_0),
        ("real/qblock_q4_0", q.quantize_q4_0, q.dequantize_q4_0),
    ],
)
def test_fixture_blocks(name, quantize, dequantize) -> None:  # type: ignore[no-untyped-def]
    """Bytes and values equal those of the original library, both ways, the padded last block included."""
    expected = named(name).expected
    values = floats(expected["values_f32"])
    blocks = bytes.fromhex(expected["blocks_hex"])

    assert blocks == quantize(values)
    assert bits(floats(expected["dequantized_f32"])) == bits(dequantize(blocks, values.size))


def test_fixture_list() -> None:
    """A list of two tensors, one of each kind, dequantizes to the recorded values."""
    fixture = named("real/qblock_list")
    blocks = decode(Vec(QUANTIZED), read_v1(fixture.data).payload)
    kinds = {"Q8_0": q.dequantize_q8_0, "Q4_0": q.dequantize_q4_0}

    for block, tensor in zip(blocks, fixture.expected["tensors"], strict=True):
        expected = floats(tensor["dequantized_f32"])
        kind, _ = block["quant_type"]  # type: ignore[misc]
        assert bits(expected) == bits(kinds[kind](block["blocks"].tobytes(), expected.size))  # type: ignore[has-type, attr-defined]


def test_rounding_is_half_away_from_zero() -> None:
    """With scale 1, 2.5 becomes 3 and -2.5 becomes -3; the largest value keeps 127."""
    values = np.array([127.0, 2.5, -2.5, 0.49999997, -0.5], np.float32)
    stored = np.frombuffer(q.quantize_q8_0(values), np.int8, offset=2)

    assert [127, 3, -3, 0, -1] == stored[:5].tolist()
    assert [0] * 27 == stored[5:].tolist()


def test_nibbles_of_neighbours_share_a_byte() -> None:
    """Byte i holds value 2i low and 2i+1 high, each plus 8; padding is the nibble of zero."""
    stored = q.quantize_q4_0(np.array([7.0, -7.0, 1.0], np.float32))

    assert stored[2:] == bytes([0x1F, 0x89]) + b"\x88" * 14


def test_special_values_are_quantized_without_noise() -> None:
    """NaN becomes 0, an infinity takes the whole block's scale, and no warning escapes."""
    with np.errstate(all="raise"):
        stored = q.quantize_q8_0(SPECIALS)
        q.quantize_q4_0(SPECIALS)

    assert b"\x00\x7c" == stored[:2]
    assert stored[2:] == bytes(32)


@settings(deadline=None)
@given(npst.arrays(np.float32, st.integers(0, 100), elements=st.floats(-1000, 1000, width=32)))
def test_quantization_error_is_within_half_a_step(values: np.ndarray) -> None:  # type: ignore[type-arg]
    """Per block the error is at most half a scale, and the half's rounding of up to 2^-11 of the value."""
    for quantize, dequantize, levels in (
        (q.quantize_q8_0, q.dequantize_q8_0, 127.0),
        (q.quantize_q4_0, q.dequantize_q4_0, 7.0),
    ):
        again = dequantize(quantize(values), values.size)
        for start in range(0, values.size, 32):
            block = values[start : start + 32].astype(np.float64)
            largest = np.abs(block).max()
            error = np.abs(again[start : start + 32] - block).max()
            # Below 6.1e-5 the half scale is subnormal and loses up to 3e-8 per step.
            assert error <= 0.5 * largest / levels + largest * 2.0**-10 + 3e-8 * levels


@pytest.mark.parametrize("scale", [b"\x00\x7c", b"\x00\xfc", b"\x00\x7e", b"\xff\x03", b"\x01\x80"])
def test_v2_takes_unusable_scales_for_zero(scale: bytes) -> None:
    """Infinite, NaN and subnormal scales give zeros in APR v2; v1 blocks have no such rule."""
    block = scale + bytes([0x19]) * 16

    assert [0.0] * 32 == q.dequantize_q4_v2(block, 32).tolist()
    assert q.dequantize_q4_0(block, 32).tolist() != [0.0] * 32


def test_v2_q8_is_one_scale_and_bytes() -> None:
    """A float32 scale, then signed bytes."""
    data = struct.pack("<f4b", 0.25, -128, 0, 1, 127)

    assert [-32.0, 0.0, 0.25, 31.75] == q.dequantize_q8_v2(data, 4).tolist()


def _half(data: bytes) -> np.float32:
    return np.float32(np.frombuffer(data, "<f2")[0])


def q4_k_by_value(block: bytes) -> list[np.float32]:
    """ggml's Q4_K, one value after the other."""
    d, dmin, packed, body = _half(block[0:2]), _half(block[2:4]), block[4:16], block[16:144]
    values = []
    for group in range(8):
        if group < 4:
            scale, minimum = packed[group] & 63, packed[group + 4] & 63
        else:
            scale = (packed[group + 4] & 15) | (packed[group - 4] >> 6) << 4
            minimum = (packed[group + 4] >> 4) | (packed[group] >> 6) << 4
        for index in range(32):
            byte = body[group // 2 * 32 + index]
            nibble = byte >> 4 if group % 2 else byte & 15
            values.append(d * np.float32(scale) * np.float32(nibble) - dmin * np.float32(minimum))
    return values


def q6_k_by_value(block: bytes) -> list[np.float32]:
    """ggml's Q6_K, one value after the other."""
    low, high, scales, d = block[:128], block[128:192], struct.unpack("16b", block[192:208]), _half(block[208:210])
    values = []
    for index in range(256):
        half, inside = divmod(index, 128)
        run, lane = divmod(inside, 32)
        byte = low[half * 64 + (run % 2) * 32 + lane]
        nibble = byte >> 4 if run >= 2 else byte & 15
        upper = high[half * 32 + lane] >> 2 * run & 3
        values.append(d * np.float32(scales[index // 16]) * np.float32((nibble | upper << 4) - 32))
    return values


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 600), st.randoms(use_true_random=False))
def test_k_quants_value_by_value(n: int, rng) -> None:  # type: ignore[no-untyped-def]
    """Vectorised K-quants equal the plain reading bit for bit, the cut last block included."""
    count = -(-n // 256)
    half = struct.pack("<2e", rng.uniform(-2, 2), rng.uniform(-2, 2))
    q4 = b"".join(half + rng.randbytes(140) for _ in range(count))
    q6 = b"".join(rng.randbytes(208) + half[:2] for _ in range(count))

    expected4 = [value for i in range(count) for value in q4_k_by_value(q4[144 * i : 144 * i + 144])][:n]
    expected6 = [value for i in range(count) for value in q6_k_by_value(q6[210 * i : 210 * i + 210])][:n]
    assert bits(np.array(expected4, np.float32)) == bits(q.dequantize_q4_k(q4, n))
    assert bits(np.array(expected6, np.float32)) == bits(q.dequantize_q6_k(q6, n))
