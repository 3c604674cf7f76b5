"""The contents of key files: 32 raw bytes, 64 hex digits, or PEM; a key of two algorithms is two PEM blocks.

Raw bytes and hex are keys of suite Standard, and do not say what they are for. Knows contents, not files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from aprgen.container import algorithms
from aprgen.container.keys import PublicKey, SecretKey, Use
from aprgen.container.pem import P384, Block, read_blocks, write_block
from aprgen.container.suites import ECDH_P384, ECDSA_P384, STANDARD, SUITES, Exchange, Scheme, Suite
from aprgen.errors import SecurityError

Encoding = Literal["pem", "hex", "raw"]

RAW_BYTES = 32
HEX = re.compile(rb"[0-9a-fA-F]{64}\s*")
MOST_BYTES = 65_536
PEM_MARK = b"-----BEGIN "
FORMS = "32 raw bytes, 64 hex digits, or PEM"
_USES: Mapping[Use, str] = {"sign": "signing", "encrypt": "encryption"}


def read_public(text: bytes, use: Use, where: str) -> PublicKey:
    """The public key, checked, or SecurityError."""
    key = _pem_public(text, use, where) if PEM_MARK in text else PublicKey(STANDARD, use, _plain(text, where))
    algorithms.require_sound(key, where)
    return key


def read_secret(text: bytes, use: Use, where: str) -> SecretKey:
    """The secret key, checked, or SecurityError. No message quotes the contents."""
    if PEM_MARK not in text:
        key = SecretKey(STANDARD, use, _plain(text, where))
    else:
        blocks = _blocks(text, where)
        if not all(block.secret for block in blocks):
            raise _error("the file holds a public key where a secret one is needed", where, "give the .key file")
        suite, data = _match(blocks, use, where)
        key = SecretKey(suite, use, data)
    algorithms.require_sound_secret(key, where)
    return key


def holds_key(text: bytes) -> bool:
    """Whether the text has one of the forms of keys, damaged or not."""
    return PEM_MARK in text or len(text) == RAW_BYTES or HEX.fullmatch(text) is not None


def may_be_public(text: bytes, use: Use) -> bool:
    """Whether reading the text as a public key of this use makes sense: it has a form of keys, and is no other one."""
    if PEM_MARK not in text:
        return holds_key(text)
    try:
        blocks = read_blocks(text)
    except ValueError:
        blocks = ()
    if not blocks:
        return True  # reading it will say what is wrong
    return not any(block.secret for block in blocks) and _suite_of(blocks, use) is not None


def write_public(key: PublicKey, encoding: Encoding) -> bytes:
    return _write(key.suite, key.use, key.data, False, encoding)


def write_secret(key: SecretKey, encoding: Encoding) -> bytes:
    return _write(key.suite, key.use, key.data, True, encoding)


def _error(what: str, where: str, hint: str) -> SecurityError:
    return SecurityError("security.key_file", what, where=where, hint=hint)


def _plain(text: bytes, where: str) -> bytes:
    if len(text) == RAW_BYTES:
        return text
    if HEX.fullmatch(text):
        return bytes.fromhex(text.decode("ascii"))
    raise _error(f"a file of {len(text)} bytes is no key", where, f"a key file holds {FORMS}")


def _blocks(text: bytes, where: str) -> tuple[Block, ...]:
    try:
        blocks = read_blocks(text)
    except ValueError as error:
        raise _error(str(error), where, "make a key with aprgen keygen") from None
    if not blocks:
        raise _error("the file begins a PEM block and does not end it", where, "copy the key file again")
    return blocks


def _pem_public(text: bytes, use: Use, where: str) -> PublicKey:
    blocks = _blocks(text, where)
    if any(block.secret for block in blocks):
        raise _error("the file holds a secret key where a public one is needed", where, "give the .pub file")
    suite, data = _match(blocks, use, where)
    return PublicKey(suite, use, data)


def _match(blocks: tuple[Block, ...], use: Use, where: str) -> tuple[Suite, bytes]:
    """The suite whose keys these are, and their bytes in its order."""
    suite = _suite_of(blocks, use)
    if suite is None:
        names = " and ".join(block.algorithm for block in blocks)
        raise _error(
            f"the file holds {names}, which is no {_USES[use]} key of any suite",
            where,
            "give a key that aprgen keygen made" + (" with --for encrypt" if use == "encrypt" else ""),
        )
    order = {block.algorithm: block.data for block in blocks}
    return suite, b"".join(order[_block_name(member)] for member in algorithms.members(suite, use))


def _suite_of(blocks: tuple[Block, ...], use: Use) -> Suite | None:
    names = sorted(block.algorithm for block in blocks)
    for suite in SUITES:
        if names == sorted(_block_name(member) for member in algorithms.members(suite, use)):
            return suite
    return None


def _block_name(member: Scheme | Exchange) -> str:
    return P384 if member in (ECDSA_P384, ECDH_P384) else member.name


def _write(suite: Suite, use: Use, data: bytes, secret: bool, encoding: Encoding) -> bytes:
    if encoding == "pem":
        members = algorithms.members(suite, use)
        sizes = [member.secret_bytes if secret else member.public_bytes for member in members]
        pieces = algorithms.split(data, sizes)
        blocks = [Block(_block_name(member), secret, piece) for member, piece in zip(members, pieces, strict=True)]
        return b"".join(write_block(block) for block in blocks)
    assert suite is STANDARD  # only its keys have other forms
    return data if encoding == "raw" else data.hex().encode("ascii") + b"\n"
