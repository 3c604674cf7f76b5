"""Signed and encrypted files of every suite: made, opened, refused, and no downgrade that goes unnoticed."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import pytest

from aprgen.container import (
    Access,
    AprFile,
    Limits,
    Secrets,
    Trust,
    TrustedKey,
    encryption,
    inspect_v1,
    open_container,
    read_v1,
)
from aprgen.container.algorithms import new_key, public_of
from aprgen.container.envelope import overhead_bytes, parse_envelope
from aprgen.container.keys import NO_ACCESS, PublicKey, SecretKey
from aprgen.container.protected import Password, decrypt_v1, encrypt_v1, sign_v1
from aprgen.container.suites import GOVERNMENT, HYBRID, POST_QUANTUM, STANDARD, SUITES, Suite
from aprgen.errors import AprgenError, SecurityError, UnsupportedError, UsageError
from tests.container import files
from tests.container.files import Fixture
from tests.hostile.bytesmith import fixture, patched, repaired, with_crc

PLAIN = fixture("real/rfc")  # zstd
BARE = fixture("real/linreg")  # uncompressed
PASSWORD = b"correct horse battery staple"
SUITE_AT, FLAGS_AT = 23, 21
BOUND = (POST_QUANTUM, HYBRID, GOVERNMENT)  # suites that bind header and metadata
WITH_PASSWORDS = tuple(suite for suite in SUITES if suite.passwords)

every_suite = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.word)
every_bound_suite = pytest.mark.parametrize("suite", BOUND, ids=lambda suite: suite.word)


@dataclass(frozen=True)
class Actors:
    """An author and a recipient, with keys of one suite."""

    author: SecretKey
    recipient: SecretKey

    @property
    def trust(self) -> Trust:
        return Trust((TrustedKey("author", public_of(self.author)),))

    @property
    def address(self) -> PublicKey:
        return public_of(self.recipient)

    @property
    def access(self) -> Access:
        return Access(self.trust, Secrets(key=self.recipient))

    @property
    def opens(self) -> Access:
        return Access(secrets=Secrets(key=self.recipient))


@cache
def actors(suite: Suite) -> Actors:
    return Actors(new_key(suite, "sign"), new_key(suite, "encrypt"))


@cache
def signed(suite: Suite) -> bytes:
    return sign_v1(BARE, actors(suite).author)


@cache
def encrypted(suite: Suite) -> bytes:
    return encrypt_v1(BARE, actors(suite).address)


@cache
def both(suite: Suite) -> bytes:
    return encrypt_v1(BARE, actors(suite).address, signer=actors(suite).author)


@cache
def locked(suite: Suite) -> bytes:
    return encrypt_v1(BARE, Password(suite, PASSWORD))


def opened(data: bytes, access: Access = NO_ACCESS) -> AprFile:
    file = open_container(data, access=access)
    assert isinstance(file, AprFile)
    return file


def refusal(data: bytes, access: Access = NO_ACCESS, limits: Limits | None = None) -> AprgenError:
    with pytest.raises(AprgenError) as caught:
        open_container(data, limits or Limits(), access)
    error = caught.value
    assert error.where
    assert error.hint
    assert len(str(error).splitlines()) == 3
    return error


def secrets_of(fixture: Fixture) -> Secrets:
    given = fixture.expected["security"]
    if "password" in given:
        return Secrets(given["password"].encode())
    return Secrets(key=SecretKey(STANDARD, "encrypt", bytes.fromhex(given["x25519_secret_hex"])))


# -- the files of the original library --

EVERY_SIGNED = pytest.mark.parametrize("fixture", files.SIGNED, ids=lambda fixture: fixture.name)
EVERY_ENCRYPTED = pytest.mark.parametrize("fixture", files.ENCRYPTED, ids=lambda fixture: fixture.name)


@EVERY_ENCRYPTED
def test_encrypted_fixture_opens(fixture: Fixture) -> None:
    """With its password or key an encrypted file holds the recorded payload."""
    expected = fixture.expected
    file = opened(fixture.data, Access(secrets=secrets_of(fixture)))

    assert file.encryption is not None
    assert file.encryption.opened
    assert expected["payload_uncompressed_len"] == len(file.payload)
    assert int(expected["payload_crc32"], 16) == zlib.crc32(file.payload)


@EVERY_SIGNED
def test_signed_fixture_is_verified(fixture: Fixture) -> None:
    """The key in the JSON is the signer's; trusting it, or a key of another, decides."""
    key = bytes.fromhex(fixture.expected["security"]["ed25519_public_hex"])
    other = public_of(new_key(STANDARD, "sign"))
    trust = Trust((TrustedKey("other", other), TrustedKey("aprender", PublicKey(STANDARD, "sign", key))))
    found = opened(fixture.data, Access(trust)).verification

    assert ("trusted", "aprender") == (found.state, found.name)
    assert "security.signer" == refusal(fixture.data, Access(Trust((TrustedKey("other", other),)))).code


