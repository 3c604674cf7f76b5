"""Signed and encrypted files of every suite, always with the same keys, and who may open them.

Made by aprgen: what they hold besides keys is random (nonces, ephemeral keys), what they are is not.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

from aprgen.container import Access, Secrets, Trust, TrustedKey
from aprgen.container.algorithms import members, public_of
from aprgen.container.keys import SecretKey, Use
from aprgen.container.limits import DEFAULT_LIMITS
from aprgen.container.protected import Password, encrypt_v1, sign_v1
from aprgen.container.suites import HYBRID, SUITES, Suite
from tests.hostile.bytesmith import fixture, framed

PLAIN = ("real/linreg", "real/kmeans_tie", "real/dtc_bc_depth")
PASSWORD = b"correct horse"


@dataclass(frozen=True)
class Protected:
    """A sound file. access: that of its reader; signed: whether that reader asks for a signature."""

    name: str
    data: bytes
    suite: Suite
    access: Access
    signed: bool
    slow: bool  # a password takes a tenth of a second to try


def key_of(suite: Suite, use: Use) -> SecretKey:
    """The same every time, and different for each suite and use."""
    size = sum(member.secret_bytes for member in members(suite, use))
    return SecretKey(suite, use, hashlib.shake_256(f"{suite.word} {use}".encode()).digest(size))


@functools.cache
def protected() -> tuple[Protected, ...]:
    found = []
    for number, suite in enumerate(SUITES):
        plain = fixture(PLAIN[number % len(PLAIN)])
        author, recipient = key_of(suite, "sign"), key_of(suite, "encrypt")
        trust, address = Trust((TrustedKey("author", public_of(author)),)), public_of(recipient)
        secrets = Secrets(key=recipient)
        made = (
            ("signed", sign_v1(plain, author), Access(trust), True),
            ("encrypted", encrypt_v1(plain, address), Access(secrets=secrets), False),
            ("both", encrypt_v1(plain, address, signer=author), Access(trust, secrets), True),
        )
        found += [Protected(f"{suite.word}_{kind}", data, suite, access, signed, False)
                  for kind, data, access, signed in made]  # fmt: skip
        if suite.passwords:
            data = encrypt_v1(plain, Password(suite, PASSWORD))
            found.append(
                Protected(f"{suite.word}_password", data, suite, Access(secrets=Secrets(PASSWORD)), False, True)
            )
    return tuple(found)


def largest() -> bytes:
    """A payload as large as the limits allow, that no compression makes smaller, signed and encrypted."""
    plain = framed(hashlib.shake_128(b"payload").digest(DEFAULT_LIMITS.payload_bytes))
    return encrypt_v1(plain, public_of(key_of(HYBRID, "encrypt")), signer=key_of(HYBRID, "sign"))


def access_to_largest() -> Access:
    trust = Trust((TrustedKey("author", public_of(key_of(HYBRID, "sign"))),))
    return Access(trust, Secrets(key=key_of(HYBRID, "encrypt")))
