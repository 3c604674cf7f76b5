"""What stands in an encrypted payload before the ciphertext: salt or keys, nonce, and in newer suites their form.

Standard's two layouts do not say which of them they are, so the caller does. The envelopes of the other suites say all,
and every size and cost in them is checked here. Knows bytes; runs no algorithm.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal, NoReturn

from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.container.suites import STANDARD, Suite
from aprgen.errors import AprgenError, ContainerError, SecurityError

Mode = Literal["password", "recipient"]

SALT_BYTES = 16
NONCE_BYTES = 12
TAG_BYTES = 16
ID_BYTES = 8

VERSION = 1
MODES: dict[int, Mode] = {1: "password", 2: "recipient"}
_PREFIX = struct.Struct("<BBBBI")  # version, mode, promise of a signature, zero, bytes of the envelope
_KDF = struct.Struct("<III")


@dataclass(frozen=True)
class Kdf:
    """What Argon2id costs."""

    memory_kib: int
    passes: int
    lanes: int


STANDARD_KDF = Kdf(19_456, 2, 1)  # aprender's, stated nowhere in the file
DEFAULT_KDF = Kdf(65_536, 3, 1)  # what aprgen writes where it can: memory and passes of RFC 9106's second choice
WEAKEST_KIB_PASSES = STANDARD_KDF.memory_kib * STANDARD_KDF.passes
LEAST_KIB = 7_168  # passes do not stand in for memory, against those who guess with special hardware


@dataclass(frozen=True)
class Envelope:
    """`salt` and `kdf` belong to passwords, `recipient_id` and `sent` to recipients; the others are empty."""

    mode: Mode
    nonce: bytes
    promises_signature: bool = False
    kdf: Kdf = STANDARD_KDF
    salt: bytes = b""
    recipient_id: bytes = b""
    sent: bytes = b""  # the parts of the key exchanges, in the suite's order


def envelope_bytes(suite: Suite, mode: Mode) -> int:
    """Before the ciphertext."""
    own = SALT_BYTES if mode == "password" else suite.sent_bytes + ID_BYTES
    if suite.envelope:
        own += _PREFIX.size + (_KDF.size if mode == "password" else 0)
    return own + NONCE_BYTES


def overhead_bytes(suite: Suite, mode: Mode) -> int:
    """By how much an encrypted payload is longer than the plain one."""
    return envelope_bytes(suite, mode) + TAG_BYTES


def pack_envelope(suite: Suite, envelope: Envelope) -> bytes:
    """Standard has the sent key before the recipient's id, the others the id first, where all can find it."""
    if suite is STANDARD:
        own = envelope.salt if envelope.mode == "password" else envelope.sent + envelope.recipient_id
        return own + envelope.nonce
    number = next(number for number, mode in MODES.items() if mode == envelope.mode)
    size = envelope_bytes(suite, envelope.mode)
    prefix = _PREFIX.pack(VERSION, number, envelope.promises_signature, 0, size)
    if envelope.mode == "password":
        kdf = envelope.kdf
        return prefix + _KDF.pack(kdf.memory_kib, kdf.passes, kdf.lanes) + envelope.salt + envelope.nonce
    return prefix + envelope.recipient_id + envelope.sent + envelope.nonce


def parse_standard(payload: memoryview, mode: Mode) -> Envelope:
    """The fields, if the payload has this layout; it is at least as long as that needs."""
    size = envelope_bytes(STANDARD, mode)
    nonce = bytes(payload[size - NONCE_BYTES : size])
    if mode == "password":
        return Envelope(mode, nonce, salt=bytes(payload[:SALT_BYTES]))
    sent = STANDARD.sent_bytes
    return Envelope(mode, nonce, sent=bytes(payload[:sent]), recipient_id=bytes(payload[sent : sent + ID_BYTES]))


def parse_envelope(suite: Suite, payload: memoryview, base: int, limits: Limits = DEFAULT_LIMITS) -> Envelope:
    """The envelope of a suite that has one, or ContainerError or SecurityError. `base`: the payload's place."""
    where = f"byte {base}, the envelope of the encrypted payload"

    def refuse(what: str) -> NoReturn:
        hint = "the file is damaged, or of a later version; get it again from its author"
        raise ContainerError("container.envelope", what, where=where, hint=hint)

    if len(payload) < _PREFIX.size:
        refuse(f"{len(payload)} bytes hold no envelope")
    version, number, promise, zero, size = _PREFIX.unpack_from(payload)
    if version != VERSION:
        refuse(f"an envelope of version {version}; this version knows {VERSION}")
    mode = MODES.get(number)
    if mode is None or promise > 1 or zero != 0:
        refuse(f"the envelope's form is {number}, {promise}, {zero}, which nobody has defined")
    if mode == "password" and not suite.passwords:
        refuse(f"suite {suite.name} has no passwords")
    if size != envelope_bytes(suite, mode):
        refuse(f"the envelope claims {size} bytes, one of this form has {envelope_bytes(suite, mode)}")
    if len(payload) < size + TAG_BYTES:
        refuse(f"{len(payload)} bytes are too few for an envelope of {size} and a tag")
    nonce = bytes(payload[size - NONCE_BYTES : size])
    at = _PREFIX.size
    if mode == "recipient":
        end = at + ID_BYTES
        sent = bytes(payload[end : end + suite.sent_bytes])
        return Envelope(mode, nonce, promise == 1, recipient_id=bytes(payload[at:end]), sent=sent)
    kdf = Kdf(*_KDF.unpack_from(payload, at))
    error = _kdf_error(kdf, where, limits)
    if error is not None:
        raise error
    at += _KDF.size
    return Envelope(mode, nonce, promise == 1, kdf=kdf, salt=bytes(payload[at : at + SALT_BYTES]))


def _kdf_error(kdf: Kdf, where: str, limits: Limits) -> AprgenError | None:
    """Costs are the file's to state, and its reader's to bear."""
    stated = f"Argon2id with {kdf.memory_kib} KiB, {kdf.passes} passes and {kdf.lanes} lanes"
    bounded = (
        kdf.memory_kib <= limits.kdf_memory_kib
        and kdf.passes * kdf.memory_kib <= limits.kdf_kib_passes
        and 1 <= kdf.lanes <= limits.kdf_lanes
        and kdf.passes >= 1
    )
    if not bounded:
        return SecurityError(
            "security.kdf",
            f"the file asks for {stated}, beyond the limits",
            where=where,
            hint="raise Limits.kdf_memory_kib, kdf_kib_passes and kdf_lanes if you trust the file",
        )
    if kdf.memory_kib < LEAST_KIB or kdf.memory_kib * kdf.passes < WEAKEST_KIB_PASSES:
        return SecurityError(
            "security.kdf",
            f"the file asks for {stated}, weaker than any that is allowed",
            where=where,
            hint="its password can be guessed: encrypt it again with aprgen encrypt, with a new password",
        )
    return None