@EVERY_SIGNED
def test_signed_fixture_is_written_again(fixture: Fixture) -> None:
    """Signed with the recorded seed, the file without its signature gets the bytes that the original library wrote."""
    data = fixture.data
    header = inspect_v1(data).header
    assert header is not None
    unsigned = with_crc(data[:FLAGS_AT] + b"\0" + data[FLAGS_AT + 1 : header.payload_end])
    key = SecretKey(STANDARD, "sign", bytes.fromhex(fixture.expected["security"]["ed25519_seed_hex"]))

    assert data == sign_v1(unsigned, key)
    assert data == sign_v1(data, key, replace_signature=True)


@EVERY_ENCRYPTED
def test_encrypted_fixture_is_written_again(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the recorded salt, nonce and ephemeral key, decrypting and encrypting gives the original bytes."""
    data, secrets = fixture.data, secrets_of(fixture)
    header = inspect_v1(data).header
    assert header is not None
    payload = data[header.payload_start : header.payload_end]
    plain = decrypt_v1(data, Access(secrets=secrets)).plain
    sizes: Iterator[bytes]
    means: Password | PublicKey
    if secrets.password is not None:
        sizes, means = iter((payload[:16], payload[16:28])), Password(STANDARD, secrets.password)
    else:
        assert secrets.key is not None
        sizes, means = iter((payload[40:52],)), public_of(secrets.key)
        sent = payload[:32], encryption.sodium.x25519_agree(secrets.key.data, payload[:32])
        monkeypatch.setattr(encryption, "send", lambda _: (sent[1], sent[0]))
    monkeypatch.setattr(encryption, "random_bytes", lambda _: next(sizes))

    assert plain != data
    assert data == encrypt_v1(plain, means)


# -- every suite, made and opened --


@every_suite
@pytest.mark.parametrize("plain", [PLAIN, BARE], ids=["zstd", "bare"])
def test_made_and_opened(suite: Suite, plain: bytes) -> None:
    """Signed, encrypted, and both: the payload is that of the plain file, and its layout has the documented sizes."""
    who = actors(suite)
    payload = opened(plain).payload
    one = sign_v1(plain, who.author)
    two = encrypt_v1(plain, who.address)
    three = encrypt_v1(plain, who.address, signer=who.author)

    assert payload == opened(one, Access(who.trust)).payload
    assert payload == opened(two, who.opens).payload
    assert payload == opened(three, who.access).payload
    assert "trusted" == opened(three, who.access).verification.state
    overhead = overhead_bytes(suite, "recipient")
    grown = [len(data) - len(plain) for data in (one, two, three)]
    assert [suite.block_bytes, overhead, overhead + suite.block_bytes] == grown
    assert {suite.id} == {data[SUITE_AT] for data in (one, two, three)}
    assert plain == decrypt_v1(two, who.opens).plain
    assert plain == decrypt_v1(three, who.access).plain


def test_documented_sizes() -> None:
    """What docs/cipher-suites.md says of blocks and envelopes."""
    assert [96, 5261, 5357, 193] == [suite.block_bytes for suite in SUITES]
    assert [68, 1132, 1164, 141] == [overhead_bytes(suite, "recipient") for suite in SUITES]
    assert [44, 64, 64] == [overhead_bytes(suite, "password") for suite in WITH_PASSWORDS]


@pytest.mark.parametrize("suite", WITH_PASSWORDS, ids=lambda suite: suite.word)
def test_password(suite: Suite) -> None:
    """A password opens what it closed, an empty one too; another does not, and a key is told what is missing."""
    for password in (PASSWORD, b""):
        data = encrypt_v1(BARE, Password(suite, password))
        assert BARE == decrypt_v1(data, Access(secrets=Secrets(password))).plain
        wrong = refusal(data, Access(secrets=Secrets(password + b"x")))
        assert ("security.decryption", 4) == (wrong.code, wrong.exit_status)
        assert "security.decryption" == refusal(data, actors(suite).opens).code


def test_government_has_no_passwords() -> None:
    """No standard behind it has a password function."""
    with pytest.raises(UsageError, match="has no passwords"):
        encrypt_v1(BARE, Password(GOVERNMENT, PASSWORD))


@every_suite
def test_wrong_key(suite: Suite) -> None:
    """Another's key, one of another suite, and a password do not open the file."""
    others = Access(secrets=Secrets(key=new_key(suite, "encrypt")))
    for access in (others, Access(secrets=Secrets(PASSWORD))):
        assert "security.decryption" == refusal(encrypted(suite), access).code
    for other in SUITES:
        if other is not suite:
            assert "security.key" == refusal(encrypted(suite), actors(other).opens).code


@every_suite
def test_nothing_opens_without_a_secret(suite: Suite) -> None:
    """Without key or password header and metadata are shown, and nothing else."""
    found = inspect_v1(encrypted(suite))

    assert ["security.encrypted"] == [problem.code for problem in found.problems]
    assert found.payload is None
    assert found.metadata is not None
    assert found.encryption is not None
    assert not found.encryption.opened


def test_both_secrets_of_standard() -> None:
    """Nothing in a Standard file says how it is encrypted: given both, the recipient's id decides."""
    who = actors(STANDARD)
    access = Access(secrets=Secrets(PASSWORD, who.recipient))

    assert opened(BARE).payload == opened(encrypted(STANDARD), access).payload
    assert opened(BARE).payload == opened(locked(STANDARD), access).payload


def test_stated_standard_stays_stated() -> None:
    """A file whose byte 23 says 0x01 is signed and encrypted with the same algorithms, and goes on saying it."""
    who = actors(STANDARD)
    stated = patched(BARE, SUITE_AT, b"\1")

    assert 1 == sign_v1(stated, who.author)[SUITE_AT]
    assert stated == decrypt_v1(encrypt_v1(stated, who.address, signer=who.author), who.access).plain


# -- policy --


@every_suite
def test_unknown_signer(suite: Suite) -> None:
    """Whoever trusts another gets nothing; whoever trusts nobody is told so."""
    stranger = Trust((TrustedKey("other", public_of(new_key(suite, "sign"))),))

    error = refusal(signed(suite), Access(stranger))
    assert ("security.signer", 4) == (error.code, error.exit_status)
    assert public_of(actors(suite).author).fingerprint in error.what
    assert "unverified" == opened(signed(suite)).verification.state
    assert "unverified" == opened(signed(suite), Access(Trust(require_signature=True))).verification.state


def test_parts_of_a_hybrid_key_are_not_trusted_alone() -> None:
    """The Ed25519 key of a Hybrid signer is not that signer, nor with another's ML-DSA key."""
    author = public_of(actors(HYBRID).author).data
    alone = PublicKey(STANDARD, "sign", author[:32])
    mixed = PublicKey(HYBRID, "sign", author[:32] + public_of(new_key(HYBRID, "sign")).data[32:])
    for key in (alone, mixed):
        assert "security.signer" == refusal(signed(HYBRID), Access(Trust((TrustedKey("x", key),)))).code
    downgraded = sign_v1(BARE, SecretKey(STANDARD, "sign", actors(HYBRID).author.data[:32]))
    assert "security.signer" == refusal(downgraded, Access(actors(HYBRID).trust)).code


@pytest.mark.parametrize("trust", [Trust(require_signature=True), actors(STANDARD).trust, Trust(())])
def test_unsigned_file(trust: Trust) -> None:
    """An unsigned file is refused when a signature is required, and when anybody at all is trusted; APR v2 too."""
    assert ("security.unsigned", 4) == (refusal(BARE, Access(trust)).code, 4)
    assert "security.unsigned" == refusal(fixture("v2/v2_mlp_f32"), Access(trust)).code
    assert "security.unsigned" == refusal(encrypted(STANDARD), replace(actors(STANDARD).opens, trust=trust)).code


@pytest.mark.parametrize("data", [BARE, fixture("v2/v2_mlp_f32")], ids=["v1", "v2"])
def test_secret_for_a_plain_file(data: bytes) -> None:
    """Whoever gives a secret expects an encrypted file, and is told that this is none."""
    assert "security.plain" == refusal(data, Access(secrets=Secrets(PASSWORD))).code
    assert "security.plain" == refusal(data, actors(HYBRID).opens).code


def test_verified_before_decrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is decrypted, and no password turned into a key, for a file whose signature or signer is wrong."""

    def never(*_: object, **__: object) -> bytes:
        raise AssertionError("opened")

    data = both(STANDARD)
    monkeypatch.setattr(encryption, "open_payload", never)
    changed = patched(data, -200, b"????")
    strangers = Access(Trust((TrustedKey("x", public_of(new_key(STANDARD, "sign"))),)), actors(STANDARD).opens.secrets)

    assert "security.signature" == refusal(changed, actors(STANDARD).access).code
    assert "security.signer" == refusal(data, strangers).code
    with pytest.raises(AssertionError, match="opened"):
        open_container(data, access=actors(STANDARD).access)


# -- changes --


@every_suite
def test_no_changed_byte_of_a_signed_file_passes(suite: Suite) -> None:
    """Any bit of header, metadata, payload, signature or key, with the checksum made right, is refused."""
    data = signed(suite)
    step = max(1, len(data) // 200)
    for at in sorted({*range(0, len(data) - 4, step), *range(40), len(data) - 5}):
        assert refusal(patched(data, at, bytes([data[at] ^ 1 << at % 8]))), at


@every_bound_suite
def test_no_changed_byte_of_an_encrypted_file_passes(suite: Suite) -> None:
    """Header, metadata, envelope and ciphertext are one: a changed bit anywhere is refused by whoever has the key."""
    data = encrypted(suite)
    access = actors(suite).opens
    step = max(1, len(data) // 100)
    for at in sorted({*range(0, len(data) - 4, step), *range(32), len(data) - 5}):
        assert refusal(patched(data, at, bytes([data[at] ^ 1 << at % 8])), access), at


def test_standard_binds_only_the_payload() -> None:
    """As in aprender, metadata of an encrypted Standard file can be changed; the page of suites says so."""
    data = encrypted(STANDARD)
    at = data.index(b"0.26.3")

    assert "9.26.3" == opened(patched(data, at, b"9"), actors(STANDARD).opens).metadata.aprender_version


@every_bound_suite
def test_metadata_is_bound(suite: Suite) -> None:
    """In the other suites it cannot."""
    data = encrypted(suite)

    assert "security.decryption" == refusal(patched(data, data.index(b"0.26.3"), b"9"), actors(suite).opens).code


@every_suite
@pytest.mark.parametrize("make", [signed, encrypted, both], ids=["signed", "encrypted", "both"])
def test_suite_byte_changed(suite: Suite, make: Callable[[Suite], bytes]) -> None:
    """Stated as any other suite, as none and as an unknown one, the file is refused with exit status 3 or 4."""
    data = make(suite)
    allowed = (0, 1) if suite is STANDARD and make is encrypted else (suite.id,)
    access = NO_ACCESS if make is signed else actors(suite).opens
    for byte in range(256):
        if byte not in allowed:
            error = refusal(patched(data, SUITE_AT, bytes([byte])), access)
            assert error.exit_status in (3, 4), byte
            assert error.code != "security.encrypted", byte


@every_suite
def test_block_stripped(suite: Suite) -> None:
    """Without its block, and with the flag cleared too, a signed file is refused by whoever wants a signature."""
    data = signed(suite)
    without = with_crc(data[: -4 - suite.block_bytes])
    cleared = patched(without, FLAGS_AT, bytes([without[FLAGS_AT] & ~2]))
    plain = patched(cleared, SUITE_AT, b"\0")

    assert "security.signature" == refusal(without).code
    for trust in (actors(suite).trust, Trust(require_signature=True)):
        assert refusal(cleared, Access(trust)).exit_status == 4
        assert "security.unsigned" == refusal(plain, Access(trust)).code
    if suite is not STANDARD:
        assert "security.suite" == refusal(cleared).code


@every_suite
def test_signed_flag_cleared(suite: Suite) -> None:
    """With the block still there, the bytes belong to nothing."""
    data = signed(suite)
    found = inspect_v1(patched(data, FLAGS_AT, bytes([data[FLAGS_AT] & ~2])))

    assert "container.trailing" in [problem.code for problem in found.problems]


@every_bound_suite
def test_promised_signature_stripped(suite: Suite) -> None:
    """An encrypted file that was signed as one says so inside: without its signature nobody takes it, trust or not."""
    data = both(suite)
    stripped = with_crc(data[: -4 - suite.block_bytes])
    stripped = patched(stripped, FLAGS_AT, bytes([stripped[FLAGS_AT] & ~2]))
    error = refusal(stripped, actors(suite).opens)
    assert ("security.signature", 4) == (error.code, error.exit_status)
    # Nor when the promise is taken back: it is bound to the ciphertext.
    header = inspect_v1(stripped).header
    assert header is not None
    unpromised = patched(stripped, header.payload_start + 2, b"\0")
    assert "security.decryption" == refusal(unpromised, actors(suite).opens).code


@every_suite
@pytest.mark.parametrize("make", [encrypted, both], ids=["encrypted", "both"])
def test_encrypted_flag_cleared(suite: Suite, make: Callable[[Suite], bytes]) -> None:
    """Ciphertext is not taken for a payload, with the claimed size made to fit neither where a secret was given."""
    data = make(suite)
    cleared = patched(data, FLAGS_AT, bytes([data[FLAGS_AT] & ~1]))
    fitted = patched(cleared, 16, data[12:16])

    assert refusal(cleared).exit_status in (3, 4)
    for changed in (cleared, fitted):
        assert refusal(changed, actors(suite).opens).exit_status == 4


def test_s_of_a_p384_signature_has_one_form() -> None:
    """The other s would verify in a laxer reader, so that one file had two forms."""
    from aprgen.container.openssl import P384_ORDER

    data = signed(GOVERNMENT)
    at = len(data) - 4 - 193 + 48
    other = (P384_ORDER - int.from_bytes(data[at : at + 48], "big")).to_bytes(48, "big")

    assert "security.signature" == refusal(patched(data, at, other)).code


@pytest.mark.parametrize("half", [0, 1], ids=["ed25519", "ml-dsa"])
def test_hybrid_needs_both_signatures(half: int) -> None:
    """One good signature of two is none."""
    data = signed(HYBRID)
    start = len(data) - 4 - 5357
    at = start + (0, 64)[half] + 5

    assert "security.signature" == refusal(patched(data, at, bytes([data[at] ^ 1]))).code


# -- keys and envelopes of strangers --


def test_low_order_signer() -> None:
    """The Ed25519 key of order 1 signs everything; aprender takes it, aprgen does not."""
    body = bytearray(BARE[:-4])
    body[FLAGS_AT] |= 2
    key = b"\1" + bytes(31)
    for signature in (key + bytes(32), bytes(64)):
        error = refusal(with_crc(bytes(body) + signature + key))
        assert ("security.key", 4) == (error.code, error.exit_status)
        assert "low order" in error.what


def test_low_order_ephemeral_key() -> None:
    """A file that opens without any secret, since its key is that of the zero point, is refused."""
    who = actors(STANDARD)
    data = encrypted(STANDARD)
    header = inspect_v1(data).header
    assert header is not None
    error = refusal(patched(data, header.payload_start, bytes(32)), who.opens)

    assert "security.key" == error.code
    assert "low order" in error.what


@pytest.mark.parametrize(
    "key",
    [
        PublicKey(STANDARD, "encrypt", bytes(32)),
        PublicKey(HYBRID, "encrypt", bytes(32) + public_of(actors(HYBRID).recipient).data[32:]),
        PublicKey(POST_QUANTUM, "encrypt", b"\xff" * 1184),
        PublicKey(GOVERNMENT, "encrypt", b"\4" + bytes(96)),
    ],
    ids=["x25519", "hybrid", "ml-kem", "p384"],
)
def test_nothing_is_encrypted_for_unsound_keys(key: PublicKey) -> None:
    """Low order, beyond the modulus, off the curve: no file is made."""
    with pytest.raises(SecurityError) as caught:
        encrypt_v1(BARE, key)

    assert "security.key" == caught.value.code


def envelope_at(data: bytes) -> int:
    header = inspect_v1(data).header
    assert header is not None
    return header.payload_start


@pytest.mark.parametrize("suite", [POST_QUANTUM, HYBRID], ids=lambda suite: suite.word)
@pytest.mark.parametrize(
    ("costs", "words"),
    [
        ((131_073, 1, 1), "beyond the limits"),
        ((0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF), "beyond the limits"),
        ((65_536, 9, 1), "beyond the limits"),
        ((65_536, 3, 9), "beyond the limits"),
        ((65_536, 3, 0), "beyond the limits"),
        ((65_536, 0, 1), "beyond the limits"),
        ((8, 1, 1), "weaker"),
        ((0, 3, 1), "weaker"),
        ((1, 40_000, 1), "weaker"),
        ((60, 1_000, 8), "weaker"),
        ((19_456, 1, 1), "weaker"),
    ],
)
def test_costs_of_a_password_are_bounded(suite: Suite, costs: tuple[int, int, int], words: str) -> None:
    """What a file may ask of memory and time is checked before the password is touched, with and without one."""
    data = locked(suite)
    hostile = patched(data, envelope_at(data) + 8, struct.pack("<III", *costs))
    for access in (NO_ACCESS, Access(secrets=Secrets(PASSWORD))):
        codes = [problem.code for problem in inspect_v1(hostile, access=access).problems]
        assert "security.kdf" in codes
    assert words in refusal(hostile, Access(secrets=Secrets(PASSWORD))).what


def test_lanes() -> None:
    """Files of other writers may use several lanes, which libsodium has not."""
    suite = HYBRID
    data = locked(suite)
    start = envelope_at(data)
    header = inspect_v1(data).header
    assert header is not None
    envelope = parse_envelope(suite, memoryview(data)[start : header.payload_end], start)
    laned = replace(envelope, kdf=replace(envelope.kdf, lanes=4, memory_kib=19_456, passes=2))
    key = encryption._password_key(PASSWORD, laned.salt, laned.kdf)
    body = data[:start] + encryption._seal(suite, laned, key, data[:start], opened(BARE).payload)

    assert opened(BARE).payload == opened(with_crc(body), Access(secrets=Secrets(PASSWORD))).payload
    assert "security.kdf" == refusal(with_crc(body), Access(secrets=Secrets(PASSWORD)), Limits(kdf_lanes=3)).code


@every_bound_suite
@pytest.mark.parametrize(
    ("offset", "byte", "words"),
    [(0, 2, "version 2"), (1, 0, "form is 0"), (1, 3, "form is 3"), (2, 2, "nobody has defined"),
     (3, 1, "nobody has defined"), (4, 255, "claims"), (7, 128, "claims")],
)  # fmt: skip
def test_senseless_envelope(suite: Suite, offset: int, byte: int, words: str) -> None:
    """Each field of the envelope is checked before anything is opened."""
    data = encrypted(suite)
    error = refusal(patched(data, envelope_at(data) + offset, bytes([byte])), actors(suite).opens)

    assert ("container.envelope", 3) == (error.code, error.exit_status)
    assert words in error.what


@every_suite
def test_cut_payload(suite: Suite) -> None:
    """An encrypted payload cut to any length, with header and checksum made to fit, is refused and nothing else."""
    data = fixture("real/rfc")
    data = encrypt_v1(data, actors(suite).address)
    start = envelope_at(data)
    for length in (*range(0, 140, 7), 1100, 1131, 1163):
        cut = with_crc(data[:12] + struct.pack("<I", length) + data[16 : start + length])
        if len(cut) == start + length + 4:
            for access in (NO_ACCESS, actors(suite).opens, Access(secrets=Secrets(PASSWORD))):
                assert refusal(cut, access).exit_status in (3, 4), length


# -- LegacyRSA --


def legacy(flags: int = 2) -> bytes:
    body = BARE[:FLAGS_AT] + bytes([flags, 0, 0xFF]) + BARE[24:-4]
    return with_crc(body + (bytes(512) if flags & 2 else b""))


def test_legacy_is_refused() -> None:
    """LegacyRSA is refused unless it is allowed; then the file is read, and nothing is said to be verified."""
    allowed = Access(Trust(allow_legacy=True))
    file = opened(legacy(), allowed)

    assert "security.suite" == refusal(legacy()).code
    assert "unverifiable" == file.verification.state
    assert "not verified" in file.findings[0]
    assert opened(BARE).payload == file.payload


@pytest.mark.parametrize("trust", [replace(actors(STANDARD).trust, allow_legacy=True), Trust(None, True, True)])
def test_legacy_is_no_signature(trust: Trust) -> None:
    """Allowed or not, it satisfies nobody who wants a signature."""
    assert "security.suite" == refusal(legacy(), Access(trust)).code


def test_legacy_encryption() -> None:
    """There is no reader for it."""
    access = Access(Trust(allow_legacy=True), Secrets(PASSWORD))

    assert "cannot be opened" in refusal(legacy(1), access).what


# -- what cannot be made --


def made(make: Callable[[], object]) -> str:
    with pytest.raises(SecurityError) as caught:
        make()
    assert caught.value.hint
    return caught.value.code


def test_refused_to_make() -> None:
    """Signing twice, encrypting twice or what is signed, mixing suites, opening what is plain."""
    who, other = actors(STANDARD), actors(HYBRID)

    assert "security.signed" == made(lambda: sign_v1(signed(STANDARD), who.author))
    assert "security.encrypted" == made(lambda: encrypt_v1(encrypted(STANDARD), who.address))
    assert "security.signed" == made(lambda: encrypt_v1(signed(STANDARD), who.address))
    assert "security.suite" == made(lambda: encrypt_v1(BARE, who.address, signer=other.author))
    assert "security.suite" == made(lambda: sign_v1(encrypted(STANDARD), other.author))
    assert "security.plain" == made(lambda: decrypt_v1(BARE, who.opens))
    assert "security.signature" == made(lambda: sign_v1(patched(signed(STANDARD), 60, b"?"), who.author))


def test_v2_is_neither_signed_nor_encrypted() -> None:
    """The format has no place for it, and that is what is said."""
    data = fixture("v2/v2_mlp_f32")
    with pytest.raises(UnsupportedError, match="APR v2"):
        sign_v1(data, actors(STANDARD).author)
    with pytest.raises(UnsupportedError, match="APR v2"):
        encrypt_v1(data, actors(HYBRID).address)


def test_signed_after_encryption() -> None:
    """An encrypted file may be signed later, by somebody who cannot open it."""
    for suite in SUITES:
        data = sign_v1(encrypted(suite), actors(suite).author)
        assert opened(BARE).payload == opened(data, actors(suite).access).payload


def test_replaced_signature() -> None:
    """Encrypting with a signer, and signing with replace, put the new signature where the old one was."""
    data = encrypt_v1(signed(HYBRID), actors(STANDARD).address, signer=actors(STANDARD).author)
    again = sign_v1(signed(HYBRID), actors(GOVERNMENT).author, replace_signature=True)

    assert "trusted" == opened(data, actors(STANDARD).access).verification.state
    assert "trusted" == opened(again, Access(actors(GOVERNMENT).trust)).verification.state
    assert repaired(again) == again
    assert read_v1(again).header.suite == GOVERNMENT.id


def test_secrets_are_not_shown() -> None:
    """The repr of keys and passwords, which ends in tracebacks and logs, holds neither."""
    who = actors(STANDARD)
    shown = repr(Access(who.trust, Secrets(b"hunter2", who.recipient)))

    assert "hunter2" not in shown
    assert repr(who.recipient.data) not in shown
    assert json.dumps(shown)
