"""Keys, and what a reader is told: whom it trusts, and which secrets it may use. Values only.

A key of a suite with two algorithms is both keys in a row, in the suite's order. Knows no key files and runs no
algorithm.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from aprgen.container.suites import Suite

Use = Literal["sign", "encrypt"]


@dataclass(frozen=True)
class PublicKey:
    """As it stands in files: the point or vector encodings that the suite's standards define."""

    suite: Suite
    use: Use
    data: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the key, in hex."""
        return fingerprint_of(self.data)


@dataclass(frozen=True)
class SecretKey:
    """Seeds and scalars. Not shown by repr, so that no traceback holds it."""

    suite: Suite
    use: Use
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class TrustedKey:
    name: str  # for people: that of the key's file
    key: PublicKey


@dataclass(frozen=True)
class Trust:
    """keys None: nobody said whom to trust. With keys, only files signed by one of them pass.

    require_signature: unsigned files are refused in any case. allow_legacy: LegacyRSA files may be read, unverified.
    """

    keys: tuple[TrustedKey, ...] | None = None
    require_signature: bool = False
    allow_legacy: bool = False

    @property
    def needs_signature(self) -> bool:
        """Whoever names a signer wants a signature: an unsigned file is one whose block was taken away."""
        return self.require_signature or self.keys is not None

    def name_of(self, suite: Suite, public_key: bytes) -> str | None:
        """The name under which this signer is trusted; all parts of the key must be the same, and the suite."""
        for trusted in self.keys or ():
            if trusted.key.suite is suite and trusted.key.data == public_key:
                return trusted.name
        return None


@dataclass(frozen=True)
class Secrets:
    """What may open an encrypted payload. The password is UTF-8, taken as it is."""

    password: bytes | None = field(default=None, repr=False)
    key: SecretKey | None = None

    @property
    def given(self) -> bool:
        return self.password is not None or self.key is not None


@dataclass(frozen=True)
class Access:
    """Trust and secrets together."""

    trust: Trust = Trust()
    secrets: Secrets = Secrets()


NO_ACCESS = Access()  # opens plain files, and checks signatures against the key in the file


def fingerprint_of(public_key: bytes) -> str:
    return hashlib.sha256(public_key).hexdigest()
