"""HKDF of RFC 5869, over any hash of hashlib. Knows nothing of what its keys are for."""

from __future__ import annotations

import hashlib
import hmac


def derive(hash_name: str, secret: bytes, info: bytes, size: int, salt: bytes = b"") -> bytes:
    """`size` bytes of key; an empty salt is as many zero bytes as the hash has."""
    digest_bytes = hashlib.new(hash_name).digest_size
    if not 0 < size <= 255 * digest_bytes:
        raise ValueError(f"{size} bytes cannot be derived with {hash_name}")
    extracted = hmac.digest(salt or bytes(digest_bytes), secret, hash_name)
    key = block = b""
    for number in range(1, -(-size // digest_bytes) + 1):
        block = hmac.digest(extracted, block + info + bytes([number]), hash_name)
        key += block
    return key[:size]
