"""The algorithms behind the names in `suites`: new keys, public keys of secret ones, checks, and splitting of pairs.

Signing and agreeing on secrets stand in `signature` and `encryption`. Heavy to import: only protected files need it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from aprgen.container import openssl, sodium
from aprgen.container.keys import PublicKey, SecretKey, Use
from aprgen.container.suites import (
    ECDH_P384,
    ECDSA_P384,
    ED25519,
    ML_DSA_65,
    ML_KEM_768,
    X25519,
    Exchange,
    Scheme,
    Suite,
)
from aprgen.errors import SecurityError

_X25519_TEST_SECRET = bytes(range(32))  # any: a low order shows with every secret


@dataclass(frozen=True)
class Keys:
    """What can be done with the keys of one algorithm."""

    new_secret: Callable[[], bytes]
    public: Callable[[bytes], bytes]  # of a secret
    is_sound: Callable[[bytes], bool]  # a public key: well formed, and of the full order
    secret_is_sound: Callable[[bytes], bool]


def _any(_: bytes) -> bool:
    """Every string of the right length is a key."""
    return True


def _random(size: int) -> Callable[[], bytes]:
    return lambda: secrets.token_bytes(size)


_P384 = Keys(
    openssl.p384_new_secret, openssl.p384_public, openssl.p384_key_is_sound, openssl.p384_secret_is_sound
)  # fmt: skip

_KEYS: Mapping[Scheme | Exchange, Keys] = {
    ED25519: Keys(_random(32), sodium.ed25519_public, sodium.ed25519_key_is_sound, _any),
    ML_DSA_65: Keys(_random(32), openssl.ml_dsa_public, _any, _any),
    ECDSA_P384: _P384,
    X25519: Keys(
        _random(32), sodium.x25519_public, lambda key: sodium.x25519_agree(_X25519_TEST_SECRET, key) is not None, _any
    ),
    ML_KEM_768: Keys(_random(64), openssl.ml_kem_public, openssl.ml_kem_key_is_sound, _any),
    ECDH_P384: _P384,
}


def members(suite: Suite, use: Use) -> tuple[Scheme | Exchange, ...]:
    return suite.signing if use == "sign" else suite.exchange


def split(data: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """Fields in a row, of these sizes; they take all of `data`."""
    assert len(data) == sum(sizes)
    position = 0
    for size in sizes:
        yield data[position : position + size]
        position += size


def new_key(suite: Suite, use: Use) -> SecretKey:
    return SecretKey(suite, use, b"".join(_KEYS[member].new_secret() for member in members(suite, use)))


def public_of(secret: SecretKey) -> PublicKey:
    parts = members(secret.suite, secret.use)
    data = b"".join(
        _KEYS[part].public(piece)
        for part, piece in zip(parts, split(secret.data, [part.secret_bytes for part in parts]), strict=True)
    )
    return PublicKey(secret.suite, secret.use, data)


def require_sound(key: PublicKey, where: str) -> None:
    """Refuse a key that is no key, or one of low order, for which anyone can make signatures or find secrets."""
    parts = members(key.suite, key.use)
    for part, piece in zip(parts, split(key.data, [part.public_bytes for part in parts]), strict=True):
        if not _KEYS[part].is_sound(piece):
            raise SecurityError(
                "security.key",
                f"the {part.name} public key {piece[:8].hex()}... is malformed or of low order",
                where=where,
                hint="nobody makes such a key by accident: get the file, and its author's key, from where you trust",
            )


def require_sound_secret(key: SecretKey, where: str) -> None:
    parts = members(key.suite, key.use)
    for part, piece in zip(parts, split(key.data, [part.secret_bytes for part in parts]), strict=True):
        if not _KEYS[part].secret_is_sound(piece):
            raise SecurityError(
                "security.key", f"the secret is no {part.name} key", where=where, hint="make one with aprgen keygen"
            )
