"""Files of every suite that were written once: they open today, and a second reader finds the same in them.

They are what fixes the format of the suites that aprgen has defined; new files are read by the second reader, too.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aprgen.container import Access, AprFile, Secrets, Trust, TrustedKey, open_container
from aprgen.container.algorithms import public_of
from aprgen.container.keys import SecretKey, Use
from aprgen.container.protected import decrypt_v1
from aprgen.container.suites import SUITES, Suite
from tests.container import second_reader
from tests.hostile.bytesmith import fixture
from tests.hostile.protectedfiles import PLAIN, protected

ROOT = Path(__file__).resolve().parents[1] / "data" / "suites"
KEYS = json.loads((ROOT / "keys.json").read_text(encoding="utf-8"))
WRITTEN = {path.stem: path.read_bytes() for path in sorted(ROOT.glob("*.apr"))}
TODAY = {one.name: one.data for one in protected()}
NEW = {f"{name}, new": data for name, data in TODAY.items()}
ALL = WRITTEN | NEW

every_file = pytest.mark.parametrize("name", ALL)


def suite_of(name: str) -> Suite:
    return next(suite for suite in SUITES if name.startswith(f"{suite.word}_"))


def plain_of(name: str) -> bytes:
    return fixture(PLAIN[SUITES.index(suite_of(name)) % len(PLAIN)])


def secret(name: str, use: Use) -> bytes:
    return bytes.fromhex(KEYS["secrets"][suite_of(name).word][use])


def access(name: str) -> Access:
    suite, password = suite_of(name), KEYS["password"].encode()
    author = public_of(SecretKey(suite, "sign", secret(name, "sign")))
    signed, closed = "signed" in name or "both" in name, "signed" not in name
    key = None if "password" in name or not closed else SecretKey(suite, "encrypt", secret(name, "encrypt"))
    trust = Trust((TrustedKey("author", author),)) if signed else Trust()
    return Access(trust, Secrets(password if "password" in name else None, key))


def test_all_forms_are_there() -> None:
    """Signed, encrypted, both, and with a password where the suite has any."""
    assert sorted(WRITTEN) == sorted(TODAY)
    assert len(WRITTEN) == 15


@every_file
def test_opens(name: str) -> None:
    """With its keys it holds the payload of the plain file, and the signer is the trusted one."""
    file = open_container(ALL[name], access=access(name))
    plain = open_container(plain_of(name))
    assert isinstance(file, AprFile)
    assert isinstance(plain, AprFile)

    assert plain.payload == file.payload
    assert ("trusted" if access(name).trust.keys else "unsigned") == file.verification.state
    if file.encryption is not None:
        assert plain_of(name) == decrypt_v1(ALL[name], access(name)).plain


@every_file
def test_second_reader(name: str) -> None:
    """It verifies the same key, and opens to the same stored payload."""
    data, plain = ALL[name], plain_of(name)
    stored = plain[32 + int.from_bytes(plain[8:12], "little") : -4]
    if access(name).trust.keys:
        assert access(name).trust.keys[0].key.data == second_reader.verify(data)
    if "password" in name:
        assert stored == second_reader.open_with_password(data, KEYS["password"].encode())
    elif "signed" not in name:
        assert stored == second_reader.open_with_key(data, secret(name, "encrypt"))
