"""Encrypted payloads: how their keys come about, what is bound to the ciphertext, and how they are made and opened.

Standard is what aprender does: nothing is bound, so header and metadata can be changed. In the other suites they and
the envelope are associated data. docs/cipher-suites.md has the tables. Knows no files.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import NoReturn

from aprgen.container import algorithms, openssl, sodium
from aprgen.container.envelope import (
    DEFAULT_KDF,
    ID_BYTES,
    NONCE_BYTES,
    SALT_BYTES,
    STANDARD_KDF,
    Envelope,
    Kdf,
    envelope_bytes,
    overhead_bytes,
    pack_envelope,
    parse_envelope,
    parse_standard,
)
from aprgen.container.header import SIGNED
from aprgen.container.hkdf import derive
from aprgen.container.keys import PublicKey, SecretKey, Secrets
from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.container.suites import ECDH_P384, ML_KEM_768, STANDARD, X25519, Exchange, Suite
from aprgen.errors import SecurityError, UsageError

KEY_BYTES = 32
LABEL = b"apr-v1-encrypt"
FLAGS_AT = 21  # in the header


def random_bytes(size: int) -> bytes:
    return secrets.token_bytes(size)


# -- key exchange: (secret, what is sent) from a public key, and the secret again from what was sent --


def _x25519_send(public: bytes) -> tuple[bytes, bytes]:
    ephemeral = random_bytes(X25519.secret_bytes)
    shared = sodium.x25519_agree(ephemeral, public)
    assert shared is not None  # the key has been checked
    return shared, sodium.x25519_public(ephemeral)


def _p384_send(public: bytes) -> tuple[bytes, bytes]:
    ephemeral = openssl.p384_new_secret()
    shared = openssl.p384_agree(ephemeral, public)
    assert shared is not None  # the key has been checked
    return shared, openssl.p384_public(ephemeral)


_SEND: Mapping[Exchange, Callable[[bytes], tuple[bytes, bytes]]] = {
    X25519: _x25519_send,
    ML_KEM_768: openssl.ml_kem_encapsulate,
    ECDH_P384: _p384_send,
}
_RECEIVE: Mapping[Exchange, Callable[[bytes, bytes], bytes | None]] = {
    X25519: sodium.x25519_agree,
    ML_KEM_768: openssl.ml_kem_decapsulate,
    ECDH_P384: openssl.p384_agree,
}


def send(recipient: PublicKey) -> tuple[bytes, bytes]:
    """All secrets in a row, and all that is sent in a row, for a key that has been checked."""
    suite = recipient.suite
    keys = algorithms.split(recipient.data, [exchange.public_bytes for exchange in suite.exchange])
    pairs = [_SEND[exchange](key) for exchange, key in zip(suite.exchange, keys, strict=True)]
    return b"".join(secret for secret, _ in pairs), b"".join(sent for _, sent in pairs)


def _receive(key: SecretKey, sent: bytes, where: str) -> bytes:
    suite = key.suite
    pieces = algorithms.split(key.data, [exchange.secret_bytes for exchange in suite.exchange])
    parts = algorithms.split(sent, [exchange.sent_bytes for exchange in suite.exchange])
    found = b""
    for exchange, piece, part in zip(suite.exchange, pieces, parts, strict=True):
        shared = _RECEIVE[exchange](piece, part)
        if shared is None:
            raise SecurityError(
                "security.key",
                f"the file's {exchange.name} key is malformed or of low order, so it would open without any secret",
                where=where,
                hint="nobody makes such a file by accident: get it again from where you trust",
            )
        found += shared
    return found


def _recipient_key(recipient: PublicKey, secret: bytes, sent: bytes) -> bytes:
    """HKDF over all secrets. But for Standard, the suite and all public values go in, too."""
    suite = recipient.suite
    info = LABEL if suite is STANDARD else LABEL + bytes([suite.id]) + sent + recipient.data
    return derive(suite.hash, secret, info, KEY_BYTES)


def _password_key(password: bytes, salt: bytes, kdf: Kdf) -> bytes:
    cost = {"memory_kib": kdf.memory_kib, "passes": kdf.passes, "size": KEY_BYTES}
    if kdf.lanes == 1:
        return sodium.argon2id(password, salt, **cost)
    return openssl.argon2id(password, salt, lanes=kdf.lanes, **cost)


def recipient_id(recipient: PublicKey) -> bytes:
    """By which the holder of a key sees that a file is theirs."""
    data, suite = recipient.data, recipient.suite
    return (data if suite is STANDARD else hashlib.new(suite.hash, data).digest())[:ID_BYTES]


def bound_bytes(suite: Suite, head: bytes | memoryview, envelope: bytes | memoryview) -> bytes:
    """The associated data. `head` is header and metadata.

    The SIGNED flag counts as clear: a file may be signed after it was encrypted. That it must be is in the envelope.
    """
    if suite is STANDARD:
        return b""
    bound = bytearray(head)
    bound[FLAGS_AT] &= 0xFF ^ SIGNED
    return bytes(bound) + bytes(envelope)


# -- making --


def seal_for_recipient(recipient: PublicKey, head: bytes, stored: bytes, *, promises_signature: bool) -> bytes:
    """The payload that only the holder of the recipient's secret opens; the key has been checked."""
    secret, sent = send(recipient)
    nonce = random_bytes(NONCE_BYTES)
    envelope = Envelope(
        "recipient", nonce, promises_signature, recipient_id=recipient_id(recipient), sent=sent
    )  # fmt: skip
    return _seal(recipient.suite, envelope, _recipient_key(recipient, secret, sent), head, stored)


