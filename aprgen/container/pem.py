"""PEM blocks of single keys: PKCS #8 and SubjectPublicKeyInfo, as other programs read and write them.

Knows one key per block and its algorithm; which keys belong together is told by `key_text`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

BLOCK = re.compile(rb"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL)
PUBLIC, SECRET, ENCRYPTED = b"PUBLIC KEY", (b"PRIVATE KEY", b"EC PRIVATE KEY"), b"ENCRYPTED PRIVATE KEY"
PASSED_OVER = b"EC PARAMETERS"  # of `openssl ecparam`: the key after it says the same

# The names of `suites`; P-384 signs and agrees with the same kind of key.
P384 = "P-384"
_SECRET_TYPES = {
    "Ed25519": Ed25519PrivateKey,
    "X25519": X25519PrivateKey,
    "ML-DSA-65": MLDSA65PrivateKey,
    "ML-KEM-768": MLKEM768PrivateKey,
}
_PUBLIC_TYPES = {
    "Ed25519": Ed25519PublicKey,
    "X25519": X25519PublicKey,
    "ML-DSA-65": MLDSA65PublicKey,
    "ML-KEM-768": MLKEM768PublicKey,
}
_P384_BYTES = 48


@dataclass(frozen=True)
class Block:
    algorithm: str
    secret: bool
    data: bytes = field(repr=False)


def read_blocks(text: bytes) -> tuple[Block, ...]:
    """Every key in the text, in order. Raises ValueError, in words for people, for what is no key of aprgen's."""
    return tuple(_read(match[1], match[0] + b"\n") for match in BLOCK.finditer(text) if match[1] != PASSED_OVER)


def _read(label: bytes, block: bytes) -> Block:
    if label == ENCRYPTED:
        raise ValueError("the key itself is encrypted: decrypt it first, for example with `openssl pkey`")
    if label != PUBLIC and label not in SECRET:
        raise ValueError(f"a PEM block {label.decode()!r} holds no key that aprgen uses")
    try:
        if label == PUBLIC:
            return _read_public(block)
        return _read_secret(block)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("the PEM block is damaged, without its seed, or of an algorithm of no suite") from None


def _read_public(block: bytes) -> Block:
    key = load_pem_public_key(block)
    for name, kind in _PUBLIC_TYPES.items():
        if isinstance(key, kind):
            return Block(name, False, key.public_bytes(Encoding.Raw, PublicFormat.Raw))
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP384R1):
        return Block(P384, False, key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
    raise ValueError


def _read_secret(block: bytes) -> Block:
    key = load_pem_private_key(block, None)
    for name, kind in _SECRET_TYPES.items():
        if isinstance(key, kind):
            return Block(name, True, key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP384R1):
        return Block(P384, True, key.private_numbers().private_value.to_bytes(_P384_BYTES, "big"))
    raise ValueError


def write_block(block: Block) -> bytes:
    """The PEM text of a key that has been checked."""
    if block.secret:
        return _secret_key(block).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return _public_key(block).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _secret_key(
    block: Block,
) -> Ed25519PrivateKey | X25519PrivateKey | MLDSA65PrivateKey | MLKEM768PrivateKey | ec.EllipticCurvePrivateKey:
    match block.algorithm:
        case "Ed25519":
            return Ed25519PrivateKey.from_private_bytes(block.data)
        case "X25519":
            return X25519PrivateKey.from_private_bytes(block.data)
        case "ML-DSA-65":
            return MLDSA65PrivateKey.from_seed_bytes(block.data)
        case "ML-KEM-768":
            return MLKEM768PrivateKey.from_seed_bytes(block.data)
        case _:
            return ec.derive_private_key(int.from_bytes(block.data, "big"), ec.SECP384R1())


def _public_key(
    block: Block,
) -> Ed25519PublicKey | X25519PublicKey | MLDSA65PublicKey | MLKEM768PublicKey | ec.EllipticCurvePublicKey:
    match block.algorithm:
        case "Ed25519":
            return Ed25519PublicKey.from_public_bytes(block.data)
        case "X25519":
            return X25519PublicKey.from_public_bytes(block.data)
        case "ML-DSA-65":
            return MLDSA65PublicKey.from_public_bytes(block.data)
        case "ML-KEM-768":
            return MLKEM768PublicKey.from_public_bytes(block.data)
        case _:
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), block.data)
