"""`aprgen keygen`, `sign`, `encrypt` and `decrypt`: from key files and a model file to a file.

Knows files and what is printed; the work is `container.protected`'s. Secrets are never printed.
"""

from __future__ import annotations

from pathlib import Path

from aprgen import key_files
from aprgen.cli.access import access_for, password_from
from aprgen.cli.printable import byte_count, visible
from aprgen.cli.protection import Decrypt, Encrypt, Format, Keygen, Sign
from aprgen.cli.report import of_file, print_json
from aprgen.container import PublicKey, Verification, inspect_v1, load_bytes
from aprgen.container.algorithms import members, new_key, public_of
from aprgen.container.protected import Password, decrypt_v1, encrypt_v1, sign_v1
from aprgen.container.suites import STANDARD, SUITES, Suite
from aprgen.errors import AprgenError, UsageError
from aprgen.output_folder import write_file

GIVEN_TO = {"sign": "shall trust you (--trust)", "encrypt": "send you files (--recipient)"}
LABEL = 10  # columns


def keygen_command(request: Keygen) -> int:
    """Nothing is overwritten without --force."""
    key = new_key(_suite(request.suite), request.use)
    public = public_of(key)
    files = key_files.write_key_pair(key, public, request.stem, request.encoding, force=request.force)
    algorithms = [member.name for member in members(public.suite, public.use)]
    if request.format == "json":
        print_json(
            {
                "suite": public.suite.name,
                "use": public.use,
                "algorithms": algorithms,
                "fingerprint": public.fingerprint,
                "secret_key_file": str(files[0]),
                "public_key_file": str(files[1]),
            }
        )
        return 0
    _line("suite", f"{public.suite.name}: {' and '.join(algorithms)}")
    _line("key", f"sha256 {public.fingerprint}")
    _line("secret", f"{files[0]}: keep it to yourself")
    _line("public", f"{files[1]}: for those who {GIVEN_TO[public.use]}")
    return 0


def sign_command(request: Sign) -> int:
    key = key_files.secret_key(request.key, "sign")
    try:
        signed = sign_v1(load_bytes(request.model), key, replace_signature=request.replace)
    except AprgenError as error:
        raise _placed(error, request.model) from None
    write_file(request.out, signed)
    return _report(request.out, signed, request.format)


def encrypt_command(request: Encrypt) -> int:
    data = load_bytes(request.model)
    signer = None if request.sign_key is None else key_files.secret_key(request.sign_key, "sign")
    try:
        closed = encrypt_v1(data, _means(request), signer=signer, trust=access_for(request.opening).trust)
    except AprgenError as error:
        raise _placed(error, request.model) from None
    write_file(request.out, closed)
    return _report(request.out, closed, request.format)


def decrypt_command(request: Decrypt) -> int:
    """The plain bytes are nowhere on the disk but in OUT, which only its owner can read."""
    access = access_for(request.opening)
    try:
        decrypted = decrypt_v1(load_bytes(request.model), access)
    except AprgenError as error:
        raise _placed(error, request.model) from None
    write_file(request.out, decrypted.plain, private=True)
    return _report(request.out, decrypted.plain, request.format, decrypted.verification)


def _means(request: Encrypt) -> PublicKey | Password:
    if request.recipient is not None:
        return key_files.recipient_key(request.recipient)
    password = password_from(request.password, twice=True)
    assert password is not None  # what the words must give
    return Password(STANDARD if request.suite is None else _suite(request.suite), password)


def _suite(word: str) -> Suite:
    return next(suite for suite in SUITES if suite.word == word)


def _placed(error: AprgenError, path: Path) -> AprgenError:
    return error if isinstance(error, UsageError) else of_file(error, path)


def _report(path: Path, data: bytes, form: Format, was: Verification | None = None) -> int:
    """What was written; `was`: who signed the file that it was decrypted from."""
    found = inspect_v1(data)
    assert found.header is not None  # it was just made
    header, signature = found.header, found.signature
    if form == "json":
        print_json(
            {
                "file": str(path),
                "bytes": len(data),
                "signed": header.signed,
                "encrypted": header.encrypted,
                "cipher_suite": header.suite,
                "cipher_suite_name": header.suite_name,
                "fingerprint": None if signature is None else signature.fingerprint,
                "decrypted_from": None if was is None else {"state": was.state, "signer": was.signer},
            }
        )
        return 0
    _line("written", f"{path}: {byte_count(len(data))}")
    if header.signed or header.encrypted:
        states = [word for word, holds in (("encrypted", header.encrypted), ("signed", header.signed)) if holds]
        suite = header.cipher_suite
        _line("state", f"{' and '.join(states)}, suite {'unknown' if suite is None else suite.name}")
    if signature is not None:
        _line("signer", f"key {signature.fingerprint}")
    if was is not None:
        _line("signer", f"{was.signer} (of the encrypted file)")
    return 0


def _line(label: str, value: str) -> None:
    print(visible(f"{label:<{LABEL}} {value}"))