def seal_with_password(suite: Suite, password: bytes, head: bytes, stored: bytes, *, promises_signature: bool) -> bytes:
    """The payload that the password opens."""
    if not suite.passwords:
        raise UsageError(
            "usage.suite", f"suite {suite.name} has no passwords", where="--suite",
            hint="its standards know none: encrypt for a recipient's key, or with another suite",
        )  # fmt: skip
    salt, nonce = random_bytes(SALT_BYTES), random_bytes(NONCE_BYTES)
    kdf = STANDARD_KDF if suite is STANDARD else DEFAULT_KDF
    envelope = Envelope("password", nonce, promises_signature, kdf=kdf, salt=salt)
    return _seal(suite, envelope, _password_key(password, salt, kdf), head, stored)


def _seal(suite: Suite, envelope: Envelope, key: bytes, head: bytes, stored: bytes) -> bytes:
    before = pack_envelope(suite, envelope)
    return before + openssl.aes_gcm_seal(key, envelope.nonce, stored, bound_bytes(suite, head, before))


# -- opening --


def open_payload(
    suite: Suite, head: memoryview, payload: memoryview, given: Secrets, limits: Limits = DEFAULT_LIMITS
) -> bytes:
    """The payload as it was before encryption. Raises SecurityError, or ContainerError for a senseless envelope."""
    base = len(head)
    where = f"byte {base}, the encrypted payload"
    if given.key is not None and given.key.suite is not suite:
        raise SecurityError(
            "security.key",
            f"the key is one of suite {given.key.suite.name}, the file is encrypted with {suite.name}",
            where=where,
            hint="give a key of that suite",
        )
    envelope = parse_envelope(suite, payload, base, limits) if suite.envelope else _choose(payload, given, where)
    size = envelope_bytes(suite, envelope.mode)
    key = _opening_key(envelope, given, where)
    bound = bound_bytes(suite, head, payload[:size])
    plain = openssl.aes_gcm_open(key, envelope.nonce, payload[size:], bound)
    if plain is None:
        secret = "password" if envelope.mode == "password" else "key"
        changed = "payload" if suite is STANDARD else "file"
        raise SecurityError(
            "security.decryption",
            f"the {secret} does not open the payload, or the {changed} was changed after it was encrypted",
            where=where,
            hint=f"check the {secret}; if it is right, get the file again from its author",
        )
    return plain


def _opening_key(envelope: Envelope, given: Secrets, where: str) -> bytes:
    if envelope.mode == "password":
        if given.password is None:
            _refuse("the payload is encrypted with a password, and a key was given", where, "give the password")
        return _password_key(given.password, envelope.salt, envelope.kdf)
    if given.key is None:
        _refuse("the payload is encrypted for a key, and a password was given", where, "give the key with --key")
    public = algorithms.public_of(given.key)
    if recipient_id(public) != envelope.recipient_id:
        _refuse(
            f"the payload is encrypted for the key {envelope.recipient_id.hex()}, the one given is "
            f"{recipient_id(public).hex()}",
            where,
            "give the key of the recipient",
        )
    return _recipient_key(public, _receive(given.key, envelope.sent, where), envelope.sent)


def _choose(payload: memoryview, given: Secrets, where: str) -> Envelope:
    """Nothing says which layout it is: the one whose recipient is the key given, else that of passwords."""
    if given.key is not None and len(payload) >= overhead_bytes(STANDARD, "recipient"):
        found = parse_standard(payload, "recipient")
        if given.password is None or found.recipient_id == recipient_id(algorithms.public_of(given.key)):
            return found
    if given.password is None or len(payload) < overhead_bytes(STANDARD, "password"):
        _refuse(f"{len(payload)} bytes are too few for what the secret should open", where, "check the file")
    return parse_standard(payload, "password")


def _refuse(what: str, where: str, hint: str) -> NoReturn:
    raise SecurityError("security.decryption", what, where=where, hint=hint)
