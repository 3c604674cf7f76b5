"""The words about signatures and encryption: options that open protected files, and the verbs that make them.

No option takes a secret itself: others see the words of a command. Imports nothing heavy.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aprgen.cli import reading
from aprgen.cli.reading import DEFAULT_READING, Reading
from aprgen.errors import UsageError

Format = Literal["text", "json"]

SUITES = ("standard", "post-quantum", "hybrid", "gov")  # as in container/suites.py
ENCODINGS = ("pem", "hex", "raw")  # as in container/key_text.py
VERBS = ("keygen", "sign", "encrypt", "decrypt")


@dataclass(frozen=True)
class PasswordSource:
    """Where a password comes from: a file, an environment variable, or a person at the terminal. At most one."""

    file: Path | None = None
    variable: str | None = None
    prompt: bool = False

    @property
    def given(self) -> bool:
        return self.file is not None or self.variable is not None or self.prompt


@dataclass(frozen=True)
class Opening:
    """Whom to trust, what opens an encrypted payload, and how the file is read. key: a file with the recipient's secret
    key."""

    trust: tuple[Path, ...] = ()
    require_signature: bool = False
    allow_legacy: bool = False
    key: Path | None = None
    password: PasswordSource = PasswordSource()
    reading: Reading = DEFAULT_READING


@dataclass(frozen=True)
class Keygen:
    """stem: STEM.key and STEM.pub are written."""

    stem: Path
    use: Literal["sign", "encrypt"]
    suite: str
    encoding: Literal["pem", "hex", "raw"]
    force: bool
    format: Format


@dataclass(frozen=True)
class Sign:
    model: Path
    out: Path
    key: Path
    replace: bool
    format: Format


@dataclass(frozen=True)
class Encrypt:
    """recipient, or a password with the suite to use it in."""

    model: Path
    out: Path
    recipient: Path | None
    password: PasswordSource
    suite: str | None
    sign_key: Path | None
    opening: Opening
    format: Format


@dataclass(frozen=True)
class Decrypt:
    model: Path
    out: Path
    opening: Opening
    format: Format


def words_of(opening: Opening) -> list[str]:
    """For the command that a banner gives: no folders, and of secrets only their kind, as all open the same file."""
    words = [word for place in opening.trust for word in ("--trust", place.name or "KEYS")]
    words += ["--require-signature"] if opening.require_signature else []
    words += ["--allow-legacy"] if opening.allow_legacy else []
    words += reading.words_of(opening.reading)
    words += ["--key", "KEY"] if opening.key is not None else []
    return [*words, *(["--password-prompt"] if opening.password.given else [])]


def add_opening(parser: argparse.ArgumentParser) -> None:
    """The options of every verb that opens protected files."""
    _trust(parser)
    _secrets(parser)


def opening_of(n: argparse.Namespace) -> Opening:
    """Verbs without options of reading take the whole file, and check all of it."""
    how = reading.reading_of(n) if hasattr(n, "verify") else DEFAULT_READING
    return Opening(tuple(n.trust or ()), n.require_signature, n.allow_legacy, n.key, _password_of(n), how)


def add_verbs(verb: Callable[[str, str], argparse.ArgumentParser]) -> None:
    one = verb("keygen", "Make a pair of keys: NAME.key, the secret one, and NAME.pub.")
    one.add_argument("stem", metavar="NAME", type=Path, nargs="?", help="path of both files, without .key and .pub")
    one.add_argument("-o", "--out", metavar="NAME", type=Path, help="the same")
    one.add_argument(
        "--for", dest="use", choices=("sign", "encrypt"), default="sign", help="what the keys are for (sign)"
    )
    one.add_argument("--suite", choices=SUITES, default="standard", help="the cipher suite (standard)")
    one.add_argument("--encoding", choices=ENCODINGS, default="pem", help="of the files; hex and raw: standard only")
    one.add_argument("--force", action="store_true", help="overwrite a key that is there")

    one = verb("sign", "Sign a model file.")
    _model_and_out(one)
    one.add_argument("--key", metavar="F", type=Path, required=True, help="the signer's secret key; it tells the suite")
    one.add_argument("--replace", action="store_true", help="put the signature in the place of another one")

    one = verb("encrypt", "Encrypt a model file for the holder of a key, or with a password.")
    _model_and_out(one)
    one.add_argument("--recipient", metavar="PUB", type=Path, help="the recipient's public key; it tells the suite")
    _passwords(one)
    one.add_argument("--suite", choices=SUITES, help="the cipher suite, with a password (standard)")
    one.add_argument("--sign-key", metavar="F", type=Path, help="also sign the encrypted file, with this secret key")
    _trust(one)

    one = verb("decrypt", "Write the plain file of an encrypted one; a signature is verified before.")
    _model_and_out(one)
    add_opening(one)


def request_of(n: argparse.Namespace) -> Keygen | Sign | Encrypt | Decrypt:
    match n.verb:
        case "keygen":
            if n.encoding != "pem" and n.suite != "standard":
                hint = "leave --encoding out"
                what = f"keys of suite {n.suite} are written as PEM"
                raise UsageError("usage.arguments", what, where="--encoding", hint=hint)
            if (n.stem is None) == (n.out is None):
                hint = "give one path, such as keys/alice, to which .key and .pub are added"
                what = "a pair of keys has one NAME"
                raise UsageError("usage.arguments", what, where="the words after aprgen keygen", hint=hint)
            return Keygen(n.stem or n.out, n.use, n.suite, n.encoding, n.force, n.format)
        case "sign":
            return Sign(n.model, n.out, n.key, n.replace, n.format)
        case "encrypt":
            password = _password_of(n)
            if (n.recipient is None) == (not password.given):
                hint = "give --recipient PUB, or one of --password-file, --password-env and --password-prompt"
                what = "a file is encrypted for one recipient, or with one password"
                raise UsageError("usage.arguments", what, where="the words after aprgen encrypt", hint=hint)
            if n.recipient is not None and n.suite is not None:
                hint = "leave --suite out"
                raise UsageError("usage.arguments", "the recipient's key tells the suite", where="--suite", hint=hint)
            opening = Opening(tuple(n.trust or ()), n.require_signature, n.allow_legacy)
            return Encrypt(n.model, n.out, n.recipient, password, n.suite, n.sign_key, opening, n.format)
        case _:
            opening = opening_of(n)
            if opening.key is None and not opening.password.given:
                hint = "give --key F, or one of --password-file, --password-env and --password-prompt"
                what = "nothing is given that opens the file"
                raise UsageError("usage.arguments", what, where="the words after aprgen decrypt", hint=hint)
            return Decrypt(n.model, n.out, opening, n.format)


def _model_and_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", type=Path, help="an .apr file")
    parser.add_argument("-o", "--out", metavar="OUT", type=Path, required=True, help="the file to write")


def _trust(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--trust", metavar="F|DIR", type=Path, action="append",
        help="public keys of signers: a file, or a folder of them; unsigned files and other signers are refused",
    )  # fmt: skip
    parser.add_argument("--require-signature", action="store_true", help="refuse unsigned files")
    parser.add_argument("--allow-legacy", action="store_true", help="read files of suite LegacyRSA, unverified")


def _secrets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", metavar="F", type=Path, help="the secret key that the file is encrypted for")
    _passwords(parser)


def _passwords(parser: argparse.ArgumentParser) -> None:
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--password-file", metavar="F", type=Path, help="a file with the password in its one line")
    one.add_argument("--password-env", metavar="NAME", help="the environment variable that holds the password")
    one.add_argument("--password-prompt", action="store_true", help="ask for the password on the terminal")


def _password_of(n: argparse.Namespace) -> PasswordSource:
    return PasswordSource(n.password_file, n.password_env, n.password_prompt)
