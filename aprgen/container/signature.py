"""Signatures: which bytes they cover, the block that holds them, and what a good one is worth to whom.

The block lies between payload and checksum: all signatures of the suite in order, then all public keys. They cover
every byte before the block, as stored. Knows no keys but those it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from aprgen.container import algorithms, openssl, sodium
from aprgen.container.keys import PublicKey, SecretKey
from aprgen.container.suites import ECDSA_P384, ED25519, ML_DSA_65, Scheme, Suite
from aprgen.errors import SecurityError

ML_DSA_CONTEXT = b"apr-v1-sign"  # a key that also signs other things signs nothing of this kind by accident

_SIGN: Mapping[Scheme, Callable[[bytes, bytes], bytes]] = {
    ED25519: sodium.ed25519_sign,
    ML_DSA_65: lambda secret, message: openssl.ml_dsa_sign(secret, message, ML_DSA_CONTEXT),
    ECDSA_P384: openssl.p384_sign,
}
_VERIFY: Mapping[Scheme, Callable[[bytes, bytes, memoryview], bool]] = {
    ED25519: openssl.ed25519_verify,
    ML_DSA_65: lambda public, signature, message: openssl.ml_dsa_verify(public, signature, message, ML_DSA_CONTEXT),
    ECDSA_P384: openssl.p384_verify,
}


class Streamed(Protocol):
    """A signature whose message comes in windows."""

    def update(self, data: memoryview, /) -> None: ...

    def verify(self) -> bool: ...


_STREAM: Mapping[Scheme, Callable[[bytes, bytes], Streamed]] = {
    ED25519: sodium.Ed25519Stream,
    ML_DSA_65: lambda public, signature: openssl.MlDsaStream(public, signature, ML_DSA_CONTEXT),
    ECDSA_P384: openssl.P384Stream,
}


def sign(message: bytes, secret: SecretKey) -> bytes:
    """The signature block of header, metadata and payload; the header must already say SIGNED and the suite."""
    suite = secret.suite
    pieces = algorithms.split(secret.data, [scheme.secret_bytes for scheme in suite.signing])
    signatures = [_SIGN[scheme](piece, message) for scheme, piece in zip(suite.signing, pieces, strict=True)]
    return b"".join(signatures) + algorithms.public_of(secret).data


def verify(suite: Suite, message: memoryview, signature: bytes, public_key: bytes, where: str) -> None:
    """Raise SecurityError unless every signature of the suite is that of this key, and the key is a sound one."""
    for scheme, one, key in _parts(suite, signature, public_key, where):
        if not _VERIFY[scheme](key, one, message):
            raise _invalid(scheme, where)


def verify_windows(
    suite: Suite, message: Iterable[memoryview], signature: bytes, public_key: bytes, where: str
) -> None:
    """The same of a message that comes in windows, once."""
    parts = _parts(suite, signature, public_key, where)
    streams = [(scheme, _STREAM[scheme](key, one)) for scheme, one, key in parts]
    for window in message:
        for _, stream in streams:
            stream.update(window)
    for scheme, stream in streams:
        if not stream.verify():
            raise _invalid(scheme, where)


def _parts(suite: Suite, signature: bytes, public_key: bytes, where: str) -> list[tuple[Scheme, bytes, bytes]]:
    """Each scheme of the suite with its signature and its key, which is a sound one."""
    algorithms.require_sound(PublicKey(suite, "sign", public_key), where)
    signatures = algorithms.split(signature, [scheme.signature_bytes for scheme in suite.signing])
    keys = algorithms.split(public_key, [scheme.public_bytes for scheme in suite.signing])
    return list(zip(suite.signing, signatures, keys, strict=True))


def _invalid(scheme: Scheme, where: str) -> SecurityError:
    return SecurityError(
        "security.signature",
        f"signature invalid: the file was changed after it was signed ({scheme.name})",
        where=where,
        hint="do not use it; get the signed file again from its author",
    )
