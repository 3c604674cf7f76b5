"""Signatures: which bytes they cover, the block that holds them, and what a good one is worth to whom.

The block lies between payload and checksum: all signatures of the suite in order, then all public keys. They cover
every byte before the block, as stored. Knows no keys but those it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

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


def sign(message: bytes, secret: SecretKey) -> bytes:
    """The signature block of header, metadata and payload; the header must already say SIGNED and the suite."""
    suite = secret.suite
    pieces = algorithms.split(secret.data, [scheme.secret_bytes for scheme in suite.signing])
    signatures = [_SIGN[scheme](piece, message) for scheme, piece in zip(suite.signing, pieces, strict=True)]
    return b"".join(signatures) + algorithms.public_of(secret).data


def verify(suite: Suite, message: memoryview, signature: bytes, public_key: bytes, where: str) -> None:
    """Raise SecurityError unless every signature of the suite is that of this key, and the key is a sound one."""
    algorithms.require_sound(PublicKey(suite, "sign", public_key), where)
    signatures = algorithms.split(signature, [scheme.signature_bytes for scheme in suite.signing])
    keys = algorithms.split(public_key, [scheme.public_bytes for scheme in suite.signing])
    for scheme, one, key in zip(suite.signing, signatures, keys, strict=True):
        if not _VERIFY[scheme](key, one, message):
            raise SecurityError(
                "security.signature",
                f"signature invalid: the file was changed after it was signed ({scheme.name})",
                where=where,
                hint="do not use it; get the signed file again from its author",
            )
