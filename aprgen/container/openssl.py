"""What OpenSSL computes: AES-256-GCM, Ed25519 over long messages, P-384, ML-DSA-65, ML-KEM-768, Argon2id with lanes.

libsodium has no AES without hardware for it, and copies a message several times to verify it.
Knows algorithms; no files and no layouts.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

Bytes = bytes | memoryview

P384_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
P384_BYTES = 48
ML_DSA_MU_BYTES = 64
UNCOMPRESSED = 4  # first byte of a point with both coordinates


def aes_gcm_seal(key: bytes, nonce: bytes, plain: Bytes, bound: bytes) -> bytes:
    """Ciphertext and tag."""
    return AESGCM(key).encrypt(nonce, plain, bound)


def aes_gcm_open(key: bytes, nonce: bytes, sealed: Bytes, bound: bytes) -> bytes | None:
    """None when the tag does not fit: another key, or something was changed."""
    try:
        return AESGCM(key).decrypt(nonce, sealed, bound)
    except InvalidTag:
        return None


def argon2id(password: bytes, salt: bytes, *, memory_kib: int, passes: int, lanes: int, size: int) -> bytes:
    """Argon2id, version 0x13, without secret or associated data."""
    return Argon2id(salt=salt, length=size, iterations=passes, lanes=lanes, memory_cost=memory_kib).derive(password)


def ed25519_verify(public: bytes, signature: bytes, message: Bytes) -> bool:
    """The key must have been checked before: OpenSSL takes keys of low order."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def ml_dsa_public(seed: bytes) -> bytes:
    return MLDSA65PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw()


def ml_dsa_sign(seed: bytes, message: Bytes, context: bytes) -> bytes:
    """Pure ML-DSA-65, hedged: no two signatures are the same."""
    return MLDSA65PrivateKey.from_seed_bytes(seed).sign(message, context)


def ml_dsa_verify(public: bytes, signature: bytes, message: Bytes, context: bytes) -> bool:
    try:
        MLDSA65PublicKey.from_public_bytes(public).verify(signature, message, context)
    except (InvalidSignature, ValueError):
        return False
    return True


class MlDsaStream:
    """A message in windows; ML-DSA signs a hash of it and of the key (FIPS 204, algorithms 3 and 7: mu)."""

    def __init__(self, public: bytes, signature: bytes, context: bytes) -> None:
        self._public, self._signature = public, signature
        key = hashlib.shake_256(public).digest(ML_DSA_MU_BYTES)
        self._mu = hashlib.shake_256(key + bytes([0, len(context)]) + context)

    def update(self, data: memoryview) -> None:
        self._mu.update(data)

    def verify(self) -> bool:
        try:
            key = MLDSA65PublicKey.from_public_bytes(self._public)
            key.verify_mu(self._signature, self._mu.digest(ML_DSA_MU_BYTES))
        except (InvalidSignature, ValueError):
            return False
        return True


def ml_kem_public(seed: bytes) -> bytes:
    return MLKEM768PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw()


def ml_kem_key_is_sound(public: bytes) -> bool:
    """The check of the modulus that FIPS 203, section 7.2, asks for."""
    try:
        MLKEM768PublicKey.from_public_bytes(public)
    except ValueError:
        return False
    return True


def ml_kem_encapsulate(public: bytes) -> tuple[bytes, bytes]:
    """(the shared secret, what is sent)"""
    return MLKEM768PublicKey.from_public_bytes(public).encapsulate()


def ml_kem_decapsulate(seed: bytes, sent: bytes) -> bytes:
    """The shared secret; one that nobody knows when `sent` was made for another key or changed."""
    return MLKEM768PrivateKey.from_seed_bytes(seed).decapsulate(sent)


def _p384_secret(secret: bytes) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP384R1())


def _p384_point(public: bytes) -> ec.EllipticCurvePublicKey | None:
    """None for what is no point of the curve; the cofactor is 1, so every point has the order of the group."""
    if public[0] != UNCOMPRESSED:
        return None
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), public)
    except ValueError:
        return None


def p384_secret_is_sound(secret: bytes) -> bool:
    return 0 < int.from_bytes(secret, "big") < P384_ORDER


def p384_key_is_sound(public: bytes) -> bool:
    return _p384_point(public) is not None


def p384_public(secret: bytes) -> bytes:
    numbers = _p384_secret(secret).public_key().public_numbers()
    return bytes([UNCOMPRESSED]) + numbers.x.to_bytes(P384_BYTES, "big") + numbers.y.to_bytes(P384_BYTES, "big")


def p384_sign(secret: bytes, message: Bytes) -> bytes:
    """r and s, big-endian, by RFC 6979 with SHA-384. Of s and its negative the smaller, as both would verify."""
    algorithm = ec.ECDSA(hashes.SHA384(), deterministic_signing=True)
    r, s = decode_dss_signature(_p384_secret(secret).sign(message, algorithm))
    return r.to_bytes(P384_BYTES, "big") + min(s, P384_ORDER - s).to_bytes(P384_BYTES, "big")


def p384_verify(public: bytes, signature: bytes, message: Bytes) -> bool:
    """Refuses the larger s: else anyone could change the signature into another valid one."""
    stream = P384Stream(public, signature)
    stream.update(message)
    return stream.verify()


class P384Stream:
    """A message in windows."""

    def __init__(self, public: bytes, signature: bytes) -> None:
        self._point = _p384_point(public)
        self._r, self._s = (int.from_bytes(signature[at : at + P384_BYTES], "big") for at in (0, P384_BYTES))
        self._hash = hashlib.sha384()

    def update(self, data: Bytes) -> None:
        self._hash.update(data)

    def verify(self) -> bool:
        if self._point is None or self._s > P384_ORDER // 2:
            return False
        algorithm = ec.ECDSA(Prehashed(hashes.SHA384()))
        try:
            self._point.verify(encode_dss_signature(self._r, self._s), self._hash.digest(), algorithm)
        except (InvalidSignature, ValueError):
            return False
        return True


def p384_agree(secret: bytes, public: bytes) -> bytes | None:
    """The shared x coordinate; None when `public` is no point of the curve."""
    point = _p384_point(public)
    return None if point is None else _p384_secret(secret).exchange(ec.ECDH(), point)


def p384_new_secret() -> bytes:
    return ec.generate_private_key(ec.SECP384R1()).private_numbers().private_value.to_bytes(P384_BYTES, "big")
