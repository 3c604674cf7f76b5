"""Key files and password files: read with care, made so that nobody else can read them.

A secret key that others can read is refused: whoever made it readable has to decide whether it still is one.
Knows files and permissions; what is in them is `container.key_text`'s.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aprgen.container.key_text import (
    MOST_BYTES,
    Encoding,
    holds_key,
    may_be_public,
    read_public,
    read_secret,
    write_public,
    write_secret,
)
from aprgen.container.keys import PublicKey, SecretKey, TrustedKey, Use
from aprgen.errors import SecurityError, UsageError
from aprgen.output_folder import create_file, write_file

OTHERS = 0o077
SECRET_SUFFIX, PUBLIC_SUFFIX = ".key", ".pub"
MOST_TRUSTED = 1_000  # files of a folder of trusted keys


def secret_key(path: Path, use: Use) -> SecretKey:
    """The secret key in a file that only its owner can read."""
    text, mode = _contents(path)
    if mode & OTHERS:
        raise SecurityError(
            "security.key_file",
            f"others can read the secret key: its permissions are {mode:04o}",
            where=str(path),
            hint=f"chmod 600 {path}, and make a new key if somebody may have read it",
        )
    return read_secret(text, use, str(path))


def recipient_key(path: Path) -> PublicKey:
    """A public key to encrypt for."""
    return read_public(_contents(path)[0], "encrypt", str(path))


def trusted_keys(places: Sequence[Path]) -> tuple[TrustedKey, ...]:
    """The signers' public keys in files, and in all files of folders that look like one. Each is named for its file.

    Of a folder, secret keys, keys for encryption and other files are passed over; a damaged .pub or PEM file is not.
    """
    found: list[TrustedKey] = []
    for place in places:
        if not place.is_dir():
            found.append(_trusted(place))
            continue
        files = _files_of(place)
        keys = [_trusted(path) for path in files if _is_signers(path)]
        if not keys:
            raise SecurityError(
                "security.key_file", "the folder holds no signer's public key", where=str(place),
                hint="put the .pub files of those you trust there",
            )  # fmt: skip
        found += keys
    return tuple(found)


def _files_of(folder: Path) -> list[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise _unreadable(folder, error) from None
    files = [
        path for path in paths if path.is_file() and not path.name.startswith(".") and path.suffix != SECRET_SUFFIX
    ]
    if len(files) > MOST_TRUSTED:
        raise SecurityError(
            "security.key_file", f"the folder holds {len(files)} files, more than {MOST_TRUSTED}", where=str(folder),
            hint="give a folder that holds only the keys you trust",
        )  # fmt: skip
    return files


def _is_signers(path: Path) -> bool:
    """A .pub file that holds no key is a damaged one, and reading it will say so."""
    text, _ = _beginning(path)
    return may_be_public(text, "sign") or (path.suffix == PUBLIC_SUFFIX and not holds_key(text))


def _trusted(path: Path) -> TrustedKey:
    return TrustedKey(path.stem, read_public(_contents(path)[0], "sign", str(path)))


@dataclass(frozen=True)
class PasswordFile:
    password: bytes
    others_can_read: bool


def password_file(path: Path) -> PasswordFile:
    """The file's one line, which may be empty, without its end; more lines are refused."""
    text, mode = _contents(path)
    line = text.removesuffix(b"\r\n") if text.endswith(b"\r\n") else text.removesuffix(b"\n")
    if b"\n" in line:
        raise UsageError(
            "usage.password", "the password file has several lines", where=str(path),
            hint="put the password alone in it",
        )  # fmt: skip
    return PasswordFile(line, bool(mode & OTHERS))


def _contents(path: Path) -> tuple[bytes, int]:
    """All bytes, and the permissions if it is a file that stays; a pipe belongs to who made it."""
    text, permissions = _beginning(path)
    if len(text) > MOST_BYTES:
        raise SecurityError(
            "security.key_file", f"the file has more than {MOST_BYTES} bytes", where=str(path),
            hint="give the file of a key or password",
        )  # fmt: skip
    return text, permissions


def _beginning(path: Path) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            text = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from None
    return text, stat.S_IMODE(status.st_mode) if stat.S_ISREG(status.st_mode) else 0


def _unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        "file.unreadable",
        f"cannot read {path}: {error.strerror}",
        where=str(path),
        hint="give the path of a key that you may read",
    )


def write_key_pair(
    secret: SecretKey, public: PublicKey, stem: Path, encoding: Encoding, *, force: bool
) -> tuple[Path, Path]:
    """Write STEM.key, which only its owner can read, and STEM.pub. Nothing is overwritten unless `force` says so."""
    paths = stem.with_name(stem.name + SECRET_SUFFIX), stem.with_name(stem.name + PUBLIC_SUFFIX)
    for path in paths:
        if os.path.lexists(path) and not force:
            raise UsageError(
                "output.exists", f"{path.name} is there already", where=str(path),
                hint="choose another name, or give --force to lose that key for good",
            )  # fmt: skip
    write = write_file if force else create_file
    write(paths[0], write_secret(secret, encoding), private=True)
    write(paths[1], write_public(public, encoding))
    return paths
