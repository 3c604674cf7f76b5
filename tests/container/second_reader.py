"""A second reader of signed and encrypted files, from docs/cipher-suites.md alone, that shares no code with ours.

All algorithms come from one library by its own names. Refuses nothing but what does not verify or open.
"""

from __future__ import annotations

import hashlib
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, mlkem, x25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

BLOCKS = {0: 96, 1: 96, 2: 5261, 3: 5357, 4: 193}


def _parts(data: bytes) -> tuple[int, bytes, bytes, bytes, bytes]:
    """The suite, all that is signed, header and metadata, the payload, the block."""
    metadata, payload = struct.unpack_from("<II", data, 8)
    start, end = 32 + metadata, 32 + metadata + payload
    return data[23], data[:end], data[:start], data[start:end], data[end:-4]


def verify(data: bytes) -> bytes:
    """The signer's public keys, or an exception of the library."""
    suite, message, _, _, block = _parts(data)
    assert data[21] & 2
    assert len(block) == BLOCKS[suite]
    if suite in (0, 1, 3):
        at = 64 if suite < 2 else 3373
        ed25519.Ed25519PublicKey.from_public_bytes(block[at : at + 32]).verify(block[:64], message)
    if suite in (2, 3):
        first = 0 if suite == 2 else 64
        key = mldsa.MLDSA65PublicKey.from_public_bytes(block[-1952:])
        key.verify(block[first : first + 3309], message, b"apr-v1-sign")
    if suite == 4:
        r, s = int.from_bytes(block[:48], "big"), int.from_bytes(block[48:96], "big")
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), block[96:])
        point.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA384()))
    return block[{0: 64, 1: 64, 2: 3309, 3: 3373, 4: 96}[suite] :]


def open_with_key(data: bytes, secret: bytes) -> bytes:
    """The payload as it was before encryption; `secret` is the seeds or the scalar of the recipient."""
    suite, _, head, payload, _ = _parts(data)
    if suite < 2:
        mine = x25519.X25519PrivateKey.from_private_bytes(secret)
        assert payload[32:40] == mine.public_key().public_bytes_raw()[:8]
        shared = mine.exchange(x25519.X25519PublicKey.from_public_bytes(payload[:32]))
        key = HKDF(hashes.SHA256(), 32, None, b"apr-v1-encrypt").derive(shared)
        return AESGCM(key).decrypt(payload[40:52], payload[52:], None)
    size = struct.unpack_from("<I", payload, 4)[0]
    assert payload[:2] == b"\x01\x02"
    assert payload[3] == 0
    sent, nonce = payload[16 : size - 12], payload[size - 12 : size]
    shared = public = b""
    if suite == 3:
        mine = x25519.X25519PrivateKey.from_private_bytes(secret[:32])
        shared += mine.exchange(x25519.X25519PublicKey.from_public_bytes(sent[:32]))
        public += mine.public_key().public_bytes_raw()
    if suite in (2, 3):
        lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(secret[-64:])
        shared += lattice.decapsulate(sent[-1088:])
        public += lattice.public_key().public_bytes_raw()
    if suite == 4:
        scalar = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP384R1())
        shared = scalar.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), sent))
        numbers = scalar.public_key().public_numbers()
        public = b"\4" + numbers.x.to_bytes(48, "big") + numbers.y.to_bytes(48, "big")
    name, algorithm = {
        2: ("sha3_256", hashes.SHA3_256()), 3: ("sha256", hashes.SHA256()), 4: ("sha384", hashes.SHA384())
    }[suite]  # fmt: skip
    assert payload[8:16] == hashlib.new(name, public).digest()[:8]
    info = b"apr-v1-encrypt" + bytes([suite]) + sent + public
    key = HKDF(algorithm, 32, None, info).derive(shared)  # type: ignore[arg-type]
    return AESGCM(key).decrypt(nonce, payload[size:], _bound(head, payload[:size]))


def open_with_password(data: bytes, password: bytes) -> bytes:
    suite, _, head, payload, _ = _parts(data)
    if suite < 2:
        key = Argon2id(salt=payload[:16], length=32, iterations=2, lanes=1, memory_cost=19456).derive(password)
        return AESGCM(key).decrypt(payload[16:28], payload[28:], None)
    assert payload[:2] == b"\x01\x01"
    memory, passes, lanes = struct.unpack_from("<III", payload, 8)
    cost = {"iterations": passes, "lanes": lanes, "memory_cost": memory}
    key = Argon2id(salt=payload[20:36], length=32, **cost).derive(password)
    return AESGCM(key).decrypt(payload[36:48], payload[48:], _bound(head, payload[:48]))


def _bound(head: bytes, envelope: bytes) -> bytes:
    """Header, metadata, envelope, with the SIGNED flag clear."""
    return head[:21] + bytes([head[21] & 0xFD]) + head[22:] + envelope
