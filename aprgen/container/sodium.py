"""What libsodium computes: checks of Ed25519 keys, X25519, and Argon2id with one lane.

Knows algorithms; no files and no layouts.
"""

from __future__ import annotations

import hashlib

from nacl import bindings
from nacl.exceptions import CryptoError

ED25519_ORDER = (1 << 252) + 27742317777372353535851937790883648493


def ed25519_key_is_sound(public: bytes) -> bool:
    """A canonical point of the prime-order group: no low order, no order with a small factor."""
    return bool(bindings.crypto_core_ed25519_is_valid_point(public))


def ed25519_public(seed: bytes) -> bytes:
    public: bytes = bindings.crypto_sign_seed_keypair(seed)[0]
    return public


def ed25519_sign(seed: bytes, message: bytes) -> bytes:
    _, secret = bindings.crypto_sign_seed_keypair(seed)
    return bindings.crypto_sign(message, secret)[: bindings.crypto_sign_BYTES]


class Ed25519Stream:
    """A message in windows: the equation of RFC 8032, section 5.1.7, without the cofactor, as OpenSSL checks it.

    The key must have been checked before.
    """

    def __init__(self, public: bytes, signature: bytes) -> None:
        self._public, self._r, self._s = public, signature[:32], signature[32:]
        self._hash = hashlib.sha512(self._r + public)

    def update(self, data: memoryview) -> None:
        self._hash.update(data)

    def verify(self) -> bool:
        if int.from_bytes(self._s, "little") >= ED25519_ORDER:
            return False
        scalar = bindings.crypto_core_ed25519_scalar_reduce(self._hash.digest())
        try:
            left = bindings.crypto_scalarmult_ed25519_base_noclamp(self._s)
            right = bindings.crypto_scalarmult_ed25519_noclamp(scalar, self._public)
            expected: bytes = bindings.crypto_core_ed25519_sub(left, right)
        except (CryptoError, RuntimeError):  # a product that is no point of the group, which no signer makes
            return False
        return expected == self._r


def x25519_public(secret: bytes) -> bytes:
    return bindings.crypto_scalarmult_base(secret)


def x25519_agree(secret: bytes, public: bytes) -> bytes | None:
    """The shared secret; None for a public key of low order, which would make it the same for everyone."""
    try:
        return bindings.crypto_scalarmult(secret, public)
    except (CryptoError, RuntimeError):  # libsodium refuses an all-zero result
        return None


def argon2id(password: bytes, salt: bytes, *, memory_kib: int, passes: int, size: int) -> bytes:
    """Argon2id, version 0x13, one lane, without secret or associated data."""
    return bindings.crypto_pwhash_alg(
        size, password, salt, passes, memory_kib * 1024, bindings.crypto_pwhash_ALG_ARGON2ID13
    )
