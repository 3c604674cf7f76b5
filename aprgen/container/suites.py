"""The cipher suites that header byte 23 names: which algorithms each takes, and how many bytes they need.

Sizes are those of the final standards (FIPS 203, FIPS 204), not of the drafts that older documents quote.
Knows numbers and names; runs no algorithm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Scheme:
    """A signature algorithm. secret_bytes: of the seed or scalar from which the whole key follows."""

    name: str
    public_bytes: int
    secret_bytes: int
    signature_bytes: int


@dataclass(frozen=True)
class Exchange:
    """A way to agree on a secret with the holder of a public key. sent_bytes: what the file has to carry for that."""

    name: str
    public_bytes: int
    secret_bytes: int
    sent_bytes: int


ED25519 = Scheme("Ed25519", 32, 32, 64)  # RFC 8032
ML_DSA_65 = Scheme("ML-DSA-65", 1952, 32, 3309)  # FIPS 204, final; 3293 in the draft
ECDSA_P384 = Scheme("ECDSA P-384", 97, 48, 96)  # FIPS 186-5 with SHA-384; point uncompressed, r and s of 48 bytes

X25519 = Exchange("X25519", 32, 32, 32)  # RFC 7748
ML_KEM_768 = Exchange("ML-KEM-768", 1184, 64, 1088)  # FIPS 203; the seed is d and z
ECDH_P384 = Exchange("ECDH P-384", 97, 48, 97)  # SP 800-56A


@dataclass(frozen=True)
class Suite:
    """All members of `signing` must verify, and all of `exchange` go into the key.

    hash: hashlib's name of what derives keys. passwords: whether a password may encrypt. envelope: whether the
    encrypted payload begins by stating its form, and header and metadata are bound to it.
    """

    id: int  # what aprgen writes into byte 23
    name: str
    word: str  # on the command line
    signing: tuple[Scheme, ...]
    exchange: tuple[Exchange, ...]
    hash: str
    passwords: bool
    envelope: bool

    @property
    def signature_bytes(self) -> int:
        return sum(scheme.signature_bytes for scheme in self.signing)

    @property
    def signer_bytes(self) -> int:
        """Of the signer's public key, all parts together."""
        return sum(scheme.public_bytes for scheme in self.signing)

    @property
    def block_bytes(self) -> int:
        """Of the signature block, between payload and checksum."""
        return self.signature_bytes + self.signer_bytes

    @property
    def sent_bytes(self) -> int:
        """Of what a file for a recipient carries so that they find its key."""
        return sum(exchange.sent_bytes for exchange in self.exchange)


# 0x00 is what aprender writes: not stated, and the algorithms of 0x01.
STANDARD = Suite(0x00, "Standard2025", "standard", (ED25519,), (X25519,), "sha256", True, False)
POST_QUANTUM = Suite(
    0x02, "PostQuantum2030", "post-quantum", (ML_DSA_65,), (ML_KEM_768,), "sha3_256", True, True
)  # fmt: skip
HYBRID = Suite(
    0x03, "Hybrid2028", "hybrid", (ED25519, ML_DSA_65), (X25519, ML_KEM_768), "sha256", True, True
)  # fmt: skip
# Argon2id is in no standard of NIST, so there is no password here.
GOVERNMENT = Suite(0x04, "GovHighAssurance", "gov", (ECDSA_P384,), (ECDH_P384,), "sha384", False, True)

SUITES: tuple[Suite, ...] = (STANDARD, POST_QUANTUM, HYBRID, GOVERNMENT)

NOT_STATED = 0x00
STATED_STANDARD = 0x01
LEGACY = 0xFF  # LegacyRSA: a block of known size, and no rule for what it signs
LEGACY_SIGNATURE_BYTES = 256
LEGACY_SIGNER_BYTES = 256

NAMES: Mapping[int, str] = {
    NOT_STATED: "not stated",
    STATED_STANDARD: STANDARD.name,
    **{suite.id: suite.name for suite in SUITES if suite is not STANDARD},
    LEGACY: "LegacyRSA",
}

_BY_ID: Mapping[int, Suite] = {STATED_STANDARD: STANDARD, **{suite.id: suite for suite in SUITES}}


def suite_of(byte: int) -> Suite | None:
    """The suite that a header's byte 23 names; None for LegacyRSA and for numbers that nobody has defined."""
    return _BY_ID.get(byte)
