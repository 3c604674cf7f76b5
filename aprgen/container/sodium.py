"""What libsodium computes: checks of Ed25519 keys, X25519, and Argon2id with one lane.

Knows algorithms; no files and no layouts.
"""

from __future__ import annotations

from nacl import bindings
from nacl.exceptions import CryptoError


def ed25519_key_is_sound(public: bytes) -> bool:
    """A canonical point of the prime-order group: no low order, no order with a small factor."""
    return bool(bindings.crypto_core_ed25519_is_valid_point(public))


def ed25519_public(seed: bytes) -> bytes:
    public: bytes = bindings.crypto_sign_seed_keypair(seed)[0]
    return public


def ed25519_sign(seed: bytes, message: bytes) -> bytes:
    _, secret = bindings.crypto_sign_seed_keypair(seed)
    return bindings.crypto_sign(message, secret)[: bindings.crypto_sign_BYTES]


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
