"""Bytes in a bundle: the rule, wishes, files that must stay as they are, and that nothing but the payload changes."""

from __future__ import annotations

import numpy as np
import pytest

from aprgen.bundle.compile import BundleOptions, compile_bundle
from aprgen.bundle.storage import Compression, store
from aprgen.container import Inspection, compression, inspect_container, read_v1
from aprgen.container.header import TRUENO_NATIVE
from aprgen.errors import AprgenError, UsageError
from aprgen.target import load_target
from tests.bundle.examples import bundle, wish
from tests.examples import PATHS, plain_file
from tests.hostile.bytesmith import patched
from tests.native.payloads import native_file


def stored(data: bytes, form: Compression = "auto"):  # type: ignore[no-untyped-def]
    return store(data, inspect_container(data), form, "model")


def noise(n: int) -> bytes:
    return plain_file(0xFF, np.random.RandomState(1).bytes(n))


@pytest.mark.parametrize(
    ("data", "packed", "reason"),
    [
        (plain_file(0xFF, bytes(512)), False, "no more than 512 bytes"),
        (plain_file(0xFF, bytes(513)), True, "zstd saves"),
        (noise(5000), False, "saves less than 10 %"),
        (PATHS["kmeans"].read_bytes(), True, "zstd saves"),
        (PATHS["rfc_digits"].read_bytes(), False, "compressed already"),
        (PATHS["signed_dtc"].read_bytes(), False, "it is signed"),
        (PATHS["encpw_kmeans"].read_bytes(), False, "it is encrypted"),
        (PATHS["v2_mlp_f32"].read_bytes(), False, "it is no v1 file"),
        (patched(plain_file(0xFF, bytes(9000)), 21, bytes([TRUENO_NATIVE])), False, "used in place"),
    ],
)
def test_the_rule(data: bytes, packed: bool, reason: str) -> None:
    """zstd where it saves a tenth of a payload over 512 bytes; never what is signed, encrypted, packed or in place."""
    result = stored(data)

    assert (packed, True) == (result.data != data, reason in result.reason)
    assert len(result.data) <= len(data)


def test_the_rule_is_exact_at_a_tenth() -> None:
    """Of payloads half noise and half zeros in other shares: packed exactly when a tenth is saved."""
    for share in range(0, 40, 2):
        payload = np.random.RandomState(2).bytes(4000 - 40 * share) + bytes(40 * share)
        data = plain_file(0xFF, payload)
        packed = stored(data, "zstd").data
        saves = 100 * (len(data) - len(packed)) >= 10 * len(payload)

        assert saves == (stored(data).data == packed)


@pytest.mark.parametrize("form", ["none", "zstd", "lz4"])
@pytest.mark.parametrize("name", ["rfc_digits", "kmeans", "meta_large_kmeans"])
def test_packing_changes_the_payload_only(name: str, form: Compression) -> None:
    """The same metadata bytes and payload, other header fields as they were, a valid checksum; and back again."""
    data = PATHS[name].read_bytes()
    before, after = read_v1(data), read_v1(stored(data, form).data)
    packed = stored(data, form).data

    assert (before.payload, before.metadata) == (after.payload, after.metadata)
    assert data[32 : before.header.payload_start] == packed[32 : after.header.payload_start]
    assert (before.header.flags, before.header.quality, before.header.uncompressed_size) == (
        after.header.flags, after.header.quality, after.header.uncompressed_size
    )  # fmt: skip
    assert stored(packed, "none").data == stored(data, "none").data


@pytest.mark.parametrize("name", ["signed_dtc", "encpw_kmeans", "v2_mlp_f32"])
def test_wishes_that_would_break_a_file_are_refused(name: str) -> None:
    """Packing a signed file would break its signature."""
    with pytest.raises(UsageError, match="cannot be compressed anew"):
        stored(PATHS[name].read_bytes(), "zstd")
    assert stored(PATHS[name].read_bytes(), "keep").data == PATHS[name].read_bytes()


def test_a_frame_asks_for_no_more_than_its_payload() -> None:
    """The window in the frame's header is the next power of two, where level 19 alone asks for 8 MiB."""
    payload = np.random.RandomState(3).bytes(3000) * 2
    frame = compression.compress(compression.ZSTD_MAX, payload, small_window=True)
    wide = compression.compress(compression.ZSTD_MAX, payload)

    def window_log(data: bytes) -> int:
        assert not data[4] & 0x20, "no window: a single segment"
        return 10 + (data[5] >> 3)

    assert (13, 23) == (window_log(frame), window_log(wide))
    assert compression.decompress(compression.ZSTD_MAX, frame, len(payload)) == payload


def test_the_registry_tells_where_the_bytes_are() -> None:
    """Offsets are multiples of 8, the files are behind them in the C, and checksums are the files' own."""
    made = bundle("linreg", "kmeans:both", "rfc:both", "signed_dtc:bytes")
    text = made.texts["fleet.c"]
    begin = text.index("fleet_data[FLEET_DATA_BYTES]")
    numbers = text[text.index("{", begin) + 1 : text.index("}", begin)].split(",")[:-1]
    data = bytes(map(int, numbers))
    models = made.manifest["models"]
    assert isinstance(models, list)

    for member, facts in zip(made.members, models, strict=True):
        if member.stored is not None:
            at = facts["data"]["offset"]
            assert at % 8 == 0
            assert member.stored.data == data[at : at + facts["data"]["bytes"]]
            found = inspect_container(member.stored.data)
            assert isinstance(found, Inspection)
            assert (f"{found.crc_actual:08x}", True) == (facts["crc32"], found.crc_valid)
    assert models[0]["data"] is None


def test_payloads_used_in_place_are_aligned() -> None:
    """Behind a file of odd size, one with the flag TRUENO_NATIVE begins at a multiple of 64, and so does the whole."""
    wishes = [wish("linreg:bytes"), wish("kmeans:bytes", data=native_file("kmeans")), wish("rfc:bytes")]
    made = compile_bundle(wishes, load_target("host"), BundleOptions("fleet"))

    assert (0, 192) == made.emitted.offsets[:2]
    assert made.emitted.offsets[2] % 8 == 0
    assert "__attribute__((aligned(64)))" in made.texts["fleet.c"]


def test_files_that_nobody_here_understands_can_be_bytes() -> None:
    """A sound file with a payload of its author's own has no rows and no code, and is in the registry."""
    strange = plain_file(0xFF, b"what only its author can read" * 30)
    made = compile_bundle([wish("linreg"), wish("linreg:bytes", name="own", data=strange)], load_target("host"),
                          BundleOptions("fleet"))  # fmt: skip
    models = made.manifest["models"]
    assert isinstance(models, list)

    assert (["bytes"], 255, 0) == (models[1]["has"], models[1]["model_type"], models[1]["selftest"]["rows"])
    assert "own: not decoded (payload." in made.texts["fleet.h"]
    with pytest.raises(AprgenError):
        compile_bundle([wish("linreg", data=strange)], load_target("host"), BundleOptions("fleet"))
