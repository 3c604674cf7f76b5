"""What is known of who signed a file, and the words for it.

Knows the states and their sentences; whether a signature is good is told by `signature`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aprgen.container.keys import Trust
from aprgen.errors import SecurityError

State = Literal["unsigned", "unverified", "trusted", "unknown", "invalid", "unverifiable", "skipped"]

SHORT = 16  # hex digits of a fingerprint in a sentence


@dataclass(frozen=True)
class Verification:
    """unverified: good, but nobody said whom to trust, and anyone can sign. unknown: good, and not of the trusted.
    skipped: the verification level does not look at it.

    fingerprint: SHA-256 of the signer's public key, in hex; name: under which the signer is trusted.
    """

    state: State = "unsigned"
    suite: str = ""
    fingerprint: str = ""
    name: str = ""

    @property
    def sentence(self) -> str:
        """For `inspect`."""
        return {
            "unsigned": "none",
            "unverified": "not verified: no trust given",
            "trusted": f"verified by trusted key {self.name}",
            "unknown": "signed by unknown key",
            "invalid": "signature invalid",
            "unverifiable": f"not verified: {self.suite} is only read",
            "skipped": "not verified: the verification level skips it",
        }[self.state]

    @property
    def signer(self) -> str:
        """For the banner and the manifest, where only what was accepted comes."""
        if self.state == "unsigned":
            return "none"
        key = f"key {self.fingerprint[:SHORT]}"
        return f"{self.name} ({key}), verified" if self.state == "trusted" else f"{key}, {self.sentence}"

    @property
    def finding(self) -> str | None:
        """What a careful reader reports about a file that is accepted."""
        if self.state == "unverified":
            return f"signed by key {self.fingerprint[:SHORT]}, which anyone could have made: no trust was given"
        if self.state == "skipped":
            return f"the signature of key {self.fingerprint[:SHORT]} was not verified: the level skips it"
        if self.state == "unverifiable":
            return f"the {self.suite} signature is not verified, and the file is no better than an unsigned one"
        return None


UNSIGNED = Verification()


def policy_error(found: Verification, trust: Trust, where: str) -> SecurityError | None:
    """Why whoever trusts only these signers must not take the file, its signature being what was found."""
    if found.state == "unknown":
        return SecurityError(
            "security.signer",
            f"signed by unknown key {found.fingerprint}",
            where=where,
            hint="give its author's public key with --trust, if you have it from where you trust",
        )
    if found.state == "unverifiable" and trust.needs_signature:
        return SecurityError(
            "security.suite",
            f"a verified signature is required, and {found.suite} is only read",
            where=where,
            hint="ask the author for a file of another suite",
        )
    if found.state == "unsigned" and trust.needs_signature:
        return SecurityError(
            "security.unsigned",
            "the file is not signed, and a signature is required",
            where=where,
            hint="get the signed file from its author: a signature that was there may have been removed",
        )
    return None


def plain_error(where: str) -> SecurityError:
    """A secret was given, and there is nothing to open: whoever expects an encrypted file has got another one."""
    return SecurityError(
        "security.plain",
        "a password or key was given, but the file is not encrypted",
        where=where,
        hint="leave the secret out if that is right; otherwise the file is not the one that was encrypted",
    )
