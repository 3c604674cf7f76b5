"""Whole files: a plain one signed, encrypted, or both, and an encrypted one made plain again.

Encrypts first and signs after, so that whoever has no secret can verify. Changes nothing else: the other header bytes,
metadata and the stored payload stay as they are. Knows bytes, not files.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

from aprgen.container import algorithms, encryption, signature
from aprgen.container.envelope import overhead_bytes
from aprgen.container.header import CRC_BYTES, ENCRYPTED, HEADER_BYTES, SIGNED, Header, pack_header
from aprgen.container.keys import NO_ACCESS, Access, PublicKey, SecretKey, Trust
from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.container.suites import NOT_STATED, STANDARD, Suite
from aprgen.container.v1 import inspect_v1, read_v1
from aprgen.container.v2 import MAGIC as V2_MAGIC
from aprgen.container.verification import Verification
from aprgen.errors import SecurityError, UnsupportedError

MOST_PAYLOAD = (1 << 32) - 1  # the header has 32 bits for its size


@dataclass(frozen=True)
class Password:
    """What encrypts where there is no recipient's key."""

    suite: Suite
    data: bytes


def sign_v1(data: bytes, key: SecretKey, *, replace_signature: bool = False, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The file with a signature block. Plain files take the suite of the key, encrypted ones have it already."""
    header, _ = _sound(data, limits)
    if header.signed and not replace_signature:
        raise SecurityError(
            "security.signed",
            "the file is signed already, and a file has one signature",
            where="byte 21, in the header",
            hint="--replace puts the new signature in the place of the old one",
        )
    if header.encrypted and header.cipher_suite is not key.suite:
        raise SecurityError(
            "security.suite",
            f"the file is encrypted with suite {header.suite_name}, the key is one of {key.suite.name}",
            where="byte 23, in the header",
            hint="sign with a key of that suite, or encrypt the plain file again with the other suite",
        )
    signed = replace(header, flags=header.flags | SIGNED, suite=_suite_byte(header, key.suite))
    body = pack_header(signed) + data[HEADER_BYTES : header.payload_end]
    return _finished(body + signature.sign(body, key))


def encrypt_v1(
    data: bytes,
    means: PublicKey | Password,
    *,
    signer: SecretKey | None = None,
    trust: Trust = NO_ACCESS.trust,
    limits: Limits = DEFAULT_LIMITS,
) -> bytes:
    """The file with its stored payload encrypted; with `signer` also signed, which the newer suites then promise."""
    header, _ = _sound(data, limits, trust)
    if header.encrypted:
        raise SecurityError(
            "security.encrypted",
            "the file is encrypted already",
            where="byte 21, in the header",
            hint="decrypt it first, with aprgen decrypt",
        )
    if header.signed and signer is None:
        raise SecurityError(
            "security.signed",
            "the file is signed, and its signature covers the plain payload, so encryption would lose it",
            where="byte 21, in the header",
            hint="give the signer's key with --sign-key, or encrypt the file as it was before it was signed",
        )
    suite = means.suite
    if signer is not None and signer.suite is not suite:
        raise SecurityError(
            "security.suite",
            f"the file would be encrypted with suite {suite.name} and signed with {signer.suite.name}",
            where="the keys",
            hint="a file has one suite: give keys of the same one",
        )
    stored = data[header.payload_start : header.payload_end]
    size = len(stored) + overhead_bytes(suite, "password" if isinstance(means, Password) else "recipient")
    if size > MOST_PAYLOAD:
        raise SecurityError(
            "security.size", f"{size} bytes of encrypted payload do not fit the format", where="the payload",
            hint="train a smaller model",
        )  # fmt: skip
    flags = (header.flags | ENCRYPTED | SIGNED) if signer is not None else (header.flags | ENCRYPTED)
    closed = replace(header, payload_size=size, flags=flags, suite=_suite_byte(header, suite))
    head = pack_header(closed) + data[HEADER_BYTES : header.payload_start]
    promises = signer is not None
    if isinstance(means, Password):
        sealed = encryption.seal_with_password(suite, means.data, head, stored, promises_signature=promises)
    else:
        algorithms.require_sound(means, "the recipient's key")
        sealed = encryption.seal_for_recipient(means, head, stored, promises_signature=promises)
    body = head + sealed
    return _finished(body if signer is None else body + signature.sign(body, signer))


@dataclass(frozen=True)
class Decrypted:
    """verification: of the encrypted file's signature; the plain one has none."""

    plain: bytes
    verification: Verification


def decrypt_v1(data: bytes, access: Access, *, limits: Limits = DEFAULT_LIMITS) -> Decrypted:
    """The plain file, unsigned: what was signed was the encrypted one, and it is verified first."""
    header, verification = _sound(data, limits, access.trust)
    suite = header.cipher_suite
    if not header.encrypted or suite is None:
        raise SecurityError(
            "security.plain", "the file is not encrypted", where="byte 21, in the header", hint="use it as it is"
        )
    view = memoryview(data)
    start, end = header.payload_start, header.payload_end
    stored = encryption.open_payload(suite, view[:start], view[start:end], access.secrets, limits)
    byte = header.suite if suite is STANDARD else NOT_STATED
    opened = replace(header, payload_size=len(stored), flags=header.flags & ~(ENCRYPTED | SIGNED), suite=byte)
    plain = _finished(pack_header(opened) + data[HEADER_BYTES:start] + stored)
    read_v1(plain, limits)
    return Decrypted(plain, verification)


def _sound(data: bytes, limits: Limits, trust: Trust = NO_ACCESS.trust) -> tuple[Header, Verification]:
    """Of a file in which nothing is wrong, as far as can be told without a secret."""
    if data[: len(V2_MAGIC)] == V2_MAGIC:
        raise UnsupportedError(
            "container.v2", "an APR v2 file, which has no place for a signature and no encryption", where="byte 0",
            hint="sign and encrypt APR v1 files",
        )  # fmt: skip
    found = inspect_v1(data, limits, Access(trust))
    for problem in found.problems:
        if problem.code != "security.encrypted":
            raise problem
    assert found.header is not None  # nothing is wrong
    return found.header, found.verification


def _suite_byte(header: Header, suite: Suite) -> int:
    """A file that states Standard goes on stating it; otherwise aprgen writes what aprender does."""
    return header.suite if header.cipher_suite is suite else suite.id


def _finished(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")
