"""Signed and compressed native files on the device: what the callbacks are given, and what their answers decide."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from aprgen.container import write_v1
from aprgen.container.algorithms import new_key
from aprgen.container.protected import sign_v1
from aprgen.container.suites import STANDARD
from aprgen.loaded import load_model
from aprgen.rows import random_rows
from tests.examples import loaded
from tests.hostile.bytesmith import patched
from tests.loader.library import Loader
from tests.loader.test_rows import agrees
from tests.native.payloads import native_file, native_payload


def ed25519(message: bytes, signature: bytes, key: bytes) -> bool:
    """Any key is trusted here: the test is of what the callback gets."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def signed_file(name: str) -> bytes:
    return sign_v1(native_file(name), new_key(STANDARD, "sign"))


def test_signed_files() -> None:
    """The signature that the tool writes verifies over what the loader hands on, and the file is used in place."""
    data = signed_file("rfc")
    loader = Loader()

    assert load_model(data).findings is not None
    assert loader.load_with(data, verify=ed25519, requires_signature=True) == "OK"
    agrees(loader, loaded("rfc").model.lower(), random_rows(loaded("rfc").model.lower(), 50).values)
    assert loader.load(data) == "OK"


def test_refusals() -> None:
    """Unsigned where a signature must be, changed after signing, or of a key that the callback does not trust."""
    data, loader = signed_file("rfc"), Loader()
    weight = len(data) - 4 - 96 - 200

    assert loader.load_with(native_file("rfc"), verify=ed25519, requires_signature=True) == "SIGNATURE"
    assert loader.load_with(native_file("rfc"), verify=ed25519) == "OK"
    assert loader.load_with(patched(data, weight, bytes([data[weight] ^ 1])), verify=ed25519) == "SIGNATURE"
    assert loader.load_with(patched(data, 40, bytes([data[40] ^ 1])), verify=ed25519) == "SIGNATURE"
    assert loader.load_with(data, verify=lambda *parts: False) == "SIGNATURE"
    assert loader.load_with(data, requires_signature=True) == "SIGNATURE"
    stripped = patched(data[:-100] + bytes(4), 21, b"\x10")
    assert loader.load_with(stripped, verify=ed25519, requires_signature=True) == "SIGNATURE"


def zstd(method: int, stored: bytes, size: int) -> bytes | None:
    made = zstandard.ZstdDecompressor().decompressobj().decompress(stored)
    return made if method in (1, 2) and len(made) == size else None


@pytest.mark.parametrize("method", [1, 2])
def test_compressed_files(method: int) -> None:
    """Unpacked into a buffer whose size the header tells, the payload is the same, and so is what it computes."""
    header = loaded("rfc_digits").container
    data = write_v1(4, native_payload("rfc_digits"), header.metadata, method=method, native=True)  # type: ignore[union-attr, arg-type]
    loader = Loader()
    status, file_bytes, buffer = loader.header(data[:32])

    assert (status, file_bytes, buffer) == ("OK", len(data), len(native_payload("rfc_digits")))
    assert load_model(data).record is None
    assert loader.load(data) == "COMPRESSION"
    assert loader.load_with(data, unpack=zstd, buffer=buffer) == "OK"
    agrees(loader, loaded("rfc_digits").model.lower(), random_rows(loaded("rfc_digits").model.lower(), 50).values)
    assert loader.load_with(data, unpack=zstd, buffer=buffer - 1) == "BUFFER"
    assert loader.load_with(data, unpack=zstd, buffer=buffer, offset=4) == "BUFFER"
    assert loader.load_with(data, unpack=zstd) == "BUFFER"
    assert loader.load_with(data, unpack=lambda *parts: None, buffer=buffer) == "COMPRESSION"


def test_sizes_are_known_before() -> None:
    """From 32 bytes: how long a plain file and a signed one are, and that neither needs a buffer."""
    plain, signed = native_file("linreg"), signed_file("linreg")
    loader = Loader()

    assert ("OK", len(plain), 0) == loader.header(plain[:32])
    assert ("OK", len(signed), 0) == loader.header(signed[:32])
    assert loader.header(plain[:31])[0] == "TRUNCATED"
    assert np.prod(loader.header(patched(plain, 8, b"\xff" * 4)[:32])[1:]) == 0
